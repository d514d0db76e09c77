import { type Family, addressBytes, formatAddress, formatMac } from '../protocol/address.ts';
import {
  type Command,
  align,
  attribute,
  familyNumber,
  familyOfNumber,
  flag,
  littleEndian,
  nested,
  readAttributes,
  readText,
  readU32,
  textAttribute,
  u32,
  viewOf,
} from './netlink-attributes.ts';
import {
  type RouteMessage,
  type RuleMessage,
  readRoute,
  readRule,
  routeType,
  ruleType,
} from './routing-messages.ts';

/** rtnetlink messages <-> plain data: links and addresses (rtnetlink(7), linux/if_link.h, linux/if_addr.h), the answers
 *  to requests, and what a request is made of. Pure; netlink is the one wire of havrrp that is in host byte order. */

// linux/netlink.h
const messageType = { error: 2, done: 3, newLink: 16, deleteLink: 17, getLink: 18, setLink: 19 } as const;
const addressType = { new: 20, delete: 21, get: 22 } as const;
const errorMessageAttribute = 1; // NLMSGERR_ATTR_MSG

const linkAttribute = { mac: 1, name: 3, mtu: 4, operState: 16, perFamily: 26, extMask: 29 } as const;
const addressAttribute = { address: 1, local: 2, label: 3, cacheInfo: 6, flags: 8, protocol: 11 } as const;
const skipStatistics = 8; // RTEXT_FILTER_SKIP_STATS
const inetConfiguration = 1; // IFLA_INET_CONF
const promoteSecondariesKey = 20; // IPV4_DEVCONF_PROMOTE_SECONDARIES

const headerBytes = 16;
const linkBodyBytes = 16; // struct ifinfomsg
const addressBodyBytes = 8; // struct ifaddrmsg

/** IFF_*, as far as havrrp looks at them. */
export const linkFlag = { up: 0x1, lowerUp: 0x10000 } as const;

/** IFA_F_*. `secondary` is IFA_F_TEMPORARY for an IPv6 address. */
export const addressFlag = {
  secondary: 0x01,
  nodad: 0x02,
  dadFailed: 0x08,
  deprecated: 0x20,
  tentative: 0x40,
  permanent: 0x80,
} as const;

export type Scope = 'global' | 'site' | 'link' | 'host';

/** RT_SCOPE_*. */
export const scopeNumber: Readonly<Record<Scope, number>> = { global: 0, site: 200, link: 253, host: 254 };

/** RTM_NEWLINK, RTM_DELLINK. Not every message of the kernel carries every attribute. */
export interface LinkMessage {
  readonly index: number;
  readonly flags: number;
  readonly name: string | undefined;
  /** Empty for a device without a six-octet address. */
  readonly mac: string | undefined;
  readonly mtu: number | undefined;
  /** IF_OPER_*, RFC 2863. */
  readonly operState: number | undefined;
  /** net.ipv4.conf.IF.promote_secondaries */
  readonly promoteSecondaries: boolean | undefined;
}

/** RTM_NEWADDR, RTM_DELADDR. */
export interface AddressMessage {
  readonly interfaceIndex: number;
  readonly family: Family;
  readonly address: string;
  /** The same as `address`, but for a point-to-point address. */
  readonly peer: string;
  readonly prefixLength: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  readonly flags: number;
  /** IPv4 only. */
  readonly label: string | undefined;
  /** IFA_PROTO: who configured it. Unknown to kernels before 5.18. */
  readonly protocol: number | undefined;
}

export type MessageBody =
  | { readonly type: 'link'; readonly gone: boolean; readonly link: LinkMessage }
  | { readonly type: 'address'; readonly gone: boolean; readonly address: AddressMessage }
  /** `replaces`: it stands now in the place of another one, of which nothing more will be said. */
  | {
      readonly type: 'route';
      readonly gone: boolean;
      readonly replaces: boolean;
      readonly route: RouteMessage;
    }
  | { readonly type: 'rule'; readonly gone: boolean; readonly rule: RuleMessage }
  /** NLMSG_ERROR and NLMSG_DONE end a request: positive errno, 0 = done as asked; the kernel's own words, if any. */
  | { readonly type: 'answer'; readonly errno: number; readonly detail: string | undefined }
  /** Well-formed, and not for us. */
  | { readonly type: 'other' };

export type Message = MessageBody & {
  readonly sequence: number;
  /** One of the parts of a dump; everything else that is no answer is news. */
  readonly partOfDump: boolean;
  /** The table changed under the dump: parts may be missing or double. */
  readonly dumpInterrupted: boolean;
};

// ---- reading ----

/** IFLA_AF_SPEC holds one attribute for each family; IPv4's is an array of u32, one for each devconf key from 1 on. */
function readPromoteSecondaries(perFamily: Uint8Array | undefined): boolean | undefined {
  const inet = perFamily && readAttributes(perFamily)?.get(familyNumber.ipv4);
  const values = inet && readAttributes(inet)?.get(inetConfiguration);
  const value = readU32(values?.subarray((promoteSecondariesKey - 1) * 4, promoteSecondariesKey * 4));
  return value === undefined ? undefined : value !== 0;
}

function readLink(bytes: Uint8Array, gone: boolean): MessageBody | undefined {
  if (bytes.length < linkBodyBytes) return undefined;
  // A bridge reports its ports as RTM_NEWLINK and RTM_DELLINK of family AF_BRIDGE: a port that leaves the bridge is "deleted".
  if (bytes[0] !== 0) return { type: 'other' };
  const view = viewOf(bytes);
  const attributes = readAttributes(bytes.subarray(linkBodyBytes));
  if (attributes === undefined) return undefined;
  const mac = attributes.get(linkAttribute.mac);
  const link: LinkMessage = {
    index: view.getInt32(4, littleEndian),
    flags: view.getUint32(8, littleEndian),
    name: readText(attributes.get(linkAttribute.name)),
    mac: mac && (mac.length === 6 ? formatMac(mac) : ''),
    mtu: readU32(attributes.get(linkAttribute.mtu)),
    operState: attributes.get(linkAttribute.operState)?.[0],
    promoteSecondaries: readPromoteSecondaries(attributes.get(linkAttribute.perFamily)),
  };
  return { type: 'link', gone, link };
}

function readAddress(bytes: Uint8Array, gone: boolean): MessageBody | undefined {
  if (bytes.length < addressBodyBytes) return undefined;
  const [familyOctet, prefixLength = 0, flagsOctet = 0, scope = 0] = bytes;
  const family = familyOfNumber(familyOctet);
  if (family === undefined) return { type: 'other' };
  const attributes = readAttributes(bytes.subarray(addressBodyBytes));
  if (attributes === undefined) return undefined;
  // IFA_ADDRESS is the prefix's address: the other end of a point-to-point link, whose own end is IFA_LOCAL.
  const peer = attributes.get(addressAttribute.address);
  const local = attributes.get(addressAttribute.local) ?? peer;
  const octets = family === 'ipv4' ? 4 : 16;
  if (local?.length !== octets || (peer !== undefined && peer.length !== octets)) return undefined;
  const address: AddressMessage = {
    interfaceIndex: viewOf(bytes).getUint32(4, littleEndian),
    family,
    address: formatAddress(local),
    peer: formatAddress(peer ?? local),
    prefixLength,
    scope,
    flags: readU32(attributes.get(addressAttribute.flags)) ?? flagsOctet,
    label: readText(attributes.get(addressAttribute.label)),
    protocol: attributes.get(addressAttribute.protocol)?.[0],
  };
  return { type: 'address', gone, address };
}

/** NLMSG_ERROR: the errno, the header of the request (all of the request, if the answer is not capped), attributes.
 *  NLMSG_DONE: the errno, attributes. */
function readAnswer(bytes: Uint8Array, type: number, flags: number): MessageBody | undefined {
  // NLMSG_DONE was empty in kernels of old; an NLMSG_ERROR never is.
  if (bytes.length < 4)
    return type === messageType.done ? { type: 'answer', errno: 0, detail: undefined } : undefined;
  const view = viewOf(bytes);
  const errno = 0 - view.getInt32(0, littleEndian);
  if (errno < 0 || (type === messageType.error && bytes.length < 4 + headerBytes)) return undefined;
  let detail: string | undefined;
  if ((flags & flag.ackHasAttributes) !== 0) {
    const capped = (flags & flag.capped) !== 0;
    const request = capped ? headerBytes : align(view.getUint32(4, littleEndian));
    const start = type === messageType.done ? 4 : 4 + request;
    detail = readText(readAttributes(bytes.subarray(start))?.get(errorMessageAttribute));
  }
  return { type: 'answer', errno, detail };
}

function readBody(bytes: Uint8Array, type: number, flags: number): MessageBody | undefined {
  switch (type) {
    case messageType.newLink:
    case messageType.deleteLink:
      return readLink(bytes, type === messageType.deleteLink);
    case addressType.new:
    case addressType.delete:
      return readAddress(bytes, type === addressType.delete);
    case routeType.new:
    case routeType.delete: {
      const route = readRoute(bytes);
      if (route === undefined || route === 'other') return route && { type: 'other' };
      const gone = type === routeType.delete;
      return { type: 'route', gone, replaces: !gone && (flags & flag.replace) !== 0, route };
    }
    case ruleType.new:
    case ruleType.delete: {
      const rule = readRule(bytes);
      if (rule === undefined || rule === 'other') return rule && { type: 'other' };
      return { type: 'rule', gone: type === ruleType.delete, rule };
    }
    case messageType.error:
    case messageType.done:
      return readAnswer(bytes, type, flags);
    default:
      return { type: 'other' };
  }
}

/** Decodes one netlink datagram; keeps no reference to it.
 *  @returns its messages in order, and how many of them made no sense; never throws */
export function decodeMessages(bytes: Uint8Array): { messages: Message[]; malformed: number } {
  const messages: Message[] = [];
  let malformed = 0;
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length;) {
    const length = at + headerBytes <= bytes.length ? view.getUint32(at, littleEndian) : 0;
    // Where the next message would start is not known either.
    if (length < headerBytes || at + length > bytes.length) return { messages, malformed: malformed + 1 };
    const type = view.getUint16(at + 4, littleEndian);
    const flags = view.getUint16(at + 6, littleEndian);
    const body = readBody(bytes.subarray(at + headerBytes, at + length), type, flags);
    if (body === undefined) malformed += 1;
    else {
      messages.push({
        ...body,
        sequence: view.getUint32(at + 8, littleEndian),
        partOfDump: (flags & flag.multi) !== 0,
        dumpInterrupted: (flags & flag.dumpInterrupted) !== 0,
      });
    }
    at += align(length);
  }
  return { messages, malformed };
}

// ---- writing ----

function linkBody(index: number, ...attributes: readonly Uint8Array[]): Uint8Array {
  const head = new Uint8Array(linkBodyBytes);
  viewOf(head).setInt32(4, index, littleEndian);
  return Buffer.concat([head, ...attributes]);
}

function addressHead(
  family: Family,
  interfaceIndex: number,
  prefixLength = 0,
  flags = 0,
  scope = 0,
): Uint8Array {
  const head = Uint8Array.of(familyNumber[family], prefixLength, flags & 0xff, scope, 0, 0, 0, 0);
  viewOf(head).setUint32(4, interfaceIndex, littleEndian);
  return head;
}

function addressBody(address: AddressMessage): Uint8Array {
  const { family, interfaceIndex, prefixLength, flags, scope, label, protocol } = address;
  const head = addressHead(family, interfaceIndex, prefixLength, flags, scope);
  const attributes = [
    attribute(addressAttribute.local, addressBytes(address.address)),
    attribute(addressAttribute.address, addressBytes(address.peer)),
    attribute(addressAttribute.flags, u32(flags)),
  ];
  if (label !== undefined) attributes.push(textAttribute(addressAttribute.label, label));
  if (protocol !== undefined) attributes.push(attribute(addressAttribute.protocol, Uint8Array.of(protocol)));
  if ((flags & addressFlag.deprecated) !== 0) {
    // The kernel works this flag out for itself: preferred for 0 seconds, valid for ever (struct ifa_cacheinfo).
    attributes.push(attribute(addressAttribute.cacheInfo, u32(0), u32(0xffffffff), u32(0), u32(0)));
  }
  return Buffer.concat([head, ...attributes]);
}

/** All links. Their statistics, the larger half of each message, are left out. */
export function dumpLinks(): Command {
  const body = linkBody(0, attribute(linkAttribute.extMask, u32(skipStatistics)));
  return { type: messageType.getLink, flags: flag.request | flag.dump, body };
}

/** All addresses, or those of one family on one interface. */
export function dumpAddresses(only?: { family: Family; interfaceIndex: number }): Command {
  const body =
    only === undefined ? new Uint8Array(addressBodyBytes) : addressHead(only.family, only.interfaceIndex);
  return { type: addressType.get, flags: flag.request | flag.dump, body };
}

/** Adds an address; EEXIST where the interface has it already, whoever configured it. */
export function addAddress(address: AddressMessage): Command {
  const flags = flag.request | flag.ack | flag.create | flag.exclusive;
  return { type: addressType.new, flags, body: addressBody(address) };
}

export function deleteAddress(address: AddressMessage): Command {
  return { type: addressType.delete, flags: flag.request | flag.ack, body: addressBody(address) };
}

/** net.ipv4.conf.IF.promote_secondaries, by netlink: /proc/sys is read-only in a hardened unit, and this can travel in
 *  one datagram with what it is for. */
export function setPromoteSecondaries(interfaceIndex: number, on: boolean): Command {
  const value = attribute(promoteSecondariesKey, u32(on ? 1 : 0));
  const inet = nested(familyNumber.ipv4, nested(inetConfiguration, value));
  const body = linkBody(interfaceIndex, nested(linkAttribute.perFamily, inet));
  return { type: messageType.setLink, flags: flag.request | flag.ack, body };
}

/** @returns a whole message, padded, so that several can be put in one datagram */
export function encodeMessage(command: Command, sequence: number): Uint8Array {
  const length = headerBytes + command.body.length;
  const bytes = new Uint8Array(align(length));
  const view = viewOf(bytes);
  view.setUint32(0, length, littleEndian);
  view.setUint16(4, command.type, littleEndian);
  view.setUint16(6, command.flags, littleEndian);
  view.setUint32(8, sequence, littleEndian);
  bytes.set(command.body, headerBytes);
  return bytes;
}
