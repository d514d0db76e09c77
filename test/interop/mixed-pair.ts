import type { Test } from 'tap';
import { Capture, type Advert } from '../bench/capture.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { Keepalived, type KeepalivedPlan } from '../bench/keepalived.ts';
import type { Network } from '../bench/network.ts';
import { rootTest } from '../kernel/root.ts';
import { adverts, twoFirewalls, yamlOf } from '../kernel/stage.ts';

/** havrrp on one node and keepalived on the other, with one virtual router for each family on a LAN. keepalived has the plain
 *  configuration that its manual shows. */

export const intervalMs = 100;
export const patienceMs = 10_000;
export const families = ['ipv4', 'ipv6'] as const;
export type Family = (typeof families)[number];

const vrid = 51;
/** The IPv6 list begins with a link-local address, as RFC 9568 asks; havrrp would add the same one. */
const virtual = {
  ipv4: ['192.0.2.254/24'],
  ipv6: ['fe80::200:5eff:fe00:233/64', '2001:db8:1::fe/64'],
} as const;

export interface MixedSettings {
  /** The hosts differ in their addresses: of fw1 and fw2, fw1 has the lower ones. */
  readonly havrrpOn?: 'fw1' | 'fw2';
  readonly havrrp: { readonly priority: number; readonly preempt?: boolean };
  readonly keepalived: {
    readonly priority: number;
    readonly lines?: readonly string[];
    /** Instead of the same ones. */
    readonly addresses?: Partial<Record<Family, readonly string[]>>;
  };
}

export class MixedPair implements AsyncDisposable {
  readonly capture: Capture;
  readonly havrrp: Havrrp;
  readonly #network: Network;
  readonly #settings: MixedSettings;
  #keepalived: Keepalived | undefined;

  static async open(settings: MixedSettings): Promise<MixedPair> {
    const network = await twoFirewalls();
    try {
      return new MixedPair(network, await Capture.open(network.tap('lan')), settings);
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  private constructor(network: Network, capture: Capture, settings: MixedSettings) {
    this.#network = network;
    this.capture = capture;
    this.#settings = settings;
    const lan = { interface: 'lan', vrid, addresses: [...virtual.ipv4, ...virtual.ipv6] };
    const group = { interval: `${intervalMs}ms`, ...settings.havrrp, instances: { lan } };
    this.havrrp = new Havrrp(network.host(this.#hosts.havrrp), yamlOf({ edge: group }));
  }

  get #hosts(): { readonly havrrp: 'fw1' | 'fw2'; readonly keepalived: 'fw1' | 'fw2' } {
    const { havrrpOn = 'fw1' } = this.#settings;
    return { havrrp: havrrpOn, keepalived: havrrpOn === 'fw1' ? 'fw2' : 'fw1' };
  }

  get keepalived(): Keepalived {
    if (this.#keepalived === undefined) throw new Error('keepalived was not started');
    return this.#keepalived;
  }

  async startKeepalived(): Promise<void> {
    const { priority, lines = [], addresses } = this.#settings.keepalived;
    const plan: KeepalivedPlan = {
      instances: families.map((family) => ({
        name: family,
        interface: 'lan',
        vrid,
        priority,
        intervalMs,
        addresses: addresses?.[family] ?? virtual[family],
        lines,
      })),
    };
    this.#keepalived = await Keepalived.start(this.#network.host(this.#hosts.keepalived), plan);
  }

  /** Their adverts so far, of one family. */
  adverts(who: 'havrrp' | 'keepalived', family: Family): readonly Advert[] {
    const ethernetSource = `02:00:00:00:0${this.#hosts[who] === 'fw1' ? 1 : 2}:01`;
    return adverts(this.capture, { family, ethernetSource });
  }

  /** Resolves when this many more adverts of one of them were seen, in both families. */
  async hears(who: 'havrrp' | 'keepalived', count: number): Promise<void> {
    const before = families.map((family) => this.adverts(who, family).length);
    const enough = (): boolean =>
      families.every((family, index) => this.adverts(who, family).length >= (before[index] ?? 0) + count);
    await this.capture.nextAdvert(enough, {
      withinMs: patienceMs,
      what: `${count} advertisements of ${who}`,
    });
  }

  /** Resolves when one is master and the other one, if it runs, is not. */
  async settles(master: 'havrrp' | 'keepalived'): Promise<void> {
    await this.havrrpIs(master === 'havrrp' ? 'master' : 'backup');
    if (this.#keepalived?.isRunning === true)
      await this.keepalivedIs(master === 'keepalived' ? 'MASTER' : 'BACKUP');
  }

  async havrrpIs(state: 'master' | 'backup'): Promise<void> {
    if (this.havrrp.isRunning) await this.havrrp.reaches('edge', state, patienceMs);
  }

  async keepalivedIs(state: 'MASTER' | 'BACKUP'): Promise<void> {
    for (const family of families) await this.keepalived.reaches(family, state, patienceMs);
  }

  /** Who holds the virtual addresses. */
  async holders(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const who of ['havrrp', 'keepalived'] as const) {
      const host = this.#network.host(this.#hosts[who]);
      for (const address of [...virtual.ipv4, ...virtual.ipv6]) {
        if (await host.has(address.split('/')[0] ?? '', 'lan')) found.push(`${who} ${address}`);
      }
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.havrrp.close();
    await this.#keepalived?.[Symbol.asyncDispose]();
    await this.capture.close();
    await this.#network.close();
  }
}

/** One master, who holds everything, for ten adverts without a word from the other one. */
export async function checkMaster(t: Test, pair: MixedPair, master: 'havrrp' | 'keepalived'): Promise<void> {
  await pair.settles(master);
  const other = master === 'havrrp' ? 'keepalived' : 'havrrp';
  await pair.hears(master, 2);
  const spoken = families.map((family) => pair.adverts(other, family).length);
  await pair.hears(master, 10);
  t.strictSame(
    families.map((family) => pair.adverts(other, family).length),
    spoken,
    `${master} is master, ${other} does not say a word`,
  );
  const expected = [...virtual.ipv4, ...virtual.ipv6].map((address) => `${master} ${address}`);
  t.strictSame(await pair.holders(), expected, `${master} alone holds the addresses`);
}

export function mixedTest(
  name: string,
  settings: MixedSettings,
  body: (t: Test, pair: MixedPair) => Promise<void>,
): void {
  rootTest(name, async (t) => {
    await using pair = await MixedPair.open(settings);
    await body(t, pair);
  });
}
