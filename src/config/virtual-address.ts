import { addressBytes, canonicalAddress, familyOf, formatAddress } from '../protocol/address.ts';
import type { Family } from '../protocol/address.ts';

/** `203.0.113.1/24`, taken apart. */
export interface VirtualAddress {
  readonly family: Family;
  /** canonical */
  readonly address: string;
  readonly prefixLength: number;
}

/** Why a text is no virtual address: `what` continues a sentence that starts with the text. */
export interface Refusal {
  readonly what: string;
  readonly fix: string;
}

/** Reads `ADDR/LEN` and refuses what no Virtual Router can answer for.
 *  @returns the address in canonical form, or why not */
export function parseVirtualAddress(text: string): VirtualAddress | Refusal {
  const [host = '', length, ...rest] = text.split('/');
  const address = canonicalAddress(host);
  if (address === undefined) {
    if (host.includes('%')) return { what: 'has a zone', fix: 'name the interface with the key interface' };
    return {
      what: 'is no IP address',
      fix: 'write an address and its prefix length, such as 203.0.113.1/24',
    };
  }
  const family = familyOf(address);
  const longest = family === 'ipv4' ? 32 : 128;
  if (length === undefined) {
    const usual = family === 'ipv4' ? 24 : 64;
    return { what: 'has no prefix length', fix: `add that of its network, such as ${address}/${usual}` };
  }
  if (rest.length > 0 || !/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > longest) {
    return {
      what: `has no prefix length from 0 to ${longest}`,
      fix: 'write a number of bits after the slash, such as /24',
    };
  }
  const prefixLength = Number(length);
  return refuseRole(address, prefixLength) ?? { family, address, prefixLength };
}

/** Addresses with a meaning of their own. */
function refuseRole(address: string, prefixLength: number): Refusal | undefined {
  const bytes = addressBytes(address);
  const first = bytes[0] ?? 0;
  const host = 'use the address of a host';
  if (bytes.every((octet) => octet === 0)) return { what: 'is the unspecified address', fix: host };
  if (bytes.length === 4) {
    if (first === 127) return { what: 'is a loopback address', fix: host };
    if (first >= 224 && first <= 239) return { what: 'is a multicast address', fix: host };
    if (address === '255.255.255.255') return { what: 'is the broadcast address', fix: host };
  } else {
    if (address === '::1') return { what: 'is the loopback address', fix: host };
    if (first === 0xff) return { what: 'is a multicast address', fix: host };
    if (bytes.subarray(0, 10).every((octet) => octet === 0) && bytes[10] === 0xff && bytes[11] === 0xff) {
      const inside = formatAddress(bytes.subarray(12));
      return {
        what: 'is an IPv4-mapped address',
        fix: `write ${inside} with the length of its IPv4 network`,
      };
    }
  }
  // RFC 3021 and RFC 6164: a network of two addresses has no network address and no broadcast address.
  if (prefixLength > bytes.length * 8 - 2) return undefined;
  if (hostBitsAre(0, bytes, prefixLength)) {
    const name =
      bytes.length === 4 ? 'a network address' : 'a Subnet-Router anycast address (RFC 4291 2.6.1)';
    return { what: `is ${name}`, fix: host };
  }
  if (bytes.length === 4 && hostBitsAre(1, bytes, prefixLength)) {
    return { what: 'is the broadcast address of its network', fix: host };
  }
  return undefined;
}

/** Are all bits after the prefix equal to `bit`? */
function hostBitsAre(bit: 0 | 1, bytes: Uint8Array, prefixLength: number): boolean {
  return bytes.every((octet, index) => {
    const hostMask = 0xff >> Math.min(8, Math.max(0, prefixLength - index * 8));
    return (octet & hostMask) === (bit === 0 ? 0 : hostMask);
  });
}
