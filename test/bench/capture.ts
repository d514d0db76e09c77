import { writeFile } from 'node:fs/promises';
import { Child } from './child.ts';
import { Feed } from './feed.ts';
import { readFrame, type SeenFrame } from './fields.ts';
import { encodePcap, PcapReader, type Frame } from './pcap.ts';

/** A frame, and what its octets say. */
export type CapturedFrame = Frame & SeenFrame;

/** Where to listen; `network.tap(segment)` names the whole segment. */
export interface CapturePoint {
  readonly namespace: string;
  readonly interface: string;
  /** pcap filter expression: VRRP, ARP and Neighbor Discovery unless told otherwise. */
  readonly filter?: string;
}

const announcements = 'ip proto 112 or ip6 proto 112 or arp or icmp6';

/** A live capture by tcpdump, stamped by the kernel. */
export class Capture implements AsyncDisposable {
  readonly #child: Child;
  readonly #feed: Feed<CapturedFrame> = new Feed(showFrame);
  #notBefore = 0;

  /** Resolves when the capture runs: what is sent from then on is seen. */
  static async open(point: CapturePoint): Promise<Capture> {
    const child = await Child.start(
      'tcpdump',
      // -Z: dropping root would also drop the promise that tcpdump dies with us.
      [
        '-Z',
        'root',
        '-i',
        point.interface,
        '--immediate-mode',
        '-U',
        '--time-stamp-precision=nano',
        '-w',
        '-',
      ].concat(['-n', '-s', '0', point.filter ?? announcements]),
      { namespace: point.namespace, binary: true },
    );
    const capture = new Capture(child);
    await child.lines.next(({ text }) => text.includes('listening on'), {
      withinMs: 10_000,
      what: `tcpdump on ${point.interface}`,
    });
    return capture;
  }

  private constructor(child: Child) {
    this.#child = child;
    const reader = new PcapReader();
    child.stdout.on('data', (chunk: Buffer) => {
      for (const frame of reader.read(chunk)) this.#feed.push({ ...frame, ...readFrame(frame.bytes) });
    });
    void child.ended.then(() => {
      this.#feed.end('the capture has ended');
    });
  }

  /** Everything captured so far, oldest first. */
  get frames(): readonly CapturedFrame[] {
    return this.#feed.items;
  }

  /** The frames of one kind so far. */
  all<Kind extends SeenFrame['kind']>(kind: Kind): readonly (Frame & Extract<SeenFrame, { kind: Kind }>)[] {
    return this.frames.filter(
      (frame): frame is Frame & Extract<SeenFrame, { kind: Kind }> => frame.kind === kind,
    );
  }

  /** The first wanted frame after the one last waited for (or after `skip`).
   *  @throws Error showing what was captured instead */
  next<Wanted extends CapturedFrame>(
    wanted: (frame: CapturedFrame) => frame is Wanted,
    wait: { readonly withinMs: number; readonly what?: string },
  ): Promise<Wanted>;
  next(
    wanted: (frame: CapturedFrame) => boolean,
    wait: { readonly withinMs: number; readonly what?: string },
  ): Promise<CapturedFrame>;
  next(
    wanted: (frame: CapturedFrame) => boolean,
    wait: { readonly withinMs: number; readonly what?: string },
  ): Promise<CapturedFrame> {
    return this.#feed.next((frame) => frame.at >= this.#notBefore && wanted(frame), wait);
  }

  /** The next advertisement of a source, or from anybody, for which `wanted` holds too. */
  nextAdvert(
    wanted: (advert: Advert) => boolean,
    wait: { readonly withinMs: number; readonly what?: string },
  ): Promise<Advert> {
    return this.next((frame): frame is Advert => frame.kind === 'advert' && wanted(frame), wait);
  }

  /** Waits begin with what is on the wire from now on. */
  skip(): void {
    this.#feed.skip();
    // Date.now() has no fractions: a frame of the same millisecond, from before, would still count.
    this.#notBefore = performance.timeOrigin + performance.now();
  }

  /** Writes what was captured so far, for tshark or a person. */
  async write(file: string): Promise<void> {
    await writeFile(file, encodePcap(this.frames));
  }

  /** Ends the capture; `frames` stays. */
  async close(): Promise<void> {
    await this.#child.close('SIGINT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

export type Advert = Frame & Extract<SeenFrame, { kind: 'advert' }>;

function showFrame(frame: CapturedFrame): string {
  const { at, bytes, ...fields } = frame;
  return `${new Date(at).toISOString().slice(11, 23)} ${JSON.stringify(fields)} (${bytes.length} octets)`;
}
