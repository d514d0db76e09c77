import type { KernelError } from '../errors.ts';
import { KernelTables, type WhatIsNew } from './kernel-tables.ts';
import type { InterfaceAddress, Link } from './mirror.ts';
import type { Native } from './native.ts';
import { type KernelTrouble, Reconciler, refusal } from './reconciler.ts';
import { addressItem } from './wanted-addresses.ts';
import { routeItem, ruleItem, wantedFromRoute, wantedFromRule } from './wanted-routing.ts';
import type { Item, Want, WantedAddress, WantedRoute, WantedRule } from './wants.ts';

export type { InterfaceAddress, Link } from './mirror.ts';
export type { KernelTrouble } from './reconciler.ts';
export type { WantedAddress, WantedRoute, WantedRule } from './wants.ts';

export type ClaimOutcome<Wanted = WantedAddress> =
  | { readonly wanted: Wanted; readonly ok: true }
  | { readonly wanted: Wanted; readonly ok: false; readonly error: KernelError };

/** What somebody wants in the kernel, or what is there. */
export interface Holdings {
  readonly addresses: readonly WantedAddress[];
  readonly routes: readonly WantedRoute[];
  readonly rules: readonly WantedRule[];
}

/** For each that was wanted, in its order. */
export interface ClaimOutcomes {
  readonly addresses: readonly ClaimOutcome[];
  readonly routes: readonly ClaimOutcome<WantedRoute>[];
  readonly rules: readonly ClaimOutcome<WantedRule>[];
}

export interface KernelOptions {
  readonly native: Native;
  /** Links, addresses, or routes or rules of ours changed, and what follows from them must be worked out again. At most once
   *  in a turn of the loop. */
  readonly onChange: () => void;
  /** Wanted addresses came into the kernel that no `claim` waited for: put back after another program removed them, or
   *  put in late, when their interface appeared. To be announced, once. */
  readonly onRestored: (addresses: readonly WantedAddress[]) => void;
  /** Routes and rules likewise, as ip(8) would name them. */
  readonly onRoutingRestored?: (targets: readonly string[]) => void;
  readonly onTrouble: (trouble: KernelTrouble) => void;
}

/** The links and addresses of this network namespace: known, watched, and, where somebody wants an address, a route or a rule,
 *  kept as they should be. */
export class Kernel {
  readonly #options: KernelOptions;
  readonly #tables: KernelTables;
  readonly #reconciler: Reconciler;
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
      onNews: (news) => this.#reconciler.consider(({ item }) => concerns(news, item)),
      onChange: options.onChange,
      onLookedAgain: () => this.#reconciler.consider(() => true),
      onBlind: (error) => {
        options.onTrouble({ type: 'blind', error });
        this.#reconciler.giveUp(error);
      },
    });
    this.#reconciler = new Reconciler(this.#tables, {
      now: () => options.native.now(),
      onRestored: (items) => this.#restored(items),
      onTrouble: options.onTrouble,
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
    const item = addressItem(wanted);
    const found = item.find(this.#tables.mirror);
    if (found?.address === undefined || found.address.tentative || found.address.dadFailed) return false;
    return found.ours || this.#reconciler.wants.get(item.key)?.added === true;
  }

  presentRoute(wanted: WantedRoute): boolean {
    return routeItem(wanted).find(this.#tables.mirror)?.works === true;
  }

  presentRule(wanted: WantedRule): boolean {
    return ruleItem(wanted).find(this.#tables.mirror)?.works === true;
  }

  /** Our addresses in the kernel that nobody wants: a daemon that was killed left them behind. */
  ownedAddresses(): InterfaceAddress[] {
    const all = [...this.#tables.mirror.addresses.values()].flatMap((addresses) => [...addresses.values()]);
    return all.filter((address) => address.ours && !this.#isKnown(addressItem(this.#wantedFrom(address))));
  }

  /** Our routes likewise, as they would have to be claimed to stay. */
  ownedRoutes(): WantedRoute[] {
    const { mirror } = this.#tables;
    const all = [...mirror.routes.values()].map((route) => wantedFromRoute(route, mirror));
    return all.filter((wanted) => !this.#isKnown(routeItem(wanted)));
  }

  ownedRules(): WantedRule[] {
    const all = [...this.#tables.mirror.rules.values()].map(wantedFromRule);
    return all.filter((wanted) => !this.#isKnown(ruleItem(wanted)));
  }

  /** Makes these, and nothing else, what `owner` wants: from now on they are kept in the kernel. Safe to repeat.
   *  @returns for each whether it is there; never rejects. One that is not there is put in as soon as that can be done */
  async claim(owner: string, addresses: readonly WantedAddress[]): Promise<readonly ClaimOutcome[]> {
    return (await this.claimAll(owner, { addresses, routes: [], rules: [] })).addresses;
  }

  /** As `claim`. What is claimed in one turn of the loop, by whichever owner, goes to the kernel in one datagram as far as
   *  it fits, addresses first, then routes, then rules. */
  async claimAll(owner: string, { addresses, routes, rules }: Holdings): Promise<ClaimOutcomes> {
    const items = [...addresses.map(addressItem), ...routes.map(routeItem), ...rules.map(ruleItem)];
    const keys = new Set(items.map(({ key }) => key));
    const others = [...this.#reconciler.wants.values()].filter(({ key }) => !keys.has(key));
    const dropped = others.filter((want) => this.#reconciler.drop(owner, want));
    const wants = items.map((item) => this.#reconciler.want(owner, item));
    this.#listen();
    await this.#reconciler.settled([...dropped, ...wants]);
    const errors = wants.map((want, index) => this.#errorOf(owner, want, items[index] ?? want.item));
    const outcome = <Wanted>(wanted: Wanted, error: KernelError | undefined): ClaimOutcome<Wanted> =>
      error === undefined ? { wanted, ok: true } : { wanted, ok: false, error };
    const routesAt = addresses.length;
    const rulesAt = routesAt + routes.length;
    return {
      addresses: addresses.map((wanted, index) => outcome(wanted, errors[index])),
      routes: routes.map((wanted, index) => outcome(wanted, errors[routesAt + index])),
      rules: rules.map((wanted, index) => outcome(wanted, errors[rulesAt + index])),
    };
  }

  /** Removes what `owner` wants and nobody else. What the kernel will not let go of is reported as trouble. */
  async release(owner: string): Promise<void> {
    const wants = [...this.#reconciler.wants.values()];
    const dropped = wants.filter((want) => this.#reconciler.drop(owner, want));
    this.#listen();
    await this.#reconciler.settled(dropped);
  }

  /** Removes what `ownedAddresses`, `ownedRoutes` and `ownedRules` found. */
  async remove(
    addresses: readonly InterfaceAddress[],
    routes: readonly WantedRoute[] = [],
    rules: readonly WantedRule[] = [],
  ): Promise<void> {
    const wanted = addresses.map((address) => addressItem(this.#wantedFrom(address)));
    const items = [...wanted, ...routes.map(routeItem), ...rules.map(ruleItem)];
    const unknown = items.filter((item) => !this.#isKnown(item));
    await this.#reconciler.settled(unknown.map((item) => this.#reconciler.doom(item)));
  }

  /** Lets go of the kernel; what is in it stays there. Claims still out end as refused. */
  close(): void {
    this.#closed = true;
    this.#tables.close();
    this.#reconciler.close();
  }

  #isKnown({ key }: Item): boolean {
    return this.#reconciler.isKnown(key);
  }

  #errorOf(owner: string, want: Want, item: Item): KernelError | undefined {
    if (!this.#closed && want.owners.has(owner)) return want.error;
    return refusal(item, { errno: 125, code: 'ECANCELED', detail: 'nobody wants it any more' });
  }

  /** Another program's route may stand in the way of a wanted one, take its place, and go. */
  #listen(): void {
    const wanted = [...this.#reconciler.wants.values()];
    this.#tables.listenTo(wanted.flatMap(({ item }) => (item.type === 'route' ? item.wanted : [])));
  }

  #restored(items: readonly Item[]): void {
    const addresses = items.flatMap((item) => (item.type === 'address' ? item.wanted : []));
    const routing = items.filter(({ type }) => type !== 'address');
    if (addresses.length > 0) this.#options.onRestored(addresses);
    if (routing.length > 0) this.#options.onRoutingRestored?.(routing.map(({ target }) => target));
  }

  #wantedFrom({ interfaceIndex, family, address, prefixLength, label }: InterfaceAddress): WantedAddress {
    const name = this.#tables.mirror.links.get(interfaceIndex)?.name ?? '';
    return { interface: name, family, address, prefixLength, label, scope: 'global' };
  }
}

/** Whether an item may have gone, or may be put in now. A route depends on more than its own interface: its source, or the way
 *  to its gateway, may be on another one. */
function concerns({ interfaces, anyInterface, keys }: WhatIsNew, item: Item): boolean {
  if (item.type === 'address') return interfaces.has(item.wanted.interface);
  return keys.has(item.key) || (item.type === 'route' && anyInterface);
}
