import { endianness } from 'node:os';
import { type Family, formatAddress } from '../protocol/address.ts';

/** What every rtnetlink message is made of: numbers in host byte order, attributes, families, the flags of a request. */

export const littleEndian: boolean = endianness() === 'LE';

/** NLM_F_*: some have one meaning in a request and another one in an answer. */
export const flag = {
  request: 0x01,
  multi: 0x02,
  ack: 0x04,
  dumpInterrupted: 0x10,
  capped: 0x100,
  replace: 0x100,
  dump: 0x300,
  exclusive: 0x200,
  ackHasAttributes: 0x200,
  create: 0x400,
} as const;

/** AF_INET and AF_INET6. */
export const familyNumber: Readonly<Record<Family, number>> = { ipv4: 2, ipv6: 10 };

/** A request without its sequence number. */
export interface Command {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

const attributeHeaderBytes = 4;

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function align(length: number): number {
  return (length + 3) & ~3;
}

// ---- reading ----

export function familyOfNumber(number: number | undefined): Family | undefined {
  if (number === familyNumber.ipv4) return 'ipv4';
  return number === familyNumber.ipv6 ? 'ipv6' : undefined;
}

/** The attributes of a message, by type without the nested and byte-order bits; undefined where one overruns the rest.
 *  A remainder too short for an attribute is padding. */
export function readAttributes(bytes: Uint8Array): Map<number, Uint8Array> | undefined {
  const attributes = new Map<number, Uint8Array>();
  const view = viewOf(bytes);
  for (let at = 0; at + attributeHeaderBytes <= bytes.length;) {
    const length = view.getUint16(at, littleEndian);
    if (length < attributeHeaderBytes || at + length > bytes.length) return undefined;
    const type = view.getUint16(at + 2, littleEndian) & 0x3fff;
    attributes.set(type, bytes.subarray(at + attributeHeaderBytes, at + length));
    at += align(length);
  }
  return attributes;
}

export function readU32(bytes: Uint8Array | undefined): number | undefined {
  return bytes?.length === 4 ? viewOf(bytes).getUint32(0, littleEndian) : undefined;
}

export function readText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString();
}

/** An address of the family; undefined too for one of another length. */
export function readAddressOf(family: Family, bytes: Uint8Array | undefined): string | undefined {
  return bytes?.length === (family === 'ipv4' ? 4 : 16) ? formatAddress(bytes) : undefined;
}

// ---- writing ----

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, littleEndian);
  return bytes;
}

export function attribute(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const data = Buffer.concat(parts);
  const bytes = new Uint8Array(align(attributeHeaderBytes + data.length));
  const view = viewOf(bytes);
  view.setUint16(0, attributeHeaderBytes + data.length, littleEndian);
  view.setUint16(2, type, littleEndian);
  bytes.set(data, attributeHeaderBytes);
  return bytes;
}

export function nested(type: number, ...attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(0x8000 | type, ...attributes); // NLA_F_NESTED
}

export function textAttribute(type: number, text: string): Uint8Array {
  return attribute(type, Buffer.from(`${text}\0`));
}
