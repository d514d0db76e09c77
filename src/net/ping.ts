import { randomBytes } from 'node:crypto';
import { endianness } from 'node:os';
import { addressBytes, familyOf, formatAddress } from '../protocol/address.ts';
import { decodeEchoReply, encodeEchoRequest, icmp } from '../protocol/ping-packet.ts';
import { type Native, slot, succeed } from './native.ts';

export interface PingOptions {
  readonly native: Native;
  /** Canonical, unicast. */
  readonly address: string;
  /** Where the request goes out and the reply comes in; undefined: wherever the routes lead. A link-local address needs it. */
  readonly interfaceName: string | undefined;
  /** u16, as the next: what the reply has to bring back. */
  readonly identifier: number;
  readonly sequence: number;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
}

const payloadBytes = 16;
const slotBytes = slot.data + 64;
const slots = 8;
const receiveBufferBytes = 16 * 1024;

const littleEndian = endianness() === 'LE';

/** Classic BPF (linux/filter.h): passes echo replies with this identifier and sequence, so that everybody else's pings cost us nothing.
 *  A raw IPv4 socket shows its filter the IP header first. */
function echoFilter(family: 'ipv4' | 'ipv6', identifier: number, sequence: number): Uint8Array {
  const instructions: readonly (readonly [code: number, ifTrue: number, ifFalse: number, k: number])[] = [
    family === 'ipv4' ? [0xb1, 0, 0, 0] : [0x01, 0, 0, 0], // X = header length; X = 0
    [0x50, 0, 0, 0], // A = type
    [0x15, 0, 5, icmp[family].reply],
    [0x48, 0, 0, 4], // A = identifier
    [0x15, 0, 3, identifier],
    [0x48, 0, 0, 6], // A = sequence
    [0x15, 0, 1, sequence],
    [0x06, 0, 0, 0xffff_ffff], // the whole packet
    [0x06, 0, 0, 0], // nothing
  ];
  const program = new Uint8Array(instructions.length * 8);
  const view = new DataView(program.buffer);
  for (const [index, [code, ifTrue, ifFalse, k]] of instructions.entries()) {
    view.setUint16(index * 8, code, littleEndian);
    view.setUint8(index * 8 + 2, ifTrue);
    view.setUint8(index * 8 + 3, ifFalse);
    view.setUint32(index * 8 + 4, k, littleEndian);
  }
  return program;
}

/** Sends one ICMP echo request from a raw socket that lives no longer than this (opening and closing one takes the kernel 12 us), so
 *  an interface that was made anew, or rights that were taken away, show at once.
 *  @returns the round trip in milliseconds, by the kernel's own time of arrival; undefined when `signal` ended the waiting
 *  @throws KernelError when it cannot be sent: no rights, no route, no such interface */
export async function ping(options: PingOptions): Promise<number | undefined> {
  const { native, address, interfaceName, identifier, sequence, signal } = options;
  const family = familyOf(address);
  const where = interfaceName ?? '';
  const target = interfaceName === undefined ? address : `${address} on ${interfaceName}`;
  const index =
    interfaceName === undefined
      ? 0
      : succeed(native, native.interfaceIndex(interfaceName), 'find', interfaceName);
  const opened = native.openRaw(family === 'ipv4' ? 4 : 6, icmp[family].protocol, where, receiveBufferBytes);
  const fd = succeed(native, opened, 'open raw socket for', target);
  // Nobody who did not see the request can make up its reply.
  const payload = randomBytes(payloadBytes);
  try {
    succeed(
      native,
      native.attachFilter(fd, echoFilter(family, identifier, sequence)),
      'attach filter for',
      target,
    );
    const request = encodeEchoRequest(family, { identifier, sequence, payload });
    const sentAt = native.now();
    succeed(native, native.send(fd, request, addressBytes(address), new Uint8Array(), index), 'ping', target);
    return await new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
      native.watch(fd, () => {
        const arrivedAt = replyAt(native, fd, address, payload);
        if (arrivedAt !== undefined) resolve(Math.max(0, arrivedAt - sentAt));
      });
    });
  } finally {
    native.close(fd);
  }
}

/** Reads what has come, all of which the filter has passed.
 *  @returns when the reply arrived, if it was among it: from the address that was asked, with the payload it was sent */
function replyAt(native: Native, fd: number, address: string, payload: Uint8Array): number | undefined {
  const slab = new Uint8Array(slots * slotBytes);
  const view = new DataView(slab.buffer);
  const family = familyOf(address);
  for (
    let count = native.receive(fd, slab, slotBytes);
    count > 0;
    count = native.receive(fd, slab, slotBytes)
  ) {
    for (let start = 0; start < count * slotBytes; start += slotBytes) {
      const length = Math.min(view.getUint32(start + slot.length, littleEndian), slotBytes - slot.data);
      const bytes = slab.subarray(start + slot.data, start + slot.data + length);
      const source = slab.slice(start + slot.source, start + slot.source + (family === 'ipv4' ? 4 : 16));
      const decoded = decodeEchoReply(family, bytes);
      if (!decoded.ok || formatAddress(source) !== address) continue;
      if (Buffer.compare(decoded.echo.payload, payload) !== 0) continue;
      return view.getFloat64(start + slot.arrivedAt, littleEndian);
    }
  }
  return undefined;
}
