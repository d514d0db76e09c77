/** IP addresses, prefixes and MAC addresses. An address is its canonical string everywhere inside havrrp (RFC 5952 for
 *  IPv6), so that `===`, logs and fixtures just work; octets exist only at the wire. */
export type Family = 'ipv4' | 'ipv6';

export const families: readonly Family[] = ['ipv4', 'ipv6'];

/** 224.0.0.18 and ff02::12 (RFC 9568 5.1.1.2, 5.1.2.2). */
export const advertisementGroup: Readonly<Record<Family, string>> = { ipv4: '224.0.0.18', ipv6: 'ff02::12' };

/** IP protocol 112, VRRP's and CARP's. */
export const vrrpProtocol = 112;

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    // No leading zeros: 010 is eight to some programs and ten to others.
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return undefined;
    const value = Number(part);
    if (value > 255) return undefined;
    bytes[index] = value;
  }
  return bytes;
}

/** The 16-bit words of one side of `::`; a dotted quad may end the last one. */
function parseIpv6Words(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const words: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (mayEndInIpv4 && index === parts.length - 1 && part.includes('.')) {
      const quad = parseIpv4(part);
      if (quad === undefined) return undefined;
      const view = new DataView(quad.buffer);
      words.push(view.getUint16(0), view.getUint16(2));
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      words.push(Number.parseInt(part, 16));
    }
  }
  return words;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const sides = text.split('::');
  if (sides.length > 2) return undefined;
  const [left, right] = sides;
  const head = parseIpv6Words(left ?? '', right === undefined);
  const tail = right === undefined ? [] : parseIpv6Words(right, true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  // `::` stands for at least one word (RFC 4291 2.2).
  if (right === undefined ? missing !== 0 : missing < 1) return undefined;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  const words = [...head, ...new Array<number>(missing).fill(0), ...tail];
  for (const [index, word] of words.entries()) view.setUint16(index * 2, word);
  return bytes;
}

/** @returns 4 or 16 octets in network order; undefined for anything that is no plain IP address (no zone, no prefix) */
export function parseAddress(text: string): Uint8Array | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** @param bytes 4 or 16 octets in network order
 *  @returns the canonical text: dotted quad, or RFC 5952 section 4 */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new Error(`an IP address has 4 or 16 octets, not ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const words = Array.from({ length: 8 }, (_, index) => view.getUint16(index * 2));
  // The longest run of two or more zero words becomes `::`; the first of equals (RFC 5952 4.2).
  let runStart = 0;
  let runLength = 1;
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && words[start + length] === 0) length += 1;
    if (length > runLength) [runStart, runLength] = [start, length];
  }
  const hex = words.map((word) => word.toString(16));
  if (runLength < 2) return hex.join(':');
  return `${hex.slice(0, runStart).join(':')}::${hex.slice(runStart + runLength).join(':')}`;
}

/** @returns the canonical form of an address as anybody may write it, undefined when it is none */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes === undefined ? undefined : formatAddress(bytes);
}

/** @param address canonical */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** The octets of an address known to be canonical.
 *  @throws Error when it is not one: our own mistake */
export function addressBytes(address: string): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new Error(`not an IP address: ${address}`);
  return bytes;
}

/** Compares two addresses of one family as unsigned numbers in network order (RFC 9568 6.4.3).
 *  @returns negative, zero or positive, like a sort function */
export function compareAddresses(left: string, right: string): number {
  return Buffer.compare(addressBytes(left), addressBytes(right));
}

/** fe80::/10 (RFC 4291 2.5.6). */
export function isLinkLocal(address: string): boolean {
  const bytes = addressBytes(address);
  return bytes.length === 16 && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
}

/** The link-local address an IPv6 Virtual Router advertises first where none is configured (RFC 9568 5.2.9): the EUI-64
 *  of its virtual MAC, and so the same on every node. */
export function virtualLinkLocal(vrid: number): string {
  return `fe80::200:5eff:fe00:2${vrid.toString(16).padStart(2, '0')}`;
}

/** @returns six octets; undefined for anything but six pairs of hexadecimal digits with colons */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (pair) => Number.parseInt(pair, 16));
}

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}
