import assert from 'node:assert/strict';
import { Service } from './service.ts';
import { type Happening, type Link, type Packet, type Surroundings, VirtualNode } from './virtual-node.ts';

/** A datagram on its way to one node. */
interface Flight {
  readonly to: VirtualNode;
  readonly packet: Packet;
}

/** Which way a node is cut off from a segment. */
export type Direction = 'in' | 'out';

/** Reproducible random numbers from 0 to 1 (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000;
  };
}

/** Nodes on named segments, on a clock of their own. Nothing happens but what `run` lets happen; after every instant the LAN
 *  checks what must never be. */
export class VirtualLan implements Surroundings {
  #now = 0;
  delayMs = 0.1;
  /** How late every timer fires. */
  timerLateMs = 0;
  /** Part of the datagrams that is lost, 0 to 1. */
  loss = 0;
  #random = randomFrom(1);
  readonly nodes: Map<string, VirtualNode> = new Map();
  readonly segments: string[] = [];
  readonly #groups: string[] = [];
  /** `fw1 wan out`, `fw1 wan/ipv6 in`. */
  readonly #cuts = new Set<string>();
  /** How many datagrams to lose next, by `fw1 wan`. */
  readonly #toLose = new Map<string, number>();
  /** In the order of arrival. */
  readonly #flights: Flight[] = [];
  readonly service: Service;
  readonly #onHappening: (happening: Happening) => void;
  readonly #onLine: (line: string) => void;

  /** @param onLine gets what the LAN itself has to tell: who was served how, what was lost */
  constructor(onHappening: (happening: Happening) => void, onLine: (line: string) => void) {
    this.#onHappening = onHappening;
    this.#onLine = onLine;
    this.service = new Service(this);
  }

  now(): number {
    return this.#now;
  }

  segmentNumber(segment: string): number {
    return numberIn(this.segments, segment);
  }

  groupNumber(group: string): number {
    return numberIn(this.#groups, group);
  }

  node(name: string): VirtualNode {
    const found = this.nodes.get(name);
    assert(found !== undefined, `there is no node ${name}`);
    return found;
  }

  addNode(name: string): VirtualNode {
    const node = new VirtualNode(name, Number(/\d+$/.exec(name)?.[0] ?? this.nodes.size + 1), this);
    this.nodes.set(name, node);
    return node;
  }

  seed(seed: number): void {
    this.#random = randomFrom(seed);
  }

  /** @param place a segment, or one family on it such as `wan/ipv6` */
  cut(node: VirtualNode, place: string, ...directions: readonly Direction[]): void {
    for (const direction of directions) this.#cuts.add(`${node.name} ${place} ${direction}`);
    this.settle();
  }

  heal(node: VirtualNode, place: string): void {
    for (const direction of ['in', 'out']) this.#cuts.delete(`${node.name} ${place} ${direction}`);
    this.settle();
  }

  healAll(): void {
    this.#cuts.clear();
    this.#toLose.clear();
    this.loss = 0;
    this.settle();
  }

  loseNext(count: number, from: VirtualNode, segment: string): void {
    this.#toLose.set(`${from.name} ${segment}`, count);
  }

  /** Whether what one node sends reaches the other. */
  reaches(from: VirtualNode, to: VirtualNode, { segment, family }: Link): boolean {
    if (from === to) return true;
    return [segment, `${segment}/${family}`].every(
      (place) => !this.#cuts.has(`${from.name} ${place} out`) && !this.#cuts.has(`${to.name} ${place} in`),
    );
  }

  send(from: VirtualNode, packet: Omit<Packet, 'arrivedAt'>): void {
    const arrivedAt = this.#now + this.delayMs;
    const key = `${from.name} ${packet.segment}`;
    const toLose = this.#toLose.get(key) ?? 0;
    if (toLose > 0) {
      this.#toLose.set(key, toLose - 1);
      const priority = packet.bytes[2] ?? 0;
      this.#onLine(
        `at ${clock(this.#now)} lost on ${packet.segment}: priority ${priority} from ${from.name}`,
      );
      return;
    }
    for (const to of this.nodes.values()) {
      if (to === from || !this.reaches(from, to, packet)) continue;
      if (this.loss > 0 && this.#random() < this.loss) continue;
      const later = this.#flights.findLastIndex((flight) => flight.packet.arrivedAt <= arrivedAt) + 1;
      this.#flights.splice(later, 0, { to, packet: { ...packet, arrivedAt } });
    }
  }

  happened(happening: Happening): void {
    for (const action of happening.actions) {
      if (action.type === 'announce-addresses') {
        this.service.announced(happening.node, happening.group, action.id);
      }
    }
    this.#onHappening(happening);
  }

  /** When something will happen next. */
  #next(): number | undefined {
    const [flight] = this.#flights;
    const instants = [...this.nodes.values()].flatMap((node) => {
      const deadline = node.deadline();
      return deadline === undefined ? [] : deadline + this.timerLateMs;
    });
    if (flight !== undefined) instants.push(flight.packet.arrivedAt);
    return instants.length === 0 ? undefined : Math.min(...instants);
  }

  run(until: number): void {
    let before = this.#now;
    let repeated = 0;
    for (let next = this.#next(); next !== undefined && next <= until; next = this.#next()) {
      this.#now = Math.max(this.#now, next);
      repeated = this.#now === before ? repeated + 1 : 0;
      assert(repeated < 100, `the clock stands still at ${this.#now}`);
      before = this.#now;
      this.#instant();
    }
    this.#now = until;
    this.settle();
  }

  #instant(): void {
    while ((this.#flights[0]?.packet.arrivedAt ?? Infinity) <= this.#now) {
      const flight = this.#flights.shift();
      // A cable that is pulled while a datagram is in it loses it.
      if (flight?.to.isUp === true) flight.to.deliver(flight.packet);
    }
    for (const node of this.nodes.values()) {
      if ((node.deadline() ?? Infinity) + this.timerLateMs <= this.#now) node.serveDeadlines();
    }
    this.settle();
  }

  /** Looks at what came of the last event. @throws AssertionError when something is that must never be */
  settle(): void {
    for (const node of this.nodes.values()) assertCoherent(node);
    for (const line of this.service.observe()) this.#onLine(line);
  }
}

/** An instant as transcripts show it: milliseconds, with one decimal where there is one. */
export function clock(at: number): string {
  return String(Math.round(at * 10) / 10);
}

function numberIn(list: string[], name: string): number {
  if (!list.includes(name)) list.push(name);
  return list.indexOf(name) + 1;
}

/** The members of a group are one: a master is never beside a backup; a leaving one is beside those that have already left, or
 *  that came in meanwhile. One without a source address waits. */
function assertCoherent(node: VirtualNode): void {
  for (const [name, { members }] of node.groups) {
    const states = new Set([...members.values()].map(({ state }) => state.name));
    if ([...members.values()].some(({ primaryAddress }) => primaryAddress === undefined))
      states.delete('init');
    const allowed = states.size <= 1 || (states.has('leaving') && !states.has('master'));
    assert(allowed, `${node.name}: the members of ${name} are ${[...states].join(' and ')} at once`);
    for (const [id, { state }] of members) {
      const holds = node.held.has(`${name}/${id}`);
      assert(
        holds === (state.name === 'master' || state.name === 'leaving'),
        `${node.name}: ${id} is ${state.name} and ${holds ? 'holds' : 'does not hold'} its addresses`,
      );
    }
  }
}
