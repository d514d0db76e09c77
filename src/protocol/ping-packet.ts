import type { Family } from './address.ts';
import { foldChecksum, sumWords } from './bytes.ts';

/** ICMP echo: what ping(8) says and hears (RFC 792, RFC 4443 section 4). */
export interface Echo {
  /** u16: whose request this is. */
  readonly identifier: number;
  /** u16: which of them. */
  readonly sequence: number;
  /** Comes back as it was sent. */
  readonly payload: Uint8Array;
}

export type DecodedEcho =
  | { readonly ok: true; readonly echo: Echo }
  | { readonly ok: false; readonly reason: 'too_short' | 'no_echo_reply' | 'bad_checksum' };

/** The IP protocol that carries it, and the types of its messages. */
export const icmp: Readonly<
  Record<Family, { readonly protocol: number; readonly request: number; readonly reply: number }>
> = {
  ipv4: { protocol: 1, request: 8, reply: 0 },
  ipv6: { protocol: 58, request: 128, reply: 129 },
};

const headerLength = 8;

/** @returns an echo request from the type octet on. Over IPv6 its checksum is left 0: it covers the addresses, which the kernel chooses, and
 *    so the kernel fills it in, for every raw ICMPv6 socket (RFC 3542 3.1) */
export function encodeEchoRequest(family: Family, { identifier, sequence, payload }: Echo): Uint8Array {
  const bytes = new Uint8Array(headerLength + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, icmp[family].request);
  view.setUint16(4, identifier);
  view.setUint16(6, sequence);
  bytes.set(payload, headerLength);
  if (family === 'ipv4') view.setUint16(2, foldChecksum(sumWords(bytes)));
  return bytes;
}

/** @param bytes from the type octet on, without the IP header
 *  @returns the echo of a reply, whose payload is a view of `bytes`. The checksum is looked at over IPv4 only: over IPv6 the kernel
 *    has done it */
export function decodeEchoReply(family: Family, bytes: Uint8Array): DecodedEcho {
  if (bytes.length < headerLength) return { ok: false, reason: 'too_short' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint8(0) !== icmp[family].reply || view.getUint8(1) !== 0) {
    return { ok: false, reason: 'no_echo_reply' };
  }
  if (family === 'ipv4' && foldChecksum(sumWords(bytes)) !== 0) return { ok: false, reason: 'bad_checksum' };
  const payload = bytes.subarray(headerLength);
  return { ok: true, echo: { identifier: view.getUint16(4), sequence: view.getUint16(6), payload } };
}
