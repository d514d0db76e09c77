import { addressBytes, canonicalAddress, formatAddress } from '../protocol/address.ts';
import { hostBitsAre, splitPrefix } from './prefix.ts';
import type { Prefix, Refusal } from './prefix.ts';

const mends = {
  example: 'write an address and its prefix length, such as 203.0.113.1/24',
  zone: 'name the interface with the key interface',
  noLength: (address: string, family: Prefix['family']): string =>
    `add that of its network, such as ${address}/${family === 'ipv4' ? 24 : 64}`,
};

/** Reads `ADDR/LEN` and refuses what no Virtual Router can answer for.
 *  @returns the address in canonical form, or why not */
export function parseVirtualAddress(text: string): Prefix | Refusal {
  const address = splitPrefix(text, mends);
  if ('what' in address) return address;
  return refuseRole(address.address, address.prefixLength) ?? address;
}

/** Reads the address of a host, without a prefix length.
 *  @returns the address in canonical form, or why it is none */
export function parseHostAddress(text: string): string | Refusal {
  const [host = '', length] = text.split('/');
  const address = canonicalAddress(host);
  if (address === undefined) {
    if (host.includes('%')) return { what: 'has a zone', fix: 'name the interface with the key interface' };
    return { what: 'is no IP address', fix: 'write one, such as 203.0.113.254' };
  }
  if (length !== undefined) return { what: 'has a prefix length', fix: `write ${address} alone` };
  return refuseRole(address, undefined) ?? address;
}

/** Addresses with a meaning of their own.
 *  @param prefixLength of its network, where that is known */
function refuseRole(address: string, prefixLength: number | undefined): Refusal | undefined {
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
      const length = prefixLength === undefined ? '' : ' with the length of its IPv4 network';
      return { what: 'is an IPv4-mapped address', fix: `write ${inside}${length}` };
    }
  }
  // RFC 3021 and RFC 6164: a network of two addresses has no network address and no broadcast address.
  if (prefixLength === undefined || prefixLength > bytes.length * 8 - 2) return undefined;
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
