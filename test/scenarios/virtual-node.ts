import assert from 'node:assert/strict';
import { alarmsOf } from '../../src/protocol/alarms.ts';
import { type Family, virtualLinkLocal } from '../../src/protocol/address.ts';
import type { Demotion } from '../../src/protocol/demotion.ts';
import {
  type Takeover,
  type Group,
  type GroupAction,
  type GroupEvent,
  type MemberSettings,
  createGroup,
  groupDeadline,
  groupState,
  isHandingOver,
  stepGroup,
} from '../../src/protocol/group.ts';
import type { Fault, Reason } from '../../src/protocol/reason.ts';
import {
  type Checksum,
  decodeAdvertisement,
  encodeAdvertisement,
  multicastContext,
} from '../../src/protocol/vrrp-packet.ts';

/** One router of a group: a family on a segment. */
export interface Link {
  readonly segment: string;
  readonly family: Family;
}

/** A group as its node's configuration has it. */
export interface GroupPlan {
  readonly name: string;
  readonly priority: number;
  readonly preempt: boolean;
  readonly preemptDelayMs?: number;
  readonly takeover?: Takeover;
  readonly intervalMs: number;
  readonly links: readonly Link[];
}

/** A datagram as a packet socket hands it over. */
export interface Packet {
  readonly segment: string;
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  readonly bytes: Uint8Array;
  readonly arrivedAt: number;
}

/** What a step of a group did, for whoever watches. */
export interface Happening {
  readonly node: VirtualNode;
  readonly group: string;
  readonly event: GroupEvent;
  readonly actions: readonly GroupAction[];
  /** Priorities said in this step that say nothing new: the group's usual Advertisement. */
  readonly routine: boolean;
  readonly handover: 'begun' | 'ended' | undefined;
  readonly state: string;
}

/** The LAN around a node. */
export interface Surroundings {
  now(): number;
  /** The number of a segment, 1 for the first: it makes addresses and VRIDs. */
  segmentNumber(segment: string): number;
  groupNumber(group: string): number;
  send(node: VirtualNode, packet: Omit<Packet, 'arrivedAt'>): void;
  happened(happening: Happening): void;
}

interface Running {
  plan: GroupPlan;
  group: Group;
  faults: ReadonlyMap<string, Fault>;
  demotions: readonly Demotion[];
  /** When the group became what it is. */
  since: number;
  /** It was told to stop, and is gone when it has. */
  stopping: boolean;
  /** The priority last said by each router. */
  readonly said: Map<string, number>;
}

export interface Counters {
  sent: number;
  received: number;
  readonly discarded: Map<string, number>;
}

/** `wan` for IPv4, `wan/ipv6`: the id of a router within its group. */
export function routerId({ segment, family }: Link): string {
  return family === 'ipv4' ? segment : `${segment}/${family}`;
}

/** The link that a router id stands for. */
export function linkOf(id: string): Link {
  const [segment = id, family] = id.split('/');
  return { segment, family: family === 'ipv6' ? 'ipv6' : 'ipv4' };
}

/** Networks for documentation (RFC 5737), then private ones. */
function network(segmentNumber: number): string {
  return ['192.0.2', '198.51.100', '203.0.113'][segmentNumber - 1] ?? `10.0.${segmentNumber}`;
}

/** A host with havrrp on it: it drives its groups as the daemon does, on a wire and a clock of the LAN's. */
export class VirtualNode {
  readonly name: string;
  readonly number: number;
  readonly #lan: Surroundings;
  #plans: readonly GroupPlan[] = [];
  readonly #running = new Map<string, Running>();
  /** What is configured on the host now: `group/router` ids. Outlives a killed process, not a crashed host. */
  readonly #held = new Set<string>();
  readonly counters: Map<string, Counters> = new Map();
  frozen = false;
  /** How many datagrams its sockets hold while it is frozen; the kernel drops what comes later. */
  queueLength: number = Infinity;
  readonly #queue: Packet[] = [];

  constructor(name: string, number: number, lan: Surroundings) {
    this.name = name;
    this.number = number;
    this.#lan = lan;
  }

  get isUp(): boolean {
    return this.#running.size > 0;
  }

  get groups(): ReadonlyMap<string, Group> {
    return new Map([...this.#running].map(([name, { group }]) => [name, group]));
  }

  get plans(): readonly GroupPlan[] {
    return this.#plans;
  }

  get held(): ReadonlySet<string> {
    return this.#held;
  }

  /** Adds or replaces a group of the configuration; a running one is changed by `reload`. */
  plan(plan: GroupPlan): void {
    this.#plans = [...this.#plans.filter(({ name }) => name !== plan.name), plan];
  }

  /** @param resume what a killed predecessor held is still there, and it was master a moment ago */
  start(resume: boolean): void {
    assert(this.#running.size === 0, `${this.name} runs already`);
    if (!resume) this.#held.clear();
    for (const plan of this.#plans) {
      const group = createGroup(this.#members(plan, true), plan.takeover);
      this.#running.set(plan.name, {
        plan,
        group,
        faults: new Map(),
        demotions: [],
        since: this.#lan.now(),
        stopping: false,
        said: new Map(),
      });
      this.#tellFacts(plan.name);
      this.step(plan.name, { type: 'startup', resume });
    }
  }

  /** The host goes, with everything on it. */
  crash(): void {
    this.kill();
    this.#held.clear();
  }

  /** The process goes; its addresses stay on the host. */
  kill(): void {
    this.#running.clear();
    this.#queue.length = 0;
    this.frozen = false;
  }

  stop(group: string, planned: boolean, reason: Reason): void {
    this.step(group, { type: 'stop', planned, reason });
  }

  setFault(group: string, segment: string, fault: Fault | undefined): void {
    const running = this.#of(group);
    const faults = new Map(running.faults);
    if (fault === undefined) faults.delete(segment);
    else faults.set(segment, fault);
    running.faults = faults;
    this.#tellFacts(group);
  }

  /** Replaces the demotion of one source; undefined takes it back. Only an operator's hands over. */
  setDemotion(group: string, source: string, demotion: Omit<Demotion, 'source'> | undefined): void {
    const running = this.#of(group);
    const others = running.demotions.filter((other) => other.source !== source);
    running.demotions = demotion === undefined ? others : [...others, { source, ...demotion }];
    const handOver = source === 'operator' && demotion !== undefined;
    this.step(group, { type: 'demotions-changed', demotions: running.demotions, handOver });
  }

  /** Applies a changed plan to the running group, as a reload does: first the members, then what the host says of them. */
  reload(plan: GroupPlan): void {
    this.plan(plan);
    const running = this.#of(plan.name);
    running.plan = plan;
    this.step(plan.name, { type: 'members-changed', members: this.#members(plan, false) });
    // A group that was stopping may have ended with its last member.
    if (this.#running.has(plan.name)) this.#tellFacts(plan.name);
  }

  /** When the node will do something by itself; undefined while it waits for packets only. */
  deadline(): number | undefined {
    const deadlines = [...this.#running.values()].flatMap(({ group }) => groupDeadline(group) ?? []);
    return this.frozen || deadlines.length === 0 ? undefined : Math.min(...deadlines);
  }

  /** Serves every deadline that is due, as the daemon's timer does. */
  serveDeadlines(): void {
    const now = this.#lan.now();
    for (const [name, { group }] of this.#running) {
      if ((groupDeadline(group) ?? Infinity) > now) continue;
      this.step(name, { type: 'deadline-reached' });
      const next = this.#running.get(name);
      const due = next === undefined ? undefined : groupDeadline(next.group);
      assert(
        due === undefined || (Number.isFinite(due) && due > now),
        `${this.name} at ${now}: served its deadline, and the next one, ${due}, is not in the future`,
      );
    }
  }

  deliver(packet: Packet): void {
    if (this.frozen) {
      if (this.#queue.length < this.queueLength) this.#queue.push(packet);
    } else if (this.isUp) this.#receive(packet);
  }

  freeze(): void {
    this.frozen = true;
  }

  /** Runs again: the sockets are drained, then the timer decides. */
  thaw(): void {
    this.frozen = false;
    for (const packet of this.#queue.splice(0)) this.#receive(packet);
    this.serveDeadlines();
  }

  /** Whether the group is serving its addresses only until a successor does. */
  isHandingOver(group: string): boolean {
    const running = this.#running.get(group);
    return running !== undefined && isHandingOver(running.group);
  }

  alarms(): readonly string[] {
    return [...this.#running.values()].flatMap(({ group, since }) => alarmsOf(group, this.#lan.now(), since));
  }

  /** The one door for everything that happens to a group. */
  step(name: string, event: GroupEvent): void {
    const running = this.#of(name);
    const before = running.group;
    const { group, actions } = stepGroup(before, event, this.#lan.now());
    running.group = group;
    const routine = this.#isRoutine(running, event, actions);
    for (const action of actions) this.#perform(name, running, action);
    const was = isHandingOver(before);
    const is = isHandingOver(group);
    this.#lan.happened({
      node: this,
      group: name,
      event,
      actions,
      routine,
      handover: was === is ? undefined : is ? 'begun' : 'ended',
      state: groupState(group),
    });
    running.stopping ||= event.type === 'stop';
    if (running.stopping && groupState(group) === 'init') this.#running.delete(name);
  }

  /** A master's Advertisement in its turn, the same as before. */
  #isRoutine({ said }: Running, event: GroupEvent, actions: readonly GroupAction[]): boolean {
    return (
      event.type === 'deadline-reached' &&
      actions.every(
        (action) => action.type === 'send-advertisement' && said.get(action.id) === action.priority,
      )
    );
  }

  #perform(name: string, running: Running, action: GroupAction): void {
    switch (action.type) {
      case 'send-advertisement':
        running.said.set(action.id, action.priority);
        this.#advertise(name, running, action.id, action.priority);
        break;
      case 'claim-addresses':
        this.#held.add(`${name}/${action.id}`);
        break;
      case 'release-addresses':
        assert(this.#held.delete(`${name}/${action.id}`), `${this.name} releases what it does not hold`);
        break;
      case 'announce-addresses':
        assert(this.#held.has(`${name}/${action.id}`), `${this.name} announces what it does not hold`);
        break;
      case 'report-transition':
        running.since = this.#lan.now();
        break;
    }
  }

  #advertise(name: string, { plan, group }: Running, id: string, priority: number): void {
    // One that is just being removed says its last word with the settings it had.
    const router = group.members.get(id);
    const link = linkOf(id);
    const source = router === undefined ? this.#source(link) : router.primaryAddress;
    assert(source !== undefined, `${this.name} advertises on ${id} without a source address`);
    const { vrid, intervalMs, addresses } = router?.settings ?? this.#settings(plan, link);
    const context = multicastContext(link.family, source);
    // Both readings are in the field, so both are on this wire.
    const checksum: Checksum = this.number % 2 === 0 ? 'pseudo_header' : 'rfc9568';
    const bytes = encodeAdvertisement({ vrid, priority, intervalMs, addresses }, context, checksum);
    this.#countersOf(`${name}/${id}`).sent += 1;
    this.#lan.send(this, { segment: link.segment, ...context, hopLimit: 255, bytes });
  }

  /** As the daemon's receiver: decode, find the router, make it an event or a count. */
  #receive({ segment, family, bytes, arrivedAt, ...context }: Packet): void {
    const decoded = decodeAdvertisement(bytes, { family, ...context });
    const seats = [...this.#running].flatMap(([name, { group, plan }]) =>
      plan.links
        .filter((link) => link.segment === segment && link.family === family)
        .map((link) => ({ name, id: routerId(link), router: group.members.get(routerId(link)) })),
    );
    const seat = seats.find(({ router }) => router?.settings.vrid === bytes[1]);
    const blamed = seat ?? seats[0];
    if (blamed === undefined) return;
    const counters = this.#countersOf(`${blamed.name}/${blamed.id}`);
    counters.received += 1;
    const reason = decoded.ok ? (seat === undefined ? 'unknown_vrid' : undefined) : decoded.reason;
    if (reason !== undefined || !decoded.ok || seat === undefined) {
      const key = reason ?? 'unknown_vrid';
      counters.discarded.set(key, (counters.discarded.get(key) ?? 0) + 1);
      return;
    }
    const { advertisement } = decoded;
    const { source } = context;
    this.step(seat.name, { type: 'advertisement-received', id: seat.id, advertisement, source, arrivedAt });
  }

  #of(group: string): Running {
    const running = this.#running.get(group);
    assert(running !== undefined, `${this.name} runs no group ${group}`);
    return running;
  }

  #countersOf(key: string): Counters {
    const present = this.counters.get(key);
    if (present !== undefined) return present;
    const fresh: Counters = { sent: 0, received: 0, discarded: new Map() };
    this.counters.set(key, fresh);
    return fresh;
  }

  #tellFacts(group: string): void {
    const { faults, plan } = this.#of(group);
    const sources = new Map(plan.links.map((link) => [routerId(link), this.#source(link)]));
    this.step(group, { type: 'facts-changed', faults: [...faults.values()], sources });
  }

  #source({ segment, family }: Link): string {
    return family === 'ipv6'
      ? `fe80::${this.number}`
      : `${network(this.#lan.segmentNumber(segment))}.${this.number}`;
  }

  #settings(plan: GroupPlan, { segment, family }: Link): MemberSettings['settings'] {
    const segmentNumber = this.#lan.segmentNumber(segment);
    const groupNumber = this.#lan.groupNumber(plan.name);
    const vrid = segmentNumber * 10 + groupNumber;
    const addresses =
      family === 'ipv6'
        ? [virtualLinkLocal(vrid), `2001:db8:${segmentNumber}::${100 + groupNumber}`]
        : [`${network(segmentNumber)}.${100 + groupNumber}`];
    const { priority, preempt, preemptDelayMs = 0, intervalMs } = plan;
    return { family, vrid, priority, intervalMs, preempt, preemptDelayMs, addresses };
  }

  /** @param known whether the host has told the source addresses already; after a reload those of new members are not known */
  #members(plan: GroupPlan, known: boolean): readonly MemberSettings[] {
    const before = this.#running.get(plan.name)?.group.members;
    return plan.links.map((link) => ({
      id: routerId(link),
      settings: this.#settings(plan, link),
      primaryAddress: known ? this.#source(link) : before?.get(routerId(link))?.primaryAddress,
    }));
  }
}
