import { KernelError, unreachable } from '../errors.ts';
import type { KernelTables } from './kernel-tables.ts';
import type { InterfaceAddress, Link } from './mirror.ts';
import type { Answer, Request } from './netlink.ts';
import { setPromoteSecondaries } from './rtnetlink-messages.ts';
import { takesOthersAlong } from './wanted-addresses.ts';
import {
  type Found,
  type Item,
  type RouteItem,
  type Want,
  decide,
  held,
  newWant,
  noteAdded,
} from './wants.ts';

/** What went wrong while nobody waited for the answer. */
export type KernelTrouble =
  /** Something could not be put back (it is tried again at the next news of its interface; routes and rules also every
   *  second), or not be removed. `target`: `10.0.0.1/24 on eth0`. */
  | { readonly type: 'refused'; readonly target: string; readonly error: KernelError }
  /** Another program removes something wanted as often as it is put back: it is left alone for so long. */
  | { readonly type: 'fought-over'; readonly target: string; readonly pauseMs: number }
  /** The kernel cannot be watched: what is known of it is old. Tried again every second. */
  | { readonly type: 'blind'; readonly error: KernelError };

export interface ReconcilerHandlers {
  readonly now: () => number;
  /** What came into the kernel that nobody waited for. */
  readonly onRestored: (items: readonly Item[]) => void;
  readonly onTrouble: (trouble: KernelTrouble) => void;
}

/** What is on its way at a time. The loop stands still meanwhile: 0.1 ms for IPv4 addresses, 2 ms for IPv6 ones, whose
 *  duplicate address detection wants the same lock (docs/decisions/netlink-transport.md). */
const window = 16;

/** A gateway may become reachable without a word to us. */
const retryMs = 1000;

/** A route may need an address for its gateway or source, and a rule leads to routes: in this order they come, and in the other
 *  one they go. */
const rank: Readonly<Record<Item['type'], number>> = { address: 0, route: 1, rule: 2 };

interface Order {
  readonly want: Want;
  readonly kind: 'add' | 'remove';
  /** What leaves the kernel: all there is to do, or what is to be added anew. */
  readonly leaves: Found | undefined;
  /** The answer to the last one is the answer to the order. */
  readonly requests: readonly Request[];
}

interface Result {
  readonly want: Want;
  readonly kind: Order['kind'];
  readonly answer: Answer;
}

interface Waiter {
  readonly open: Set<Want>;
  readonly resolve: () => void;
}

/** Keeps in the kernel what is wanted there. One loop brings the kernel to what it should be, a window at a time: a claim,
 *  another program's `ip addr del` and a link that comes back are all the same to it. */
export class Reconciler {
  readonly wants: Map<string, Want> = new Map();
  readonly #tables: KernelTables;
  readonly #handlers: ReconcilerHandlers;
  /** Wants to be looked at, and to be added if missing. */
  readonly #due = new Set<Want>();
  /** Nobody wants them any more: to be removed. */
  readonly #doomed = new Map<string, Want>();
  /** To be looked at again without any news. */
  readonly #retries = new Set<Want>();
  #waiters: Waiter[] = [];
  #working = false;
  #closed = false;

  constructor(tables: KernelTables, handlers: ReconcilerHandlers) {
    this.#tables = tables;
    this.#handlers = handlers;
  }

  isKnown(key: string): boolean {
    return this.wants.has(key) || this.#doomed.has(key);
  }

  want(owner: string, item: Item): Want {
    const { key } = item;
    const want = this.wants.get(key) ?? this.#doomed.get(key) ?? newWant(item);
    this.#doomed.delete(key);
    this.wants.set(key, want);
    this.#due.add(want);
    want.owners.add(owner);
    want.item = item;
    // A new claim is a new beginning, however the last one was fought over.
    want.pausedUntil = -Infinity;
    want.putBackAt = [];
    return want;
  }

  /** @returns whether nobody wants it any more */
  drop(owner: string, want: Want): boolean {
    if (!want.owners.delete(owner) || want.owners.size > 0) return false;
    this.wants.delete(want.key);
    this.#due.delete(want);
    this.#doomed.set(want.key, want);
    return true;
  }

  /** To be removed, though nobody has wanted it. */
  doom(item: Item): Want {
    const want = newWant(item);
    this.#doomed.set(want.key, want);
    return want;
  }

  /** Waits until each is in order or the kernel has said why not. What is asked for in one turn of the loop is done together. */
  async settled(wants: readonly Want[]): Promise<void> {
    queueMicrotask(() => void this.#work());
    if (wants.length === 0) return;
    const settled = new Promise<void>((resolve) => this.#waiters.push({ open: new Set(wants), resolve }));
    if (this.#closed) this.#finish(wants);
    else if (this.#tables.blindness !== undefined) this.giveUp(this.#tables.blindness);
    await settled;
  }

  /** Nobody is left waiting for what cannot be done now; it will be, once the kernel can be watched again. */
  giveUp(error: KernelError): void {
    const awaited = this.#awaited();
    for (const want of awaited) want.error = error;
    this.#finish(awaited);
  }

  /** Looks at what is wanted, and at once puts back what is missing. */
  consider(which: (want: Want) => boolean): void {
    for (const want of this.wants.values()) if (which(want)) this.#due.add(want);
    void this.#work();
  }

  close(): void {
    this.#closed = true;
    this.#finish(this.#awaited());
  }

  #awaited(): Set<Want> {
    return new Set(this.#waiters.flatMap(({ open }) => [...open]));
  }

  #finish(wants: Iterable<Want>): void {
    for (const want of wants) for (const { open } of this.#waiters) open.delete(want);
    for (const { open, resolve } of this.#waiters) if (open.size === 0) resolve();
    this.#waiters = this.#waiters.filter(({ open }) => open.size > 0);
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    while (this.#tables.inSight) {
      const orders = this.#nextOrders();
      if (orders.length === 0) break;
      const requests = orders.flatMap((order) => order.requests);
      // Nothing is awaited but where it must be: what is to be put back is in the kernel before this call returns.
      const crowded = this.#crowdedInterfaces(orders);
      const unpromoting = crowded.size > 0 ? await this.#unpromoting(crowded) : [];
      const before = unpromoting.map((link) => promotion(link, true));
      const after = unpromoting.map((link) => promotion(link, false));
      const answers = await this.#tables.batch([...before, ...requests, ...after]);
      let end = before.length;
      const results = orders.map(({ want, kind, requests: { length } }): Result => {
        end += length;
        return { want, kind, answer: answers[end - 1] ?? { result: 'lost' } };
      });
      await this.#readBack(results);
      this.#record(results);
    }
    this.#working = false;
  }

  /** Makes sure that the mirror has what is there: what it has not, could neither be found present nor removed. */
  async #readBack(results: readonly Result[]): Promise<void> {
    const { mirror } = this.#tables;
    const interfaces = new Set<number>();
    const tables = new Map<string, RouteItem>();
    for (const { want, kind, answer } of results) {
      const { item } = want;
      if (kind === 'remove' || item.type === 'rule' || item.find(mirror) !== undefined) continue;
      const { family } = item.wanted;
      if (item.type === 'address' && family === 'ipv6') {
        const index = mirror.indexes.get(item.wanted.interface);
        if (index !== undefined) interfaces.add(index);
      }
      // It may be ours, and have survived what we believe it cannot.
      const exists = answer.result === 'refused' && answer.error.code === 'EEXIST';
      if (item.type === 'route' && exists) tables.set(`${family} ${item.wanted.table}`, item);
    }
    for (const index of interfaces) await this.#tables.readIpv6(index);
    for (const { wanted } of tables.values()) await this.#tables.readRoutes(wanted.family, wanted.table);
  }

  /** What is to be done next, a window's worth. Removals first: the same address may be wanted with another length. */
  #nextOrders(): Order[] {
    const { mirror } = this.#tables;
    const removals = [...this.#doomed.values()].flatMap((want) => {
      const found = held(want, mirror);
      if (found !== undefined) return { want, found };
      this.#doomed.delete(want.key);
      this.#finish([want]);
      return [];
    });
    removals.sort((left, right) => goesAt(left.want, left.found) - goesAt(right.want, right.found));
    const orders: Order[] = removals.slice(0, window).map(({ want, found }) => {
      return { want, kind: 'remove', leaves: found, requests: [removal(want, found)] };
    });
    const now = this.#handlers.now();
    const due = [...this.#due].sort((left, right) => rank[left.item.type] - rank[right.item.type]);
    for (const want of due) {
      if (orders.length >= window) break;
      this.#due.delete(want);
      const order = this.#orderFor(want, now);
      if (order === undefined) this.#finish([want]);
      else orders.push(order);
    }
    return orders;
  }

  #orderFor(want: Want, now: number): Order | undefined {
    const decision = decide(want, this.#tables.mirror, now);
    const { item } = want;
    switch (decision.type) {
      case 'leave':
        return undefined;
      case 'impossible':
        want.error = refusal(item, decision.obstacle);
        return undefined;
      case 'pause':
        this.#handlers.onTrouble({ type: 'fought-over', target: item.target, pauseMs: decision.pauseMs });
        this.#considerIn(decision.pauseMs, want);
        return undefined;
      case 'add': {
        const { instead } = decision;
        const { type, target, words } = item;
        const command = item.add(this.#tables.mirror);
        const add: Request = { command, operation: `add ${type}`, target, words };
        const requests = instead === undefined ? [add] : [removal(want, instead), add];
        return { want, kind: 'add', leaves: instead, requests };
      }
      default:
        return unreachable(decision);
    }
  }

  #considerIn(delayMs: number, want: Want): void {
    setTimeout(() => {
      this.#retries.delete(want);
      this.consider((each) => each === want);
    }, delayMs).unref();
  }

  #record(results: readonly Result[]): void {
    const { mirror } = this.#tables;
    const awaited = this.#awaited();
    const restored: Item[] = [];
    for (const { want, kind, answer } of results) {
      const wanted = want.owners.size > 0;
      // What has become of it, the look that follows will tell: every want is due then, and the doomed are doomed still.
      if (answer.result === 'lost') continue;
      if (kind === 'remove' && !wanted && !this.#mustGoAgain(want, answer)) this.#doomed.delete(want.key);
      if (kind === 'add' && answer.result === 'done') {
        noteAdded(want, this.#handlers.now());
        if (wanted && !awaited.has(want)) restored.push(want.item);
      }
      if (answer.result === 'refused') {
        if (kind === 'add' && want.item.type === 'route' && held(want, mirror) !== undefined) {
          if (wanted) this.#due.add(want);
          continue;
        }
        this.#refused(want, kind, answer.error, awaited.has(want));
      }
      // Otherwise it was wanted again while it was being removed, or the other way round: there is more to do.
      if (wanted === (kind === 'add') && !this.#doomed.has(want.key)) this.#finish([want]);
    }
    if (restored.length > 0 && !this.#closed) this.#handlers.onRestored(restored);
  }

  /** Of two rules of ours with one preference and table, the kernel may have removed the one with more selectors. */
  #mustGoAgain(want: Want, { result }: Answer): boolean {
    return result === 'done' && want.item.type === 'rule' && held(want, this.#tables.mirror) !== undefined;
  }

  #refused(want: Want, kind: Order['kind'], error: KernelError, awaited: boolean): void {
    const { type, target } = want.item;
    // Somebody else removed it, or its interface: all the better.
    if (kind === 'remove' && ['EADDRNOTAVAIL', 'ENODEV', 'ESRCH', 'ENOENT'].includes(error.code)) {
      // Of a route that went unannounced we would believe for ever that it is there.
      if (type === 'route') this.#tables.mirror.routes.delete(want.key);
      return;
    }
    const isNew = want.error?.code !== error.code;
    want.error = error;
    // A claim tells its caller; that an interface goes is news of its own; anything else is said once, not at every attempt.
    if (kind === 'remove' || (isNew && !awaited && error.code !== 'ENODEV')) {
      this.#handlers.onTrouble({ type: 'refused', target, error });
    }
    // What stands in its place is heard of when it goes.
    if (kind === 'remove' || type === 'address' || error.code === 'EEXIST' || this.#retries.has(want)) return;
    this.#retries.add(want);
    this.#considerIn(retryMs, want);
  }

  /** The interfaces where what is to be removed would take along what is not. */
  #crowdedInterfaces(orders: readonly Order[]): Set<number> {
    const removed = new Set<InterfaceAddress>(orders.flatMap(({ leaves }) => leaves?.address ?? []));
    const crowding = [...removed].filter((each) => takesOthersAlong(this.#tables.mirror, each, removed));
    return new Set(crowding.map(({ interfaceIndex }) => interfaceIndex));
  }

  /** Those of the interfaces where the kernel does not promote a secondary address to primary. It is asked now: nobody
   *  sends word when a sysctl changes. */
  async #unpromoting(interfaces: ReadonlySet<number>): Promise<Link[]> {
    const { links } = this.#tables.mirror;
    return (await this.#tables.linksNow()).flatMap((message) => {
      if (message.type !== 'link' || message.link.promoteSecondaries !== false) return [];
      return interfaces.has(message.link.index) ? (links.get(message.link.index) ?? []) : [];
    });
  }
}

/** Secondary addresses go before the primary one, which would take them along. */
function goesAt({ item }: Want, { address }: Found): number {
  return -2 * rank[item.type] - (address?.secondary === true ? 1 : 0);
}

function removal({ item: { type, target } }: Want, found: Found): Request {
  return { command: found.remove(), operation: `remove ${type}`, target };
}

function promotion({ index, name }: Link, on: boolean): Request {
  return { command: setPromoteSecondaries(index, on), operation: 'set promote_secondaries', target: name };
}

/** In the words of the kernel's own refusals. */
export function refusal(
  { type, target }: Item,
  why: { readonly errno: number; readonly code: string; readonly detail: string },
): KernelError {
  return new KernelError({ ...why, operation: `add ${type}`, target });
}
