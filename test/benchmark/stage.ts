import { Capture, type Advert } from '../bench/capture.ts';
import type { Child } from '../bench/child.ts';
import { Network, type Host } from '../bench/network.ts';
import { startResponder } from '../bench/probe.ts';
import type { RouterPlan } from './contestants.ts';

/** The same stage for every contestant: two routers and a client on one switch, and a capture on the switch. */
export const virtualAddress = '10.0.0.1';
export type Place = 'preferred' | 'other';
const sources = { preferred: '10.0.0.2', other: '10.0.0.3' } as const;
const priorities = { preferred: 150, other: 100 } as const;

export class Stage implements AsyncDisposable {
  readonly capture: Capture;
  readonly client: Host;
  readonly #network: Network;

  static async build(): Promise<Stage> {
    const host = (address: string) => ({
      interfaces: { eth0: { segment: 'lan', addresses: [`${address}/24`] } },
    });
    const network = await Network.create({
      segments: ['lan'],
      hosts: { preferred: host(sources.preferred), other: host(sources.other), client: host('10.0.0.10') },
    });
    const capture = await Capture.open(network.tap('lan'));
    for (const place of ['preferred', 'other']) await startResponder(network.host(place));
    return new Stage(network, capture);
  }

  private constructor(network: Network, capture: Capture) {
    this.#network = network;
    this.capture = capture;
    this.client = network.host('client');
  }

  host(place: Place): Host {
    return this.#network.host(place);
  }

  plan(place: Place, intervalMs: number): RouterPlan {
    const address = `${virtualAddress}/24`;
    return { interface: 'eth0', vrid: 51, priority: priorities[place], intervalMs, address };
  }

  /** RFC 9568 6.1, of the router in this place. */
  masterDownIntervalMs(place: Place, intervalMs: number): number {
    return 3 * intervalMs + ((256 - priorities[place]) * intervalMs) / 256;
  }

  isFrom(place: Place): (advert: Advert) => boolean {
    return ({ source }) => source === sources[place];
  }

  /** Until the router in this place is the only one that advertises. */
  async settled(place: Place, withinMs: number): Promise<void> {
    this.capture.skip();
    let inARow = 0;
    const isMine = this.isFrom(place);
    await this.capture.nextAdvert((advert) => (inARow = isMine(advert) ? inARow + 1 : 0) >= 3, {
      withinMs,
      what: `three advertisements in a row of ${place}`,
    });
  }

  /** Tells when the virtual address comes to a host. */
  async watchAddress(place: Place): Promise<AddressWatch> {
    const host = this.host(place);
    const child = await host.start('ip', ['-tshort', 'monitor', 'address'], { environment: { TZ: 'UTC' } });
    // It does not say when it has begun; an event of ours that it reports does.
    const marker = '127.1.2.3';
    const isSeen = (): boolean => child.lines.items.some(({ text }) => text.includes(marker));
    while (!isSeen() && child.isRunning) {
      await host.ip(`address add ${marker}/32 dev lo`);
      await host.ip(`address del ${marker}/32 dev lo`);
    }
    return new AddressWatch(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.capture.close();
    await this.#network.close();
  }
}

export class AddressWatch implements AsyncDisposable {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
  }

  /** What was added until now is of no interest. */
  skip(): void {
    this.#child.lines.skip();
  }

  /** When the virtual address was added, in ms of CLOCK_REALTIME, as `ip` read the clock on being told. */
  async added(withinMs: number): Promise<number> {
    const { text } = await this.#child.lines.next(
      ({ text }) => text.includes(` ${virtualAddress}/`) && !text.includes('Deleted'),
      { withinMs, what: 'the virtual address' },
    );
    const [, seconds, micros] = /^\[(\S+)\.(\d{6})\]/.exec(text) ?? [];
    return Date.parse(`${seconds ?? ''}Z`) + Number(micros) / 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.close('SIGKILL');
  }
}
