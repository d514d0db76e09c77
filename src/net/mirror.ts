import { isDeepStrictEqual } from 'node:util';
import type { Family } from '../protocol/address.ts';
import {
  type AddressMessage,
  type LinkMessage,
  type Message,
  addressFlag,
  linkFlag,
  scopeNumber,
} from './rtnetlink-messages.ts';

/** What the kernel has, as its messages tell it: the links and addresses of this network namespace. Pure. */

/** IFA_PROTO of the addresses havrrp configures: VRRP's and CARP's protocol number. It is how a daemon that was killed
 *  and restarted knows its own addresses from those of the administrator; no registry assigns these values, the kernel
 *  uses 1 to 3 and keepalived 18. Kernels before 5.18 do not keep it: there an address is only known to be ours as long
 *  as the process lives that configured it, and what a killed daemon left behind counts as somebody else's. */
export const ourAddressProtocol = 112;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Lower-case with colons; empty for a device without a six-octet address. */
  readonly mac: string;
  /** Can carry packets now: configured up, carrier, RFC 2863 state up (or unknown: drivers that do not tell). */
  readonly up: boolean;
  /** Configured up. */
  readonly adminUp: boolean;
  readonly mtu: number;
}

export interface InterfaceAddress {
  readonly interfaceIndex: number;
  readonly family: Family;
  readonly address: string;
  readonly prefixLength: number;
  /** IPv4: not the first of its subnet on this interface; the kernel deletes it with the first one. */
  readonly secondary: boolean;
  readonly tentative: boolean;
  readonly dadFailed: boolean;
  /** `global`, `site`, `link`, `host`, or a number. */
  readonly scope: string;
  /** IPv4 only. */
  readonly label: string | undefined;
  /** Carries our IFA_PROTO. */
  readonly ours: boolean;
}

const operState = { unknown: 0, up: 6 } as const;

export interface Mirror {
  readonly links: Map<number, Link>;
  readonly indexes: Map<string, number>;
  /** By interface index, then by `addressKey`. */
  readonly addresses: Map<number, Map<string, InterfaceAddress>>;
}

export function emptyMirror(): Mirror {
  return { links: new Map(), indexes: new Map(), addresses: new Map() };
}

/** What makes an address one of its interface's: the kernel takes the same IPv4 address twice with different lengths. */
export function addressKey(address: string, prefixLength: number, peer: string = address): string {
  return `${address}/${prefixLength}${peer === address ? '' : ` peer ${peer}`}`;
}

function linkFrom(message: LinkMessage, before: Link | undefined): Link {
  const { index, flags, name, mac, mtu } = message;
  const adminUp = (flags & linkFlag.up) !== 0;
  const lowerUp = (flags & linkFlag.lowerUp) !== 0;
  // Some drivers' events (wireless ones) are messages of a name and the flags only.
  const ready =
    message.operState === undefined
      ? (before?.up ?? false)
      : message.operState === operState.up || message.operState === operState.unknown;
  return {
    index,
    name: name ?? before?.name ?? '',
    mac: mac ?? before?.mac ?? '',
    up: adminUp && lowerUp && ready,
    adminUp,
    mtu: mtu ?? before?.mtu ?? 0,
  };
}

function addressFrom(message: AddressMessage): InterfaceAddress {
  const { interfaceIndex, family, address, prefixLength, scope, flags, label, protocol } = message;
  return {
    interfaceIndex,
    family,
    address,
    prefixLength,
    secondary: family === 'ipv4' && (flags & addressFlag.secondary) !== 0,
    tentative: (flags & addressFlag.tentative) !== 0,
    dadFailed: (flags & addressFlag.dadFailed) !== 0,
    scope: Object.entries(scopeNumber).find(([, number]) => number === scope)?.[0] ?? String(scope),
    label,
    ours: protocol === ourAddressProtocol,
  };
}

function forgetLink(mirror: Mirror, index: number): void {
  const link = mirror.links.get(index);
  if (link !== undefined && mirror.indexes.get(link.name) === index) mirror.indexes.delete(link.name);
  mirror.links.delete(index);
  mirror.addresses.delete(index);
}

function hearLink(mirror: Mirror, message: LinkMessage, gone: boolean): boolean {
  const before = mirror.links.get(message.index);
  if (gone) {
    forgetLink(mirror, message.index);
    return before !== undefined;
  }
  const link = linkFrom(message, before);
  // A renamed link, unless another one has taken the old name in the meantime.
  if (before !== undefined && mirror.indexes.get(before.name) === link.index)
    mirror.indexes.delete(before.name);
  mirror.indexes.set(link.name, link.index);
  mirror.links.set(link.index, link);
  return !isDeepStrictEqual(before, link);
}

function hearAddress(mirror: Mirror, message: AddressMessage, gone: boolean): boolean {
  const key = addressKey(message.address, message.prefixLength, message.peer);
  const addresses = mirror.addresses.get(message.interfaceIndex) ?? new Map<string, InterfaceAddress>();
  if (gone) return addresses.delete(key);
  mirror.addresses.set(message.interfaceIndex, addresses);
  const address = addressFrom(message);
  if (isDeepStrictEqual(addresses.get(key), address)) return false;
  addresses.set(key, address);
  return true;
}

/** Takes in what one message tells.
 *  @returns whether it told anything new */
export function hear(mirror: Mirror, message: Message): boolean {
  if (message.type === 'link') return hearLink(mirror, message.link, message.gone);
  if (message.type === 'address') return hearAddress(mirror, message.address, message.gone);
  return false;
}

/** What a message is about: one link, or one address of a link.
 *  @returns undefined for anything else */
export function subjectOf(message: Message): { key: string; interfaceIndex: number } | undefined {
  if (message.type === 'link')
    return { key: linkSubject(message.link.index), interfaceIndex: message.link.index };
  if (message.type !== 'address') return undefined;
  const { interfaceIndex, address, prefixLength, peer } = message.address;
  return { key: addressSubject(interfaceIndex, addressKey(address, prefixLength, peer)), interfaceIndex };
}

function linkSubject(index: number): string {
  return String(index);
}

function addressSubject(index: number, key: string): string {
  return `${index} ${key}`;
}

/** Makes the mirror what a complete dump of links and addresses says.
 *  @param news the subjects of what was heard since the dump was asked for: that is at least as new as the dump, whose
 *  parts are put together while the tables change, and wins */
export function hearDump(mirror: Mirror, dump: readonly Message[], news: ReadonlySet<string>): void {
  const said = new Set(news);
  for (const message of dump) {
    const subject = subjectOf(message);
    if (subject === undefined || news.has(subject.key)) continue;
    said.add(subject.key);
    hear(mirror, message);
  }
  for (const index of [...mirror.links.keys()]) if (!said.has(linkSubject(index))) forgetLink(mirror, index);
  for (const [index, addresses] of mirror.addresses) {
    for (const key of [...addresses.keys()]) if (!said.has(addressSubject(index, key))) addresses.delete(key);
  }
}
