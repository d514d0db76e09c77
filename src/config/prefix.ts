import { addressBytes, canonicalAddress, familyOf, formatAddress } from '../protocol/address.ts';
import type { Family } from '../protocol/address.ts';

/** `203.0.113.0/24`, taken apart. */
export interface Prefix {
  readonly family: Family;
  /** canonical */
  readonly address: string;
  readonly prefixLength: number;
}

/** @returns `203.0.113.0/24` */
export function formatPrefix({ address, prefixLength }: Prefix): string {
  return `${address}/${prefixLength}`;
}

/** Why a text is refused: `what` continues a sentence that starts with the text. */
export interface Refusal {
  readonly what: string;
  readonly fix: string;
}

/** What to do about a text that is no ADDRESS/LENGTH; the rest is the same for all of them. */
interface Mends {
  readonly example: string;
  readonly zone: string;
  readonly noLength: (address: string, family: Family) => string;
}

function longestPrefix(family: Family): number {
  return family === 'ipv4' ? 32 : 128;
}

/** Reads `ADDRESS/LENGTH`, whatever the address means. */
export function splitPrefix(text: string, mends: Mends): Prefix | Refusal {
  const [host = '', length, ...rest] = text.split('/');
  const address = canonicalAddress(host);
  if (address === undefined) {
    if (host.includes('%')) return { what: 'has a zone', fix: mends.zone };
    return { what: 'is no IP address', fix: mends.example };
  }
  const family = familyOf(address);
  if (length === undefined) return { what: 'has no prefix length', fix: mends.noLength(address, family) };
  const longest = longestPrefix(family);
  if (rest.length > 0 || !/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > longest) {
    return {
      what: `has no prefix length from 0 to ${longest}`,
      fix: 'write a number of bits after the slash, such as /24',
    };
  }
  return { family, address, prefixLength: Number(length) };
}

const prefixMends: Mends = {
  example: 'write a network and its prefix length, such as 203.0.113.0/24',
  zone: 'remove it',
  noLength: (address, family) => `add it: ${address}/${longestPrefix(family)} is this address alone`,
};

/** Reads a network, `ADDRESS/LENGTH` without host bits: what follows the prefix is zero. */
export function parsePrefix(text: string): Prefix | Refusal {
  const prefix = splitPrefix(text, prefixMends);
  if ('what' in prefix) return prefix;
  const { address, prefixLength } = prefix;
  const bytes = addressBytes(address);
  if (hostBitsAre(0, bytes, prefixLength)) return prefix;
  const network = bytes.map((octet, index) => octet & ~hostMask(index, prefixLength));
  const longest = longestPrefix(prefix.family);
  return {
    what: 'has host bits',
    fix: `write ${formatAddress(network)}/${prefixLength}, or ${address}/${longest} for this address alone`,
  };
}

/** The bits of an octet that lie after the prefix. */
function hostMask(index: number, prefixLength: number): number {
  return 0xff >> Math.min(8, Math.max(0, prefixLength - index * 8));
}

/** Are all bits after the prefix equal to `bit`? */
export function hostBitsAre(bit: 0 | 1, bytes: Uint8Array, prefixLength: number): boolean {
  return bytes.every((octet, index) => {
    const mask = hostMask(index, prefixLength);
    return (octet & mask) === (bit === 0 ? 0 : mask);
  });
}
