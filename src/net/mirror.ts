import { isDeepStrictEqual } from 'node:util';
import type { Family } from '../protocol/address.ts';
import {
  type Loss,
  type Routing,
  emptyRouting,
  hearRoute,
  hearRule,
  isOurs,
  loseRoutes,
  routeKey,
  ruleKey,
  withoutAddress,
  withoutLink,
} from './routing-mirror.ts';
import {
  type AddressMessage,
  type LinkMessage,
  type Message,
  addressFlag,
  linkFlag,
  scopeNumber,
} from './rtnetlink-messages.ts';

/** What the kernel has, as its messages tell it: the links and addresses of this network namespace, and our routes and
 *  rules. Pure. */

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

export interface Mirror extends Routing {
  readonly links: Map<number, Link>;
  readonly indexes: Map<string, number>;
  /** By interface index, then by `addressKey`. */
  readonly addresses: Map<number, Map<string, InterfaceAddress>>;
}

export function emptyMirror(): Mirror {
  return { links: new Map(), indexes: new Map(), addresses: new Map(), ...emptyRouting() };
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

function hasIpv4(mirror: Mirror, index: number): boolean {
  for (const { family } of mirror.addresses.get(index)?.values() ?? []) if (family === 'ipv4') return true;
  return false;
}

function hasAddress(mirror: Mirror, address: string): boolean {
  for (const each of mirror.addresses.values())
    for (const has of each.values()) if (has.address === address) return true;
  return false;
}

/** What becomes of routes by what a message has told of a link or an address. */
function lossBy(mirror: Mirror, message: Message): Loss | undefined {
  if (message.type === 'link') {
    const { index } = message.link;
    return mirror.links.get(index)?.adminUp === true ? undefined : withoutLink(index);
  }
  if (message.type !== 'address' || !message.gone) return undefined;
  const { interfaceIndex, family, address } = message.address;
  const unnumbered = family === 'ipv4' && !hasIpv4(mirror, interfaceIndex);
  return withoutAddress(
    hasAddress(mirror, address) ? undefined : address,
    unnumbered ? interfaceIndex : undefined,
  );
}

/** What was heard since a dump was asked for: it is at least as new as the dump, whose parts are put together while the tables
 *  change, and wins. */
export interface News {
  readonly subjects: Set<string>;
  readonly losses: Loss[];
}

export function noNews(): News {
  return { subjects: new Set(), losses: [] };
}

/** @returns whether a part of a dump tells less than what was heard since */
export function isStale(message: Message, { subjects, losses }: News): boolean {
  if (subjects.has(subjectOf(message) ?? '')) return true;
  return message.type === 'route' && losses.some((loss) => loss(message.route) !== message.route);
}

/** Takes in what one message tells.
 *  @param news where to note it, while a dump is under way
 *  @returns whether it told anything new */
export function hear(mirror: Mirror, message: Message, news?: News): boolean {
  const subject = subjectOf(message);
  if (subject !== undefined) news?.subjects.add(subject);
  if (message.type === 'route') return hearRoute(mirror, message.route, message);
  if (message.type === 'rule') return hearRule(mirror, message.rule, message.gone);
  if (message.type !== 'link' && message.type !== 'address') return false;
  const isNew =
    message.type === 'link'
      ? hearLink(mirror, message.link, message.gone)
      : hearAddress(mirror, message.address, message.gone);
  if (news === undefined && mirror.routes.size === 0) return isNew;
  const loss = lossBy(mirror, message);
  if (loss === undefined) return isNew;
  news?.losses.push(loss);
  return loseRoutes(mirror, loss) || isNew;
}

/** What a message is about: a link, an address of a link, a route or a rule of ours.
 *  @returns undefined for anything else */
function subjectOf(message: Message): string | undefined {
  switch (message.type) {
    case 'link':
      return linkSubject(message.link.index);
    case 'address': {
      const { interfaceIndex, address, prefixLength, peer } = message.address;
      return addressSubject(interfaceIndex, addressKey(address, prefixLength, peer));
    }
    case 'route':
      return isOurs(message.route) || message.replaces ? routeKey(message.route) : undefined;
    case 'rule':
      return isOurs(message.rule) ? ruleKey(message.rule) : undefined;
    default:
      return undefined;
  }
}

/** @returns the index of the interface that a message about a link or an address is about */
export function interfaceOf(message: Message): number | undefined {
  if (message.type === 'link') return message.link.index;
  return message.type === 'address' ? message.address.interfaceIndex : undefined;
}

function linkSubject(index: number): string {
  return String(index);
}

function addressSubject(index: number, key: string): string {
  return `${index} ${key}`;
}

/** Makes the mirror what complete dumps of links, addresses, routes and rules say, in this order.
 *  @param news what was heard since they were asked for */
export function hearDump(mirror: Mirror, dump: readonly Message[], news: News): void {
  const said = new Set(news.subjects);
  for (const message of dump) {
    const subject = subjectOf(message);
    if (subject === undefined || isStale(message, news)) continue;
    said.add(subject);
    hear(mirror, message);
  }
  for (const index of [...mirror.links.keys()]) if (!said.has(linkSubject(index))) forgetLink(mirror, index);
  for (const [index, addresses] of mirror.addresses) {
    for (const key of [...addresses.keys()]) if (!said.has(addressSubject(index, key))) addresses.delete(key);
  }
  for (const table of [mirror.routes, mirror.rules]) {
    for (const key of [...table.keys()]) if (!said.has(key)) table.delete(key);
  }
}
