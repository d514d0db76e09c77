import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { KernelError } from '../errors.ts';
import { type Family, addressBytes, formatAddress } from '../protocol/address.ts';
import { advertisementFilter } from './filter.ts';
import { type Native, slot, succeed } from './native.ts';

/** A datagram as the kernel delivered it. */
export interface Packet {
  /** The IP payload: a view that is overwritten after the callback. A packet longer than any Advertisement comes cut off. */
  readonly bytes: Uint8Array;
  /** Canonical, as the next. */
  readonly source: string;
  readonly destination: string;
  /** IPv4 TTL or IPv6 Hop Limit. */
  readonly hopLimit: number;
  readonly interfaceIndex: number;
  /** When the kernel took it from the wire, in monotonic milliseconds. */
  readonly arrivedAt: number;
  /** The filter refused it: to be counted by reason, never to be acted upon. */
  readonly sampled: boolean;
}

export interface PacketSocketOptions {
  readonly native: Native;
  readonly family: Family;
  readonly interfaceName: string;
  readonly interfaceIndex: number;
  /** IP protocol number. */
  readonly protocol: number;
  /** The multicast group to listen to, canonical. */
  readonly group: string;
  readonly onPacket: (packet: Packet) => void;
  /** The kernel reports something wrong with the socket, such as ENETDOWN; it goes on listening. */
  readonly onError: (error: KernelError) => void;
}

const slots = 64;

/** Header and data: the largest Advertisement (255 addresses), and something more, so that what is too long shows. */
const slotBytes: Readonly<Record<Family, number>> = { ipv4: slot.data + 1032, ipv6: slot.data + 4104 };

/** A flood must not starve the timers: what is left is read at the next turn of the loop. */
const batchesPerWakeUp = 4;

/** 1261 Advertisements of one address each, measured; the kernel doubles the number for its own bookkeeping. */
const receiveBufferBytes = 512 * 1024;

/** More than the receive buffer holds, so that what was queued when `drain` began has been read when it ends. */
const batchesPerDrain = 32;

/** For packets that are only counted: a handful is enough to see what they are, the rest is counted by the kernel. */
const junkBufferBytes = 16 * 1024;
const junkIntervalMs = 100;

const littleEndian = endianness() === 'LE';

/** One raw socket, member of the group, and the slab it reads into. */
class Receiver {
  /** -1 once closed: the number may belong to another socket by then. */
  fd: number;
  readonly #options: PacketSocketOptions;
  readonly #sampled: boolean;
  readonly #slab: Uint8Array;
  readonly #view: DataView;
  /** An instant at which nothing was queued: whatever is read later arrived later. */
  #emptyAt: number;
  #reading = false;

  constructor(options: PacketSocketOptions, bufferBytes: number, sampled: boolean) {
    const { native, family, interfaceName, interfaceIndex, protocol, group } = options;
    const version = family === 'ipv4' ? 4 : 6;
    this.#options = options;
    this.#sampled = sampled;
    this.#slab = new Uint8Array(slots * slotBytes[family]);
    this.#view = new DataView(this.#slab.buffer);
    this.#emptyAt = native.now();
    const opened = native.openRaw(version, protocol, interfaceName, bufferBytes);
    this.fd = succeed(native, opened, 'open raw socket', interfaceName);
    const joined = native.joinGroup(this.fd, version, addressBytes(group), interfaceIndex);
    // There is no one else yet who could close it.
    if (joined < 0) this.close();
    succeed(native, joined, `join ${group}`, interfaceName);
  }

  attach(program: Uint8Array): void {
    const { native, interfaceName } = this.#options;
    succeed(native, native.attachFilter(this.fd, program), 'attach filter', interfaceName);
  }

  /** @param onReadable called whenever something is queued, and after an error has been reported */
  watch(onReadable: () => void): void {
    const { native, interfaceName } = this.#options;
    const watched = native.watch(this.fd, (errno) => {
      if (errno !== 0) this.#report(errno);
      if (this.fd >= 0) onReadable();
    });
    succeed(native, watched, 'watch', interfaceName);
  }

  unwatch(): void {
    this.#options.native.unwatch(this.fd);
  }

  /** Hands on what is queued, a batch at a time, until nothing is left or `batches` were read. */
  read(batches: number): void {
    assert(!this.#reading, 'a packet callback reads from its own socket');
    const { native, family } = this.#options;
    this.#reading = true;
    try {
      for (let left = batches; left > 0 && this.fd >= 0; left -= 1) {
        const startedAt = native.now();
        const count = native.receive(this.fd, this.#slab, slotBytes[family]);
        if (count < 0) this.#report(-count);
        for (let index = 0; index < count && this.fd >= 0; index += 1)
          this.#deliver(index * slotBytes[family]);
        if (count === slots) continue;
        this.#emptyAt = startedAt;
        break;
      }
    } finally {
      this.#reading = false;
    }
  }

  close(): void {
    this.#options.native.close(this.fd);
    this.fd = -1;
  }

  #deliver(base: number): void {
    const { family, onPacket } = this.#options;
    const view = this.#view;
    const start = base + slot.data;
    onPacket({
      bytes: this.#slab.subarray(start, start + view.getUint32(base + slot.length, littleEndian)),
      source: this.#address(base + slot.source, family),
      destination: this.#address(base + slot.destination, family),
      hopLimit: view.getInt32(base + slot.hopLimit, littleEndian),
      interfaceIndex: view.getUint32(base + slot.interfaceIndex, littleEndian),
      // The kernel's stamp is wall-clock time: a step of that clock while the packet was queued must not make it older.
      arrivedAt: Math.max(view.getFloat64(base + slot.arrivedAt, littleEndian), this.#emptyAt),
      sampled: this.#sampled,
    });
  }

  #address(start: number, family: Family): string {
    return formatAddress(this.#slab.subarray(start, start + (family === 'ipv4' ? 4 : 16)));
  }

  #report(errno: number): void {
    const { native, interfaceName, onError } = this.#options;
    const code = native.errnoName(errno);
    onError(new KernelError({ errno, code, operation: 'receive', target: interfaceName }));
  }
}

/** Sends and receives the datagrams of one protocol and family on one interface. It hears nothing before `setVrids`.
 *
 *  A second socket, with the opposite filter and a small buffer, takes samples of what the first one refuses: one batch at
 *  most in 100 ms, however much arrives. */
export class PacketSocket {
  readonly #options: PacketSocketOptions;
  readonly #accepted: Receiver;
  readonly #refused: Receiver;
  #nextSample: NodeJS.Timeout | undefined;

  /** @throws KernelError, when the interface is not there or has no such family */
  static open(options: PacketSocketOptions): PacketSocket {
    const accepted = new Receiver(options, receiveBufferBytes, false);
    try {
      return new PacketSocket(options, accepted, new Receiver(options, junkBufferBytes, true));
    } catch (error) {
      accepted.close();
      throw error;
    }
  }

  private constructor(options: PacketSocketOptions, accepted: Receiver, refused: Receiver) {
    this.#options = options;
    this.#accepted = accepted;
    this.#refused = refused;
    accepted.watch(() => accepted.read(batchesPerWakeUp));
    this.#sampleWhenReadable();
  }

  /** Says which VRIDs to listen to, in place of those before. A packet that was queued already may still carry another. */
  setVrids(vrids: readonly number[]): void {
    const { accept, reject } = advertisementFilter({ family: this.#options.family, vrids });
    // In this order a packet in between is seen by one of them at least.
    this.#accepted.attach(accept);
    this.#refused.attach(reject);
  }

  /** Hands on every accepted packet that is queued now, before it returns. */
  drain(): void {
    this.#accepted.read(batchesPerDrain);
  }

  /** @param bytes the IP payload
   *  @param addresses canonical, of this socket's family; `source` must be an address of this host
   *  @throws KernelError */
  send(
    bytes: Uint8Array,
    { source, destination }: { readonly source: string; readonly destination: string },
  ): void {
    const { native, interfaceName, interfaceIndex } = this.#options;
    const sent = native.send(
      this.#accepted.fd,
      bytes,
      addressBytes(destination),
      addressBytes(source),
      interfaceIndex,
    );
    succeed(native, sent, `send to ${destination} from ${source}`, interfaceName);
  }

  /** How many packets the filter refused that were lost before anybody looked at them; counted by the kernel, modulo 2^32. */
  get unexamined(): number {
    return this.#dropped(this.#refused);
  }

  /** How many packets passed the filter and were lost all the same, because nobody read them in time. */
  get lost(): number {
    return this.#dropped(this.#accepted);
  }

  close(): void {
    clearTimeout(this.#nextSample);
    this.#accepted.close();
    this.#refused.close();
  }

  /** An ordinary timer, and only while there is something to wait for: nobody decides anything by a sample, so it need not
   *  be on time, and an interface without junk costs no wake-ups. */
  #sampleWhenReadable(): void {
    this.#refused.watch(() => {
      this.#refused.unwatch();
      this.#nextSample = setTimeout(() => this.#sampleWhenReadable(), junkIntervalMs).unref();
      this.#refused.read(1);
    });
  }

  #dropped({ fd }: Receiver): number {
    const { native, interfaceName } = this.#options;
    return succeed(native, native.dropped(fd), 'count dropped packets', interfaceName);
  }
}

/** Sends Ethernet frames on one interface; kept open as long as the interface is used, for closing one takes the kernel
 *  tens of milliseconds. */
export class FrameSocket {
  readonly #native: Native;
  #fd: number;
  readonly #target: string;

  /** @throws KernelError */
  static open(native: Native, interfaceIndex: number): FrameSocket {
    const target = `interface ${interfaceIndex}`;
    const fd = succeed(native, native.openFrames(interfaceIndex), 'open packet socket', target);
    return new FrameSocket(native, fd, target);
  }

  private constructor(native: Native, fd: number, target: string) {
    this.#native = native;
    this.#fd = fd;
    this.#target = target;
  }

  /** @param frames whole, from the destination MAC on; the kernel pads them
   *  @throws KernelError for the first that did not go out */
  send(frames: readonly Uint8Array[]): void {
    for (let sent = 0; sent < frames.length;) {
      const count = this.#native.sendFrames(this.#fd, frames.slice(sent));
      sent += succeed(this.#native, count, 'send frames', this.#target);
    }
  }

  close(): void {
    this.#native.close(this.#fd);
    this.#fd = -1;
  }
}
