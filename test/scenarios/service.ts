import assert from 'node:assert/strict';
import { type VirtualLan, clock } from './virtual-lan.ts';
import { type VirtualNode, linkOf } from './virtual-node.ts';

/** What the clients at one node's switch port get of one virtual address. */
interface Spot {
  readonly group: string;
  readonly id: string;
  readonly near: VirtualNode;
  /** Since when nobody serves them; undefined while somebody does. */
  unservedSince: number | undefined;
  /** Since when the same two serve them. */
  doubled: { since: number; by: string; handover: boolean } | undefined;
  /** Since when there are two masters although nobody hands over or is frozen. */
  blamedSince: number | undefined;
  /** Where the clients believe the address to live: whoever announced it last. */
  believed: VirtualNode | undefined;
}

/** Something that ended, seen at several spots. */
interface Ended {
  readonly what: string;
  readonly spot: Spot;
}

/** Who answers for the virtual addresses, seen by clients beside every node: the measure of a failover. */
export class Service {
  readonly #lan: VirtualLan;
  readonly #spots = new Map<string, Spot>();
  /** How long two masters may stand beside each other on a connected segment, where none hands over. */
  overlapLimitMs = 0.5;

  constructor(lan: VirtualLan) {
    this.#lan = lan;
  }

  /** Clients that the announcement reaches believe it. */
  announced(node: VirtualNode, group: string, id: string): void {
    for (const near of this.#lan.nodes.values()) {
      if (this.#lan.reaches(node, near, linkOf(id))) this.#spot(group, id, near).believed = node;
    }
  }

  /** Clients that believe in a node which does not serve them, while another does. */
  deceived(): readonly string[] {
    return [...this.#spots.values()].flatMap((spot) => {
      const servers = this.#servers(spot);
      const { believed, near } = spot;
      if (servers.length === 0 || believed === undefined || servers.includes(believed)) return [];
      const names = servers.map(({ name }) => name).join(' and ');
      return `clients beside ${near.name} on ${spot.id} send to ${believed.name}, but ${names} serves them`;
    });
  }

  #spot(group: string, id: string, near: VirtualNode): Spot {
    const key = `${group}/${id}/${near.name}`;
    const present = this.#spots.get(key);
    if (present !== undefined) return present;
    const fresh: Spot = {
      group,
      id,
      near,
      unservedSince: this.#lan.now(),
      doubled: undefined,
      blamedSince: undefined,
      believed: undefined,
    };
    this.#spots.set(key, fresh);
    return fresh;
  }

  /** The nodes that hold the address, and can talk with the clients both ways. */
  #servers({ group, id, near }: Spot): readonly VirtualNode[] {
    const link = linkOf(id);
    return [...this.#lan.nodes.values()].filter(
      (node) =>
        node.held.has(`${group}/${id}`) &&
        this.#lan.reaches(node, near, link) &&
        this.#lan.reaches(near, node, link),
    );
  }

  /** Looks at every spot. @returns lines about outages and double service that have ended
   *  @throws AssertionError when two masters stood beside each other for too long */
  observe(): readonly string[] {
    for (const node of this.#lan.nodes.values()) {
      for (const [group, { members }] of node.groups) {
        for (const id of members.keys())
          for (const near of this.#lan.nodes.values()) this.#spot(group, id, near);
      }
    }
    const ended = [...this.#spots.values()].flatMap((spot) => this.#observeSpot(spot));
    const lines = new Map<string, Spot[]>();
    for (const { what, spot } of ended) lines.set(what, [...(lines.get(what) ?? []), spot]);
    return [...lines].map(([what, spots]) => `at ${clock(this.#lan.now())} ${this.#places(spots)} ${what}`);
  }

  #observeSpot(spot: Spot): Ended[] {
    const now = this.#lan.now();
    const servers = this.#servers(spot);
    const ended: Ended[] = [];
    if (servers.length === 0) {
      spot.unservedSince ??= now;
    } else if (spot.unservedSince !== undefined) {
      const outageMs = now - spot.unservedSince;
      if (outageMs > 0) ended.push({ what: `served after ${clock(outageMs)} ms without a master`, spot });
      spot.unservedSince = undefined;
    }

    const by = servers.length > 1 ? servers.map(({ name }) => name).join(' and ') : undefined;
    const handover = servers.some((node) => node.isHandingOver(spot.group));
    if (spot.doubled !== undefined && spot.doubled.by !== by) {
      const doubleMs = now - spot.doubled.since;
      const why = spot.doubled.handover ? ' during a handover' : '';
      if (doubleMs > 1)
        ended.push({ what: `served by ${spot.doubled.by} for ${clock(doubleMs)} ms${why}`, spot });
      spot.doubled = undefined;
    }
    if (by === undefined) {
      spot.blamedSince = undefined;
      return ended;
    }
    spot.doubled ??= { since: now, by, handover };
    if (handover || servers.some(({ frozen, isUp }) => frozen || !isUp)) spot.blamedSince = undefined;
    else spot.blamedSince ??= now;
    const blamedMs = now - (spot.blamedSince ?? now);
    assert(
      blamedMs <= this.overlapLimitMs + 1e-6,
      `${by} are both master on ${spot.id} for ${clock(blamedMs)} ms at ${clock(now)}`,
    );
    return ended;
  }

  /** `wan, lan`, or `wan beside fw2` where it is not so everywhere. */
  #places(spots: readonly Spot[]): string {
    const places = new Map<string, string[]>();
    for (const { group, id, near } of spots) {
      const place = this.#isOnlyGroup(group) ? id : `${id} of ${group}`;
      places.set(place, [...(places.get(place) ?? []), near.name]);
    }
    const named = [...places].map(([place, nears]) => ({
      place,
      where: nears.length === this.#lan.nodes.size ? '' : ` beside ${nears.join(' and ')}`,
    }));
    const wheres = new Set(named.map(({ where }) => where));
    const [where] = wheres;
    if (wheres.size === 1) return `${named.map(({ place }) => place).join(', ')}${where}`;
    return named.map(({ place, where: here }) => `${place}${here}`).join(', ');
  }

  #isOnlyGroup(group: string): boolean {
    return [...this.#spots.values()].every((spot) => spot.group === group);
  }
}
