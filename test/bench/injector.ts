import { fileURLToPath } from 'node:url';
import { Child } from './child.ts';
import { craftAdvert, craftIpv4, craftIpv6, type CraftedAdvert } from './craft.ts';
import { Feed } from './feed.ts';
import type { FromChild, Heard, Injection, ToChild } from './injector-child.ts';

export interface InjectedAdvert extends CraftedAdvert {
  readonly source: string;
  /** 224.0.0.18 or ff02::12 unless set. */
  readonly destination?: string;
  readonly hopLimit?: number;
}

/** An independent speaker and listener of protocol 112 on one interface: raw sockets of the npm package `raw-socket`.
 *  Source address and hop limit are whatever the caller says; the Ethernet source is the interface's own. */
export class Injector implements AsyncDisposable {
  /** What came in, first come first. */
  readonly heard: Feed<Heard> = new Feed();
  readonly #child: Child;
  readonly #pending = new Map<number, { done: () => void; fail: (error: Error) => void }>();
  #lastId = 0;

  static async open(place: { readonly namespace: string; readonly interface: string }): Promise<Injector> {
    const program = fileURLToPath(new URL('injector-child.js', import.meta.url));
    const child = await Child.start(process.execPath, [program, place.interface], {
      namespace: place.namespace,
      messages: true,
    });
    const injector = new Injector(child);
    await injector.#ready;
    return injector;
  }

  readonly #ready: Promise<void>;

  private constructor(child: Child) {
    this.#child = child;
    this.#ready = new Promise((resolve, reject) => {
      child.onMessage((message) => {
        const said = message as FromChild;
        if (said.type === 'ready') resolve();
        if (said.type === 'heard') this.heard.push(said);
        if (said.type === 'done') this.#settle(said.id, said.error);
      });
      void child.ended.then(() => {
        const error = new Error(
          `the injector has ended: ${child.log} (was raw-socket built? npm rebuild raw-socket)`,
        );
        reject(error);
        for (const { fail } of this.#pending.values()) fail(error);
        this.heard.end(error.message);
      });
    });
  }

  /** Sends one advertisement made to order. */
  async advertise(advert: InjectedAdvert): Promise<void> {
    await this.flood([advert], { count: 1 });
  }

  /** Sends `count` advertisements, the given ones in turn, all of one family and to one destination. */
  async flood(
    adverts: readonly InjectedAdvert[],
    pace: { readonly count: number; readonly perSecond?: number },
  ): Promise<void> {
    const packets = adverts.map(packetOf);
    const [first] = packets;
    if (first === undefined) throw new Error('nothing to inject');
    await this.sendPackets({
      family: first.family,
      destination: first.destination,
      packets: packets.map(({ bytes }) => bytes),
      count: pace.count,
      perSecond: pace.perSecond,
    });
  }

  /** Sends whole IP packets. Resolves when the last one went out. */
  sendPackets(injection: Injection): Promise<void> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { done: resolve, fail: reject });
      this.#child.send({ id, ...injection } satisfies ToChild);
    });
  }

  async close(): Promise<void> {
    await this.#child.close('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #settle(id: number, error: string | undefined): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.done();
    else pending?.fail(new Error(`injecting: ${error}`));
  }
}

function packetOf(advert: InjectedAdvert): { family: 4 | 6; destination: string; bytes: Uint8Array } {
  const family = advert.source.includes(':') ? 6 : 4;
  const destination = advert.destination ?? (family === 4 ? '224.0.0.18' : 'ff02::12');
  const carriage = { source: advert.source, destination };
  const header = { ...carriage, ...(advert.hopLimit === undefined ? {} : { hopLimit: advert.hopLimit }) };
  const message = craftAdvert(advert, carriage);
  return { family, destination, bytes: (family === 4 ? craftIpv4 : craftIpv6)(message, header) };
}
