import { type Family, addressBytes } from '../protocol/address.ts';
import {
  type Command,
  attribute,
  familyNumber,
  familyOfNumber,
  flag,
  littleEndian,
  readAddressOf,
  readAttributes,
  readText,
  readU32,
  textAttribute,
  u32,
  viewOf,
} from './netlink-attributes.ts';

/** rtnetlink messages <-> plain data: routes and policy rules (linux/rtnetlink.h, linux/fib_rules.h), as far as havrrp makes
 *  them itself: of one next hop, and rules that send to a table. Pure. */

export const routeType = { new: 24, delete: 25, get: 26 } as const;
export const ruleType = { new: 32, delete: 33, get: 34 } as const;

const routeAttribute = {
  destination: 1,
  interfaceIndex: 4,
  gateway: 5,
  metric: 6,
  source: 7,
  table: 15,
} as const;
const ruleAttribute = {
  to: 1,
  from: 2,
  iif: 3,
  preference: 6,
  mark: 10,
  table: 15,
  mask: 16,
  oif: 17,
  protocol: 21,
} as const;

const bodyBytes = 12; // struct rtmsg, struct fib_rule_hdr
const clonedFlag = 0x200; // RTM_F_CLONED
const onlinkFlag = 4; // RTNH_F_ONLINK
const invertFlag = 2; // FIB_RULE_INVERT
const toTable = 1; // FR_ACT_TO_TBL
const scope = { universe: 0, link: 253, nowhere: 255 } as const; // RT_SCOPE_*

/** RTN_UNICAST: an ordinary route. */
export const unicast = 1;

/** RTM_NEWROUTE, RTM_DELROUTE. Of several next hops none is read: `via` and `interfaceIndex` are undefined. */
export interface RouteMessage {
  readonly family: Family;
  /** `ADDR/LEN`. */
  readonly to: string;
  readonly table: number;
  /** RTA_PRIORITY. The kernel makes 1024 of the 0 of an IPv6 route. */
  readonly metric: number;
  readonly via: string | undefined;
  readonly interfaceIndex: number | undefined;
  readonly source: string | undefined;
  readonly onlink: boolean;
  /** RTN_*: `unicast`, or something that leads nowhere. */
  readonly type: number;
  /** RTPROT_*: who configured it. */
  readonly protocol: number;
}

/** RTM_NEWRULE, RTM_DELRULE. */
export interface RuleMessage {
  readonly family: Family;
  /** `ADDR/LEN`; of length 0 for everybody. */
  readonly from: string;
  readonly to: string;
  readonly mark: number;
  /** 0: whatever the mark. */
  readonly mask: number;
  readonly iif: string | undefined;
  readonly oif: string | undefined;
  readonly table: number;
  readonly preference: number;
  /** FRA_PROTOCOL: who configured it. Unknown to kernels before 4.17. */
  readonly protocol: number;
}

/** Everything, in a family. */
export function defaultPrefix(family: Family): string {
  return family === 'ipv4' ? '0.0.0.0/0' : '::/0';
}

export function lengthOf(prefix: string): number {
  return Number(prefix.slice(prefix.indexOf('/') + 1));
}

// ---- reading ----

/** A prefix of length 0 has no attribute. */
function readPrefix(family: Family, bytes: Uint8Array | undefined, length: number): string | undefined {
  if (bytes === undefined) return length === 0 ? defaultPrefix(family) : undefined;
  const address = readAddressOf(family, bytes);
  return address === undefined ? undefined : `${address}/${length}`;
}

/** An attribute that is there, and is no address, makes the message senseless. */
function isBad(family: Family, bytes: Uint8Array | undefined): boolean {
  return bytes !== undefined && readAddressOf(family, bytes) === undefined;
}

/** @returns undefined when the message makes no sense, `other` when it is no route we could have made or could have lost to
 *  this one: of another family, for some sources or types of service only, or a remembered exception */
export function readRoute(bytes: Uint8Array): RouteMessage | 'other' | undefined {
  if (bytes.length < bodyBytes) return undefined;
  const [familyOctet, length = 0, sourceLength, tos, tableOctet = 0, protocol = 0, , type = 0] = bytes;
  const family = familyOfNumber(familyOctet);
  const flags = viewOf(bytes).getUint32(8, littleEndian);
  if (family === undefined || sourceLength !== 0 || tos !== 0 || (flags & clonedFlag) !== 0) return 'other';
  const attributes = readAttributes(bytes.subarray(bodyBytes));
  const to = attributes && readPrefix(family, attributes.get(routeAttribute.destination), length);
  if (to === undefined) return undefined;
  const gateway = attributes?.get(routeAttribute.gateway);
  const source = attributes?.get(routeAttribute.source);
  if (isBad(family, gateway) || isBad(family, source)) return undefined;
  return {
    family,
    to,
    table: readU32(attributes?.get(routeAttribute.table)) ?? tableOctet,
    metric: readU32(attributes?.get(routeAttribute.metric)) ?? 0,
    via: readAddressOf(family, gateway),
    interfaceIndex: readU32(attributes?.get(routeAttribute.interfaceIndex)),
    source: readAddressOf(family, source),
    onlink: (flags & onlinkFlag) !== 0,
    type,
    protocol,
  };
}

/** @returns undefined when the message makes no sense, `other` when it is no rule we could have made */
export function readRule(bytes: Uint8Array): RuleMessage | 'other' | undefined {
  if (bytes.length < bodyBytes) return undefined;
  const [familyOctet, toLength = 0, fromLength = 0, tos, tableOctet = 0, , , action] = bytes;
  const family = familyOfNumber(familyOctet);
  const flags = viewOf(bytes).getUint32(8, littleEndian);
  if (family === undefined || tos !== 0 || action !== toTable || (flags & invertFlag) !== 0) return 'other';
  const attributes = readAttributes(bytes.subarray(bodyBytes));
  const from = attributes && readPrefix(family, attributes.get(ruleAttribute.from), fromLength);
  const to = attributes && readPrefix(family, attributes.get(ruleAttribute.to), toLength);
  if (from === undefined || to === undefined) return undefined;
  return {
    family,
    from,
    to,
    mark: readU32(attributes?.get(ruleAttribute.mark)) ?? 0,
    mask: readU32(attributes?.get(ruleAttribute.mask)) ?? 0,
    iif: readText(attributes?.get(ruleAttribute.iif)),
    oif: readText(attributes?.get(ruleAttribute.oif)),
    table: readU32(attributes?.get(ruleAttribute.table)) ?? tableOctet,
    preference: readU32(attributes?.get(ruleAttribute.preference)) ?? 0,
    protocol: attributes?.get(ruleAttribute.protocol)?.[0] ?? 0,
  };
}

// ---- writing ----

/** Tables from 256 on have no room in the head. */
function tableOctet(table: number): number {
  return table < 256 ? table : 0; // RT_TABLE_UNSPEC
}

function prefixAttribute(type: number, prefix: string): Uint8Array[] {
  if (lengthOf(prefix) === 0) return [];
  return [attribute(type, addressBytes(prefix.slice(0, prefix.indexOf('/'))))];
}

function addressAttribute(type: number, address: string | undefined): Uint8Array[] {
  return address === undefined ? [] : [attribute(type, addressBytes(address))];
}

function routeBody(route: RouteMessage, routeScope: number): Uint8Array {
  const { family, to, table, metric, via, interfaceIndex, source, onlink, type, protocol } = route;
  const number = familyNumber[family];
  const head = [number, lengthOf(to), 0, 0, tableOctet(table), protocol, routeScope, type];
  return Buffer.concat([
    Uint8Array.from(head),
    u32(onlink ? onlinkFlag : 0),
    ...prefixAttribute(routeAttribute.destination, to),
    attribute(routeAttribute.table, u32(table)),
    attribute(routeAttribute.metric, u32(metric)),
    ...addressAttribute(routeAttribute.gateway, via),
    ...(interfaceIndex === undefined ? [] : [attribute(routeAttribute.interfaceIndex, u32(interfaceIndex))]),
    ...addressAttribute(routeAttribute.source, source),
  ]);
}

function ruleBody(rule: RuleMessage): Uint8Array {
  const { family, from, to, mark, mask, iif, oif, table, preference, protocol } = rule;
  const head = [familyNumber[family], lengthOf(to), lengthOf(from), 0, tableOctet(table), 0, 0, toTable];
  return Buffer.concat([
    Uint8Array.from(head),
    u32(0),
    ...prefixAttribute(ruleAttribute.to, to),
    ...prefixAttribute(ruleAttribute.from, from),
    ...(iif === undefined ? [] : [textAttribute(ruleAttribute.iif, iif)]),
    ...(oif === undefined ? [] : [textAttribute(ruleAttribute.oif, oif)]),
    ...(mark === 0 && mask === 0
      ? []
      : [attribute(ruleAttribute.mark, u32(mark)), attribute(ruleAttribute.mask, u32(mask))]),
    attribute(ruleAttribute.table, u32(table)),
    attribute(ruleAttribute.preference, u32(preference)),
    attribute(ruleAttribute.protocol, Uint8Array.of(protocol)),
  ]);
}

/** The routes of one family that somebody configured, in all tables or in one. The kernel leaves out the others while it walks
 *  through them; one before 4.20 does not. */
export function dumpRoutes(family: Family, protocol: number, table?: number): Command {
  const head = [familyNumber[family], 0, 0, 0, 0, protocol, 0, 0];
  const only = table === undefined ? [] : [attribute(routeAttribute.table, u32(table))];
  const body = Buffer.concat([Uint8Array.from(head), u32(0), ...only]);
  return { type: routeType.get, flags: flag.request | flag.dump, body };
}

/** Adds a route; EEXIST where the table has one to the same destination with the same metric, whoever configured it. */
export function addRoute(route: RouteMessage): Command {
  const flags = flag.request | flag.ack | flag.create | flag.exclusive;
  return { type: routeType.new, flags, body: routeBody(route, route.via === undefined ? scope.link : 0) };
}

/** Removes a route of the same protocol; a metric of 0 means the lowest. */
export function deleteRoute(route: RouteMessage): Command {
  const body = routeBody({ ...route, source: undefined }, scope.nowhere);
  return { type: routeType.delete, flags: flag.request | flag.ack, body };
}

/** All rules of one family. */
export function dumpRules(family: Family): Command {
  const body = new Uint8Array(bodyBytes);
  body[0] = familyNumber[family];
  return { type: ruleType.get, flags: flag.request | flag.dump, body };
}

/** Adds a rule; EEXIST where there is the same one already. */
export function addRule(rule: RuleMessage): Command {
  const flags = flag.request | flag.ack | flag.create | flag.exclusive;
  return { type: ruleType.new, flags, body: ruleBody(rule) };
}

/** Removes the first rule of the same protocol that has at least all of these selectors: it may have more. */
export function deleteRule(rule: RuleMessage): Command {
  return { type: ruleType.delete, flags: flag.request | flag.ack, body: ruleBody(rule) };
}
