import { Capture, type Advert } from '../bench/capture.ts';
import { Havrrp } from '../bench/havrrp.ts';
import type { Network } from '../bench/network.ts';
import { adverts, edge, type GroupPlan, twoFirewalls, yamlOf } from './stage.ts';

/** Two firewalls that share the group `edge` on a LAN and a WAN, fw1 with the higher priority; both wires are watched. */

type Settings = Omit<GroupPlan, 'instances'>;
export type FirewallName = 'fw1' | 'fw2';
export type Side = 'lan' | 'wan';

export const priorities = { fw1: 150, fw2: 100 } as const;

/** How long anything may take that is not measured: this machine may be busy. */
export const patienceMs = 10_000;

export class Pair implements AsyncDisposable {
  readonly network: Network;
  readonly captures: Readonly<Record<Side, Capture>>;
  readonly #nodes: Readonly<Record<FirewallName, Havrrp>>;

  /** Starts both, and waits until fw1 is master and fw2 knows. */
  static async start(settings: Settings, own: Partial<Record<FirewallName, Settings>> = {}): Promise<Pair> {
    const network = await twoFirewalls();
    try {
      const captures = {
        lan: await Capture.open(network.tap('lan')),
        wan: await Capture.open(network.tap('wan')),
      };
      const node = (name: FirewallName): Havrrp =>
        new Havrrp(
          network.host(name),
          yamlOf(edge({ priority: priorities[name], ...settings, ...own[name] })),
        );
      const pair = new Pair(network, captures, { fw1: node('fw1'), fw2: node('fw2') });
      await pair.fw1.start();
      await pair.fw1.reaches('edge', 'master', patienceMs);
      await pair.fw2.start();
      await pair.hears('fw1', 2, 'lan');
      await pair.hears('fw1', 2, 'wan');
      return pair;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  private constructor(
    network: Network,
    captures: Pair['captures'],
    nodes: Readonly<Record<FirewallName, Havrrp>>,
  ) {
    this.network = network;
    this.captures = captures;
    this.#nodes = nodes;
  }

  get fw1(): Havrrp {
    return this.#nodes.fw1;
  }

  get fw2(): Havrrp {
    return this.#nodes.fw2;
  }

  /** Resolves when one is master and the other one is backup. */
  async settles(master: FirewallName): Promise<void> {
    await this.#nodes[master].reaches('edge', 'master', patienceMs);
    await this.#nodes[master === 'fw1' ? 'fw2' : 'fw1'].reaches('edge', 'backup', patienceMs);
  }

  /** IPv4 adverts of a firewall on one side so far. */
  adverts(name: FirewallName, side: Side = 'lan', matching: Partial<Advert> = {}): readonly Advert[] {
    return adverts(this.captures[side], { ...matching, family: 'ipv4', source: sourceOf(name, side) });
  }

  /** Resolves when a firewall has sent so many more adverts on a side. */
  async hears(name: FirewallName, count: number, side: Side = 'lan'): Promise<void> {
    const source = sourceOf(name, side);
    this.captures[side].skip();
    for (let heard = 0; heard < count; heard += 1) {
      await this.captures[side].nextAdvert((advert) => advert.source === source, {
        withinMs: patienceMs,
        what: `advertisement ${heard + 1} of ${count} of ${name} on the ${side}`,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.fw1.close(), this.fw2.close()]);
    await Promise.all([this.captures.lan.close(), this.captures.wan.close()]);
    await this.network.close();
  }
}

export function sourceOf(name: FirewallName, side: Side): string {
  return `${side === 'lan' ? '192.0.2' : '198.51.100'}.${name === 'fw1' ? 1 : 2}`;
}

/** As the network of `twoFirewalls` gives them out. */
export function macOf(name: FirewallName, side: Side): string {
  return `02:00:00:00:0${name === 'fw1' ? 1 : 2}:0${side === 'lan' ? 1 : 2}`;
}
