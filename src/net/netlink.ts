import { endianness } from 'node:os';
import { KernelError } from '../errors.ts';
import { type Native, slot, succeed } from './native.ts';
import type { Command } from './netlink-attributes.ts';
import { type Message, decodeMessages, encodeMessage } from './rtnetlink-messages.ts';

/** NETLINK_ROUTE over the addon's socket: sequence numbers, answers, dumps, and what to do when the kernel had more to say
 *  than we had room for. Knows requests and answers, not what they are about.
 *
 *  The kernel carries out a request inside send(): what is answered has happened already, in the order of sending. The
 *  news it causes stand in the queue before its answer, unless the kernel leaves them to a work queue. */

const netlinkRoute = 0;

/** The kernel reckons a notification of 100 octets at 768 or more; this holds some 2700 of them. */
const receiveBufferBytes = 1024 * 1024;

/** The kernel makes the parts of a dump as large as what it was last offered, 32 KiB at most. */
const slotBytes = slot.data + 32 * 1024;
const slots = 8;

/** Advertisements go first: what is left is read at the next turn of the loop. */
const readsPerWakeUp = 16;

const dumpAttempts = 10;

const littleEndian = endianness() === 'LE';
const nothing = new Uint8Array(0);

export interface Request {
  readonly command: Command;
  /** For the error: `add address`, `10.0.0.1/24 on eth0`. */
  readonly operation: string;
  readonly target: string;
  /** What a refusal means, by its symbol, where the kernel has no words of its own for it. */
  readonly words?: Readonly<Record<string, string>>;
}

export type Answer =
  | { readonly result: 'done' }
  | { readonly result: 'refused'; readonly error: KernelError }
  /** The socket overran or was closed: whether it was done, only the kernel's tables tell. */
  | { readonly result: 'lost' };

export interface NetlinkHandlers {
  /** News, read by read: a request made in here is carried out before what is queued behind them is read. */
  readonly onMessages: (messages: readonly Message[]) => void;
  /** The end of what was read in this turn of the loop. */
  readonly onRead: () => void;
  /** News were lost: the socket is closed, all requests are answered as lost. To be opened again, and dumped. */
  readonly onLost: () => void;
}

interface Pending {
  readonly request: Request;
  /** The parts of a dump. */
  readonly parts: Message[];
  readonly settle: (answer: Answer) => void;
}

/** Takes the messages out of the first slots of a slab that `receive` has filled. Only the kernel (port 0) is believed:
 *  a process with CAP_NET_ADMIN can send to anybody's port. */
export function readSlab(
  slab: Uint8Array,
  filled: number,
  size: number,
): { messages: Message[]; malformed: number; foreign: number } {
  const view = new DataView(slab.buffer, slab.byteOffset, slab.byteLength);
  const messages: Message[] = [];
  let malformed = 0;
  let foreign = 0;
  for (let base = 0; base < filled * size; base += size) {
    if (view.getUint32(base + slot.source, littleEndian) !== 0) {
      foreign += 1;
      continue;
    }
    const start = base + slot.data;
    // A datagram that did not fit into its slot ends in a message cut short, and so counts as malformed.
    const length = view.getUint32(base + slot.length, littleEndian);
    const decoded = decodeMessages(slab.subarray(start, start + length));
    messages.push(...decoded.messages);
    malformed += decoded.malformed;
  }
  return { messages, malformed, foreign };
}

export class Netlink {
  /** How often the kernel lost news because our buffer was full, messages that made no sense, datagrams that did not come
   *  from the kernel. */
  readonly counters: { overruns: number; malformed: number; foreign: number };

  readonly #native: Native;
  readonly #groups: readonly number[];
  readonly #handlers: NetlinkHandlers;
  readonly #slab = new Uint8Array(slotBytes * slots);
  #fd: number | undefined;
  #filter: Uint8Array | undefined;
  #sequence = 0;
  #pending = new Map<number, Pending>();

  /** @param groups the RTNLGRP_* to hear news of */
  constructor(native: Native, groups: readonly number[], handlers: NetlinkHandlers) {
    this.#native = native;
    this.#groups = groups;
    this.#handlers = handlers;
    this.counters = { overruns: 0, malformed: 0, foreign: 0 };
  }

  get isOpen(): boolean {
    return this.#fd !== undefined;
  }

  /** From now on news are heard.
   *  @throws KernelError */
  open(): void {
    const native = this.#native;
    const fd = succeed(
      native,
      native.openNetlink(netlinkRoute, receiveBufferBytes),
      'open',
      'netlink socket',
    );
    this.#fd = fd;
    try {
      if (this.#filter !== undefined)
        succeed(native, native.attachFilter(fd, this.#filter), 'filter', 'netlink socket');
      for (const group of this.#groups)
        succeed(native, native.netlinkJoin(fd, group), 'join', `netlink group ${group}`);
      const watching = native.watch(fd, (errno) => this.#readable(errno));
      succeed(native, watching, 'watch', 'netlink socket');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** All requests still out are answered as lost. */
  close(): void {
    if (this.#fd === undefined) return;
    this.#native.close(this.#fd);
    this.#fd = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { settle } of pending) settle({ result: 'lost' });
  }

  /** Hears from now on, on this socket and those after it, only what a BPF program passes. Should the kernel refuse the program,
   *  more is heard than needed, or what the last one passed. */
  filter(program: Uint8Array): void {
    if (this.#filter !== undefined && Buffer.compare(this.#filter, program) === 0) return;
    this.#filter = program;
    if (this.#fd !== undefined) this.#native.attachFilter(this.#fd, program);
  }

  /** Sends requests in one datagram. The kernel carries out all of them, whatever becomes of each, in some 40 us apiece and
   *  before the call returns: the caller keeps batches short, and waits for the answers to let the loop breathe.
   *  @returns an answer for each, in their order; never rejects */
  batch(requests: readonly Request[]): Promise<Answer[]> {
    const pending: Pending[] = [];
    const answers = requests.map(
      (request) => new Promise<Answer>((settle) => pending.push({ request, parts: [], settle })),
    );
    this.#send(pending);
    return Promise.all(answers);
  }

  /** Asks for a whole table, and again while the kernel says that it changed under the dump (NLM_F_DUMP_INTR). One dump
   *  at a time: the kernel refuses a second one on the same socket.
   *  @returns its messages, when the answer is `done`; never rejects */
  async dump(request: Request): Promise<Answer & { messages: readonly Message[] }> {
    for (let attempt = 1; ; attempt += 1) {
      const parts: Message[] = [];
      const answer = await new Promise<Answer>((settle) => this.#send([{ request, parts, settle }]));
      const interrupted = parts.some((message) => message.dumpInterrupted);
      if (answer.result !== 'done' || !interrupted) return { ...answer, messages: parts };
      if (attempt === dumpAttempts) return { result: 'lost', messages: [] };
    }
  }

  #send(batch: readonly Pending[]): void {
    if (this.#fd === undefined) {
      for (const { settle } of batch) settle({ result: 'lost' });
      return;
    }
    const numbered = batch.map((pending) => ({ pending, sequence: this.#nextSequence() }));
    const messages = numbered.map(({ pending, sequence }) =>
      encodeMessage(pending.request.command, sequence),
    );
    const result = this.#native.send(this.#fd, Buffer.concat(messages), nothing, nothing, 0);
    for (const { pending, sequence } of numbered) {
      if (result >= 0) this.#pending.set(sequence, pending);
      else pending.settle({ result: 'refused', error: this.#refusal(pending.request, -result, undefined) });
    }
  }

  /** 1 to 2^32 - 1; the kernel's own news have 0. */
  #nextSequence(): number {
    this.#sequence = (this.#sequence % 0xffffffff) + 1;
    return this.#sequence;
  }

  #readable(errno: number): void {
    // ENOBUFS: news and answers were dropped, and those in the queue are older than they are. A new socket has no past.
    if (errno !== 0) return this.#lose('overruns', 1);
    for (let read = 0; read < readsPerWakeUp && this.#fd !== undefined; read += 1) {
      const filled = this.#native.receive(this.#fd, this.#slab, slotBytes);
      if (filled < 0) return this.#lose('overruns', 1);
      if (filled === 0) break;
      const { messages, malformed, foreign } = readSlab(this.#slab, filled, slotBytes);
      this.counters.foreign += foreign;
      // What made no sense may have been news, an answer, or a part of a dump.
      if (malformed > 0) return this.#lose('malformed', malformed);
      const news = messages.filter((message) => !this.#answers(message));
      if (news.length > 0) this.#handlers.onMessages(news);
    }
    this.#handlers.onRead();
  }

  /** @returns whether the message answers a request, one still out or one given up */
  #answers(message: Message): boolean {
    // News carry the sequence number of whoever caused them, in another program too: they are told by their marks alone.
    if (message.type !== 'answer' && !message.partOfDump) return false;
    const pending = this.#pending.get(message.sequence);
    if (pending === undefined) return true;
    pending.parts.push(message);
    if (message.type !== 'answer') return true;
    this.#pending.delete(message.sequence);
    const { errno, detail } = message;
    if (errno === 0) pending.settle({ result: 'done' });
    else pending.settle({ result: 'refused', error: this.#refusal(pending.request, errno, detail) });
    return true;
  }

  #lose(reason: 'overruns' | 'malformed', times: number): void {
    this.counters[reason] += times;
    this.close();
    this.#handlers.onLost();
  }

  #refusal(
    { operation, target, words: known }: Request,
    errno: number,
    detail: string | undefined,
  ): KernelError {
    const code = this.#native.errnoName(errno);
    // The kernel has words of its own for most refusals.
    const words =
      detail ??
      known?.[code] ??
      (code === 'EPERM' ? 'CAP_NET_ADMIN is missing: run as root, or grant it' : undefined);
    return new KernelError({ errno, code, operation, target, ...(words !== undefined && { detail: words }) });
  }
}
