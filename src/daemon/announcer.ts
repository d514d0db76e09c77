import type { Logger } from 'pino';
import type { GarpConfig } from '../config/config.ts';
import { KernelError } from '../errors.ts';
import type { Deadline, DeadlineTimer } from '../net/deadline-timer.ts';
import type { Kernel, WantedAddress } from '../net/kernel.ts';
import type { Native } from '../net/native.ts';
import { parseMac } from '../protocol/address.ts';
import { gratuitousArp, unsolicitedNeighborAdvertisement } from '../protocol/frames.ts';
import type { Wires } from './wires.ts';

/** Frames in one go before the event loop gets its turn: Advertisements do not wait behind a thousand gratuitous ARPs. */
const chunkFrames = 64;

/** A second master that keeps talking asks for an announcement with each Advertisement; one burst a second is enough. */
const minimumGapMs = 1000;

function frameOf(mac: Uint8Array, { family, address }: WantedAddress): Uint8Array {
  return family === 'ipv4' ? gratuitousArp(mac, address) : unsolicitedNeighborAdvertisement(mac, address);
}

/** Tells the neighbours where one router's addresses live, as long as they live here: a burst, another after a while for
 *  switches and hosts that missed the first, then a frame now and then. */
export class Announcer {
  readonly #native: Native;
  readonly #wires: Wires;
  readonly #kernel: Kernel;
  readonly #log: Logger;
  readonly #deadline: Deadline;
  #garp: GarpConfig;
  #addresses: readonly WantedAddress[] = [];
  /** What is still to come, soonest first. */
  #plan: readonly { readonly at: number; readonly rounds: number }[] = [];
  #lastBurstAt = -Infinity;
  #closed = false;

  constructor(options: {
    native: Native;
    timer: DeadlineTimer;
    wires: Wires;
    kernel: Kernel;
    log: Logger;
    garp: GarpConfig;
  }) {
    this.#native = options.native;
    this.#wires = options.wires;
    this.#kernel = options.kernel;
    this.#log = options.log;
    this.#garp = options.garp;
    this.#deadline = options.timer.deadline(() => {
      this.#onDeadline();
    });
  }

  configure(garp: GarpConfig): void {
    this.#garp = garp;
  }

  /** Announces now, and again later, until `stop`. */
  start(addresses: readonly WantedAddress[]): void {
    this.#addresses = addresses;
    const now = this.#native.now();
    const at = Math.max(now, this.#lastBurstAt + minimumGapMs);
    const { repeat, delayMs, intervalMs } = this.#garp;
    // A pause between rounds makes each round an entry of its own.
    const burst = (from: number): { at: number; rounds: number }[] =>
      intervalMs === 0
        ? [{ at: from, rounds: repeat }]
        : Array.from({ length: repeat }, (_, round) => ({ at: from + round * intervalMs, rounds: 1 }));
    this.#plan = [...burst(at), ...(delayMs === 0 ? [] : burst(at + delayMs))];
    if (at === now) this.#onDeadline();
    else this.#deadline.set(at);
  }

  /** One frame for each of these, at once: they had been taken away and were put back. */
  again(addresses: readonly WantedAddress[]): void {
    void this.#send(addresses, 1);
  }

  /** They no longer live here. */
  stop(): void {
    this.#addresses = [];
    this.#plan = [];
    this.#lastBurstAt = -Infinity;
    this.#deadline.set(undefined);
  }

  close(): void {
    this.stop();
    this.#closed = true;
    this.#deadline.close();
  }

  #onDeadline(): void {
    const now = this.#native.now();
    const due = this.#plan.filter(({ at }) => at <= now);
    this.#plan = this.#plan.filter(({ at }) => at > now);
    const rounds = due.reduce((sum, entry) => sum + entry.rounds, 0);
    if (this.#plan.length === 0 && this.#garp.refreshMs > 0)
      this.#plan = [{ at: now + this.#garp.refreshMs, rounds: 1 }];
    this.#deadline.set(this.#plan[0]?.at);
    if (rounds === 0) return;
    this.#lastBurstAt = now;
    void this.#send(this.#addresses, rounds);
  }

  /** All addresses once, then all again: a listener that misses one round hears each address in the next. */
  async #send(addresses: readonly WantedAddress[], rounds: number): Promise<void> {
    const frames = new Map<string, Uint8Array[]>();
    for (const wanted of addresses) {
      // The MAC as it is now: a bond changes it when it fails over.
      const mac = parseMac(this.#kernel.link(wanted.interface)?.mac ?? '');
      if (mac === undefined) continue;
      const list = frames.get(wanted.interface) ?? [];
      list.push(frameOf(mac, wanted));
      frames.set(wanted.interface, list);
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, list] of frames) {
        for (let start = 0; start < list.length; start += chunkFrames) {
          // Later rounds of a long list may find that the addresses have moved away.
          if (this.#closed || this.#addresses.length === 0) return;
          if (!this.#sendChunk(name, list.slice(start, start + chunkFrames))) return;
          if (list.length > chunkFrames) await new Promise(setImmediate);
        }
      }
    }
  }

  #sendChunk(interfaceName: string, frames: readonly Uint8Array[]): boolean {
    try {
      this.#wires.sendFrames(interfaceName, frames);
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.#log.warn({ interface: interfaceName, error: error.message }, 'announcing addresses failed');
      return false;
    }
  }
}
