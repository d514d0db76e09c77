import { KernelError, unreachable } from '../errors.ts';
import { KernelTables } from './kernel-tables.ts';
import type { InterfaceAddress, Link } from './mirror.ts';
import type { Native } from './native.ts';
import type { Answer, Request } from './netlink.ts';
import { addAddress, deleteAddress, setPromoteSecondaries } from './rtnetlink-messages.ts';
import {
  type Want,
  type WantedAddress,
  decide,
  findAddress,
  heldAddress,
  messageFor,
  newWant,
  noteAdded,
  takesOthersAlong,
  wantKey,
} from './wanted-addresses.ts';

export type { InterfaceAddress, Link } from './mirror.ts';
export type { WantedAddress } from './wanted-addresses.ts';

export type ClaimOutcome =
  | { readonly wanted: WantedAddress; readonly ok: true }
  | { readonly wanted: WantedAddress; readonly ok: false; readonly error: KernelError };

/** What went wrong while nobody waited for the answer. */
export type KernelTrouble =
  /** An address could not be put back (it is tried again at the next news of its interface), or not be removed. */
  | { readonly type: 'refused'; readonly wanted: WantedAddress; readonly error: KernelError }
  /** Another program removes a wanted address as often as it is put back: it is left alone for so long. */
  | { readonly type: 'fought-over'; readonly wanted: WantedAddress; readonly pauseMs: number }
  /** Links and addresses cannot be watched: what is known of them is old. Tried again every second. */
  | { readonly type: 'blind'; readonly error: KernelError };

export interface KernelOptions {
  readonly native: Native;
  /** Links or addresses changed, and what follows from them must be worked out again. At most once in a turn of the loop. */
  readonly onChange: () => void;
  /** Wanted addresses came into the kernel that no `claim` waited for: put back after another program removed them, or
   *  put in late, when their interface appeared. To be announced, once. */
  readonly onRestored: (addresses: readonly WantedAddress[]) => void;
  readonly onTrouble: (trouble: KernelTrouble) => void;
}

/** Addresses on their way at a time. The loop stands still meanwhile: 0.1 ms for IPv4, 2 ms for IPv6, whose duplicate
 *  address detection wants the same lock (docs/decisions/netlink-transport.md). */
const window = 16;

interface Order {
  readonly want: Want;
  readonly kind: 'add' | 'remove';
  /** What leaves the kernel: all there is to do, or an address to be added anew. */
  readonly removes: InterfaceAddress | undefined;
  /** The answer to the last one is the answer to the order. */
  readonly requests: readonly Request[];
}

interface Waiter {
  readonly open: Set<Want>;
  readonly resolve: () => void;
}

/** The links and addresses of this network namespace: known, watched, and, where somebody wants an address, kept as they
 *  should be. One loop brings the kernel to what is wanted, a window at a time: a claim, another program's `ip addr del`
 *  and a link that comes back are all the same to it. */
export class Kernel {
  readonly #options: KernelOptions;
  readonly #tables: KernelTables;
  readonly #wants = new Map<string, Want>();
  /** Wants to be looked at, and to be added if missing. */
  readonly #due = new Set<Want>();
  /** Nobody wants them any more: to be removed. */
  readonly #doomed = new Map<string, Want>();
  #waiters: Waiter[] = [];
  #working = false;
  #closed = false;

  /** @throws KernelError when links and addresses cannot be read */
  static async open(options: KernelOptions): Promise<Kernel> {
    const kernel = new Kernel(options);
    await kernel.#tables.open();
    return kernel;
  }

  private constructor(options: KernelOptions) {
    this.#options = options;
    this.#tables = new KernelTables(options.native, {
      onNews: (interfaces) => this.#consider((want) => interfaces.has(want.wanted.interface)),
      onChange: options.onChange,
      onLookedAgain: () => this.#consider(() => true),
      onBlind: (error) => {
        options.onTrouble({ type: 'blind', error });
        this.#giveUp(error);
      },
    });
  }

  /** How often news were lost (and everything was looked at anew), made no sense, or were not the kernel's. */
  get counters(): KernelTables['counters'] {
    return this.#tables.counters;
  }

  link(name: string): Link | undefined {
    const { links, indexes } = this.#tables.mirror;
    return links.get(indexes.get(name) ?? -1);
  }

  links(): Iterable<Link> {
    return this.#tables.mirror.links.values();
  }

  /** Oldest first. */
  addresses(interfaceName: string): InterfaceAddress[] {
    const { addresses, indexes } = this.#tables.mirror;
    return [...(addresses.get(indexes.get(interfaceName) ?? -1)?.values() ?? [])];
  }

  /** Whether a wanted address is in the kernel, works, and is ours. */
  present(wanted: WantedAddress): boolean {
    const found = findAddress(this.#tables.mirror, wanted);
    if (found === undefined || found.tentative || found.dadFailed) return false;
    return found.ours || this.#wants.get(wantKey(wanted))?.added === true;
  }

  /** Our addresses in the kernel that nobody wants: a daemon that was killed left them behind. */
  ownedAddresses(): InterfaceAddress[] {
    const all = [...this.#tables.mirror.addresses.values()].flatMap((addresses) => [...addresses.values()]);
    return all.filter((address) => address.ours && !this.#isKnown(wantKey(this.#wantedFrom(address))));
  }

  /** Makes these, and no others, the addresses `owner` wants: from now on they are kept in the kernel. Safe to repeat.
   *  @returns for each whether it is there; never rejects. One that is not there is put in as soon as that can be done */
  async claim(owner: string, addresses: readonly WantedAddress[]): Promise<ClaimOutcome[]> {
    const keys = new Set(addresses.map(wantKey));
    for (const want of [...this.#wants.values()]) if (!keys.has(want.key)) this.#drop(owner, want);
    const claimed = addresses.map((wanted) => ({ wanted, want: this.#want(owner, wanted) }));
    await this.#settled(claimed.map(({ want }) => want));
    return claimed.map(({ wanted, want }) => {
      const cancelled = this.#closed || !want.owners.has(owner);
      const error = cancelled ? refusal(wanted, 125, 'ECANCELED', 'nobody wants it any more') : want.error;
      return error === undefined ? { wanted, ok: true } : { wanted, ok: false, error };
    });
  }

  /** Removes the addresses of `owner` that nobody else wants. One the kernel will not let go of is reported as trouble. */
  async release(owner: string): Promise<void> {
    const wants = [...this.#wants.values()];
    await this.#settled(wants.filter((want) => this.#drop(owner, want)));
  }

  /** Removes what `ownedAddresses` found. */
  async remove(addresses: readonly InterfaceAddress[]): Promise<void> {
    const wants = addresses.map((address) => newWant(this.#wantedFrom(address)));
    const unknown = wants.filter(({ key }) => !this.#isKnown(key));
    for (const want of unknown) this.#doomed.set(want.key, want);
    await this.#settled(unknown);
  }

  /** Lets go of the kernel; what is in it stays there. Claims still out end as refused. */
  close(): void {
    this.#closed = true;
    this.#tables.close();
    this.#finish(this.#awaited());
  }

  #isKnown(key: string): boolean {
    return this.#wants.has(key) || this.#doomed.has(key);
  }

  #want(owner: string, wanted: WantedAddress): Want {
    const key = wantKey(wanted);
    const want = this.#wants.get(key) ?? this.#doomed.get(key) ?? newWant(wanted);
    this.#doomed.delete(key);
    this.#wants.set(key, want);
    this.#due.add(want);
    want.owners.add(owner);
    want.wanted = wanted;
    // A new claim is a new beginning, however the last one was fought over.
    want.pausedUntil = -Infinity;
    want.putBackAt = [];
    return want;
  }

  /** @returns whether nobody wants it any more */
  #drop(owner: string, want: Want): boolean {
    if (!want.owners.delete(owner) || want.owners.size > 0) return false;
    this.#wants.delete(want.key);
    this.#due.delete(want);
    this.#doomed.set(want.key, want);
    return true;
  }

  /** Has them done, and waits until each is in order or the kernel has said why not. */
  async #settled(wants: readonly Want[]): Promise<void> {
    if (wants.length === 0) return this.#work();
    const settled = new Promise<void>((resolve) => this.#waiters.push({ open: new Set(wants), resolve }));
    void this.#work();
    if (this.#closed) this.#finish(wants);
    else if (this.#tables.blindness !== undefined) this.#giveUp(this.#tables.blindness);
    await settled;
  }

  #awaited(): Set<Want> {
    return new Set(this.#waiters.flatMap(({ open }) => [...open]));
  }

  #finish(wants: Iterable<Want>): void {
    for (const want of wants) for (const { open } of this.#waiters) open.delete(want);
    for (const { open, resolve } of this.#waiters) if (open.size === 0) resolve();
    this.#waiters = this.#waiters.filter(({ open }) => open.size > 0);
  }

  /** Nobody is left waiting for what cannot be done now; it will be, once links and addresses can be watched again. */
  #giveUp(error: KernelError): void {
    const awaited = this.#awaited();
    for (const want of awaited) want.error = error;
    this.#finish(awaited);
  }

  #consider(which: (want: Want) => boolean): void {
    for (const want of this.#wants.values()) if (which(want)) this.#due.add(want);
    void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    while (this.#tables.inSight) {
      const orders = this.#nextOrders();
      if (orders.length === 0) break;
      const requests = orders.flatMap((order) => order.requests);
      // Nothing is awaited but where it must be: an address to be put back is in the kernel before this call returns.
      const crowded = this.#crowdedInterfaces(orders);
      const unpromoting = crowded.size > 0 ? await this.#unpromoting(crowded) : [];
      const before = unpromoting.map((link) => promotion(link, true));
      const after = unpromoting.map((link) => promotion(link, false));
      const answers = await this.#tables.batch([...before, ...requests, ...after]);
      await this.#lateNews(orders);
      this.#record(orders, answers.slice(before.length));
    }
    this.#working = false;
  }

  /** Makes sure that the mirror has what was added: what it has not, could neither be found present nor removed. */
  async #lateNews(orders: readonly Order[]): Promise<void> {
    const { mirror } = this.#tables;
    const late = orders.filter(({ kind, want: { wanted } }) => {
      return kind === 'add' && wanted.family === 'ipv6' && findAddress(mirror, wanted) === undefined;
    });
    const interfaces = new Set(late.flatMap(({ want }) => mirror.indexes.get(want.wanted.interface) ?? []));
    for (const index of interfaces) await this.#tables.readIpv6(index);
  }

  /** What is to be done next, a window's worth. */
  #nextOrders(): Order[] {
    const { mirror } = this.#tables;
    const removals = [...this.#doomed.values()].flatMap((want) => {
      const removes = heldAddress(mirror, want);
      if (removes !== undefined) return { want, removes };
      this.#doomed.delete(want.key);
      this.#finish([want]);
      return [];
    });
    // Secondary ones before the primary one, which would take them along.
    removals.sort((left, right) => Number(right.removes.secondary) - Number(left.removes.secondary));
    // And removals before additions: the same address may be wanted with another length.
    const orders: Order[] = removals.slice(0, window).map(({ want, removes }) => {
      return { want, kind: 'remove', removes, requests: [removal(want, removes)] };
    });
    const now = this.#options.native.now();
    for (const want of this.#due) {
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
    switch (decision.type) {
      case 'leave':
        return undefined;
      case 'no-interface':
        want.error = refusal(want.wanted, 19, 'ENODEV', 'there is no such interface');
        return undefined;
      case 'pause':
        this.#options.onTrouble({ type: 'fought-over', wanted: want.wanted, pauseMs: decision.pauseMs });
        setTimeout(() => this.#consider((each) => each === want), decision.pauseMs).unref();
        return undefined;
      case 'add': {
        const { interfaceIndex, instead } = decision;
        const command = addAddress(messageFor(want.wanted, interfaceIndex));
        const add: Request = { command, operation: 'add address', target: targetOf(want.wanted) };
        const requests = instead === undefined ? [add] : [removal(want, instead), add];
        return { want, kind: 'add', removes: instead, requests };
      }
      default:
        return unreachable(decision);
    }
  }

  #record(orders: readonly Order[], answers: readonly Answer[]): void {
    const awaited = this.#awaited();
    const restored: WantedAddress[] = [];
    let end = 0;
    for (const { want, kind, requests } of orders) {
      end += requests.length;
      const answer = answers[end - 1] ?? { result: 'lost' };
      const wanted = want.owners.size > 0;
      // What has become of it, the look that follows will tell: every want is due then, and the doomed are doomed still.
      if (answer.result === 'lost') continue;
      if (kind === 'remove' && !wanted) this.#doomed.delete(want.key);
      if (kind === 'add' && answer.result === 'done') {
        noteAdded(want, this.#options.native.now());
        if (wanted && !awaited.has(want)) restored.push(want.wanted);
      }
      if (answer.result === 'refused') this.#refused(want, kind, answer.error, awaited.has(want));
      // Otherwise it was wanted again while it was being removed, or the other way round: there is more to do.
      if (wanted === (kind === 'add')) this.#finish([want]);
    }
    if (restored.length > 0 && !this.#closed) this.#options.onRestored(restored);
  }

  #refused(want: Want, kind: Order['kind'], error: KernelError, awaited: boolean): void {
    // Somebody else removed it, or its interface: all the better.
    if (kind === 'remove' && (error.code === 'EADDRNOTAVAIL' || error.code === 'ENODEV')) return;
    const isNew = want.error?.code !== error.code;
    want.error = error;
    // A claim tells its caller; that an interface goes is news of its own; anything else is said once, not at every attempt.
    if (kind === 'remove' || (isNew && !awaited && error.code !== 'ENODEV')) {
      this.#options.onTrouble({ type: 'refused', wanted: want.wanted, error });
    }
  }

  /** The interfaces where what is to be removed would take along what is not. */
  #crowdedInterfaces(orders: readonly Order[]): Set<number> {
    const removed = new Set(orders.flatMap(({ removes }) => removes ?? []));
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

  #wantedFrom({ interfaceIndex, family, address, prefixLength, label }: InterfaceAddress): WantedAddress {
    const name = this.#tables.mirror.links.get(interfaceIndex)?.name ?? '';
    return { interface: name, family, address, prefixLength, label, scope: 'global' };
  }
}

function targetOf({ address, prefixLength, interface: name }: WantedAddress): string {
  return `${address}/${prefixLength} on ${name}`;
}

function removal({ wanted }: Want, { interfaceIndex }: InterfaceAddress): Request {
  // With a label, the kernel would remove only an address that still has it.
  const command = deleteAddress(messageFor({ ...wanted, label: undefined }, interfaceIndex));
  return { command, operation: 'remove address', target: targetOf(wanted) };
}

function promotion({ index, name }: Link, on: boolean): Request {
  return { command: setPromoteSecondaries(index, on), operation: 'set promote_secondaries', target: name };
}

function refusal(wanted: WantedAddress, errno: number, code: string, detail: string): KernelError {
  return new KernelError({ errno, code, operation: 'add address', target: targetOf(wanted), detail });
}
