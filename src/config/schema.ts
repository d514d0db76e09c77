import * as z from 'zod/mini';
import type { AddressConfig, Config, GroupConfig, InstanceConfig } from './config.ts';
import { conntrackdKeys, hooksKeys, routeKeys, ruleKeys, trackKeys } from './group-schema.ts';
import { listOf, mapping, mappingByName, notYet, objectOf } from './keys.ts';
import type { DefaultKey, Key, Keys } from './keys.ts';
import {
  absolutePath,
  addressLabel,
  always,
  duration,
  interfaceName,
  oneOf,
  plainName,
  unixGroup,
  wholeNumber,
  yesNoOr,
  yesOrNo,
} from './kinds.ts';
import { hostAndPort, virtualAddress } from './net-kinds.ts';
import type { Prefix } from './prefix.ts';

/** Keys of the top level, of groups, of their instances and addresses; what else a group may have is in `group-schema.ts`. */

const hour = 3_600_000;

/** What the names of nodes, groups and instances look like. */
export const nameKey: Key<string> = { meaning: 'name of a group or an instance', ...plainName() };

export const addressKeys: {
  readonly address: Key<Prefix>;
  readonly interface: Key<string>;
  readonly advertise: DefaultKey<boolean>;
  readonly label: Key<string>;
  readonly scope: Key<AddressConfig['scope']>;
} = {
  address: { meaning: 'the address and the length of its prefix', ...virtualAddress(), required: true },
  interface: {
    meaning: 'where the address is put',
    ...interfaceName(),
    otherwise: "the instance's interface",
  },
  advertise: {
    meaning: 'listed in advertisements, which hold at most 255 addresses',
    ...yesOrNo(),
    default: true,
  },
  label: {
    meaning: 'label of an IPv4 address, as `ip address` shows it',
    ...addressLabel(),
    otherwise: 'none',
  },
  scope: {
    meaning: 'scope of an IPv4 address; that of an IPv6 address follows from the address',
    ...oneOf('global', 'site', 'link', 'host'),
    otherwise: '`global`; `link` for a link-local IPv6 address',
  },
};

const garp = {
  repeat: { meaning: 'frames for each address in a burst', ...wholeNumber(1, 100) },
  delay: { meaning: 'a second burst follows the first after this; 0: none follows', ...duration(0, hour) },
  refresh: {
    meaning: 'one frame for each address this often while master; 0: never',
    ...duration(0, 24 * hour),
  },
  interval: { meaning: 'pause between two rounds of a burst; 0: none', ...duration(0, 1000) },
};

const ofGroup = { otherwise: "the group's" };

export const groupGarpKeys: {
  readonly repeat: DefaultKey<number>;
  readonly delay: DefaultKey<number>;
  readonly refresh: DefaultKey<number>;
  readonly interval: DefaultKey<number>;
} = {
  repeat: { ...garp.repeat, default: 5 },
  delay: { ...garp.delay, default: '5s' },
  refresh: { ...garp.refresh, default: '60s' },
  interval: { ...garp.interval, default: 0 },
};

export const instanceGarpKeys: { readonly [Name in keyof typeof groupGarpKeys]: Key<number> } = {
  repeat: { ...garp.repeat, ...ofGroup },
  delay: { ...garp.delay, ...ofGroup },
  refresh: { ...garp.refresh, ...ofGroup },
  interval: { ...garp.interval, ...ofGroup },
};

const garpMeaning = 'gratuitous ARP (IPv4) and unsolicited Neighbor Advertisements (IPv6)';

/** Keys of an instance that its group may say for all: written here, read by `groupKeys` and `instanceKeys`. */
const shared = {
  priority: {
    meaning: 'priority in the election; 255: this node owns the addresses',
    ...wholeNumber(1, 255),
  },
  // Twelve bits of centiseconds (RFC 9568 5.2.7).
  interval: { meaning: 'advertisement interval', ...duration(10, 40_950, 10) },
  protocol: { meaning: 'protocol on the wire', ...oneOf('vrrp3'), later: z.enum(['vrrp2', 'carp']) },
  checksum: {
    meaning:
      'VRRPv3 checksum over IPv4: `rfc9568` without pseudo-header, `pseudo_header` with it as keepalived does, ' +
      '`auto` accepts both and sends what the last valid peer sent (at first `rfc9568`)',
    ...oneOf('auto', 'rfc9568', 'pseudo_header'),
    protocols: ['vrrp3'],
  },
  virtual_mac: { meaning: "macvlan device with the protocol's virtual MAC", ...always(false) },
} as const satisfies Keys;

const sharedNotYet = {
  unicast: notYet('list of peer addresses: unicast in place of multicast; only they are heard'),
  password: notYet('vrrp2 PASS; CARP passphrase', ['vrrp2', 'carp']),
  password_file: notYet('file that holds the password', ['vrrp2', 'carp']),
  hmac: notYet('HMAC trailer as keepalived 2.4.2 and later speak it', ['vrrp3', 'vrrp2']),
};

export const instanceKeys: {
  readonly interface: Key<string>;
  readonly vrid: Key<number>;
  readonly addresses: Key<unknown>;
  readonly priority: Key<number>;
  readonly interval: Key<number>;
  readonly protocol: Key<InstanceConfig['protocol']>;
  readonly checksum: Key<InstanceConfig['checksum']>;
  readonly garp: Key<unknown>;
  readonly virtual_mac: Key<false>;
  readonly accept: DefaultKey<true>;
} & Keys = {
  interface: { meaning: 'the link it advertises on', ...interfaceName(), required: true },
  vrid: {
    meaning: 'Virtual Router Identifier, the same on every node',
    ...wholeNumber(1, 255),
    required: true,
  },
  addresses: {
    meaning: 'what the master answers for; each is `ADDRESS/LENGTH` or a mapping',
    holds: 'a list such as [203.0.113.1/24, "2001:db8::1/64"]',
    schema: z.array(z.union([addressKeys.address.schema, objectOf(addressKeys)])).check(z.minLength(1)),
    required: true,
  },
  priority: { ...shared.priority, ...ofGroup },
  interval: { ...shared.interval, ...ofGroup },
  protocol: { ...shared.protocol, ...ofGroup },
  checksum: { ...shared.checksum, ...ofGroup },
  garp: { meaning: garpMeaning, ...mapping(instanceGarpKeys), ...ofGroup },
  virtual_mac: { ...shared.virtual_mac, ...ofGroup },
  accept: { meaning: 'answer for the addresses when not their owner', ...always(true), default: true },
  source: notYet('source address of advertisements'),
  advskew: notYet('CARP advskew', ['carp']),
  ...sharedNotYet,
};

export const groupKeys: {
  readonly instances: Key<unknown>;
  readonly priority: DefaultKey<number>;
  readonly preempt: DefaultKey<boolean | number>;
  readonly takeover: DefaultKey<GroupConfig['takeover']>;
  readonly interval: DefaultKey<number>;
  readonly protocol: DefaultKey<InstanceConfig['protocol']>;
  readonly checksum: DefaultKey<InstanceConfig['checksum']>;
  readonly garp: Key<unknown>;
  readonly virtual_mac: DefaultKey<false>;
  readonly track: Key<unknown>;
  readonly conntrackd: Key<unknown>;
  readonly hooks: Key<unknown>;
  readonly routes: Key<unknown>;
  readonly rules: Key<unknown>;
} & Keys = {
  instances: {
    meaning: 'the Virtual Routers that move together, by name',
    ...mappingByName(instanceKeys),
    required: true,
  },
  priority: { ...shared.priority, default: 100 },
  preempt: {
    meaning: 'take over from a master of lower priority: at once, never, or after this time',
    ...yesNoOr(duration(0, 24 * hour)),
    default: true,
  },
  takeover: {
    meaning:
      '`all`: every member must have lost its master; `any`: one is enough, unless another hears a better master',
    ...oneOf('all', 'any'),
    default: 'all',
  },
  interval: { ...shared.interval, default: '1s' },
  protocol: { ...shared.protocol, default: 'vrrp3' },
  checksum: { ...shared.checksum, default: 'auto' },
  garp: { meaning: garpMeaning, ...mapping(groupGarpKeys), otherwise: 'see there' },
  virtual_mac: { ...shared.virtual_mac, default: false },
  track: { meaning: 'what is watched and demotes the group', ...listOf(trackKeys), otherwise: 'nothing' },
  conntrackd: {
    meaning: 'take the session table over through conntrackd; a mapping does, and says more',
    holds: 'true, false, or a mapping',
    schema: z.union([z.boolean(), objectOf(conntrackdKeys)], 'is neither true nor false'),
    otherwise: '`false`',
  },
  hooks: { meaning: 'programs to run on transitions', ...mapping(hooksKeys), otherwise: 'none' },
  routes: { meaning: 'routes that are present while master', ...listOf(routeKeys), otherwise: 'none' },
  rules: { meaning: 'routing rules that are present while master', ...listOf(ruleKeys), otherwise: 'none' },
  ...sharedNotYet,
};

export const metricsKeys: { readonly listen: Key<{ readonly host: string; readonly port: number }> } = {
  listen: {
    meaning: 'read-only TCP listener for `/metrics` and `/v1/status`',
    ...hostAndPort('127.0.0.1:9112', '[::1]:9112'),
    required: true,
  },
};

export const controlKeys: { readonly group: Key<string> } = {
  group: { meaning: 'Unix group that may use the control socket', ...unixGroup(), required: true },
};

export const logKeys: { readonly level: DefaultKey<Config['logLevel']> } = {
  level: {
    meaning: 'what is logged: this level and the graver ones, as JSON lines on standard output',
    ...oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    default: 'info',
  },
};

export const topKeys: {
  readonly groups: Key<unknown>;
  readonly node: Key<string>;
  readonly runtime_directory: DefaultKey<string>;
  readonly state_directory: DefaultKey<string>;
  readonly metrics: Key<unknown>;
  readonly control: Key<unknown>;
  readonly log: Key<unknown>;
  readonly startup_delay: DefaultKey<number>;
} & Keys = {
  groups: { meaning: 'the failover groups, by name', ...mappingByName(groupKeys), required: true },
  node: { meaning: 'name shown in status, logs and hooks', ...plainName(), otherwise: 'the host name' },
  // sun_path holds 107 octets, `/control.sock` is 13 of them (unix(7)).
  runtime_directory: {
    meaning: 'control socket `control.sock` and run state',
    ...absolutePath(94),
    default: '/run/havrrp',
  },
  state_directory: {
    meaning: 'what survives a reboot, such as persistent demotion',
    ...absolutePath(1024),
    default: '/var/lib/havrrp',
  },
  metrics: { meaning: 'metrics over TCP', ...mapping(metricsKeys), otherwise: 'off' },
  control: { meaning: 'access to the control socket', ...mapping(controlKeys), otherwise: 'root alone' },
  log: { meaning: 'what the daemon says', ...mapping(logKeys), otherwise: 'see there' },
  startup_delay: {
    meaning: 'hold every group in backup this long after the host has booted',
    ...duration(0, hour),
    default: 0,
  },
  peers: notYet('the authenticated channel to the other nodes'),
};

/** Every mapping of the file: what tables of keys list, and where a misplaced key belongs. */
export const levels: readonly { readonly path: string; readonly keys: Keys }[] = [
  { path: '', keys: topKeys },
  { path: 'metrics', keys: metricsKeys },
  { path: 'control', keys: controlKeys },
  { path: 'log', keys: logKeys },
  { path: 'groups.<group>', keys: groupKeys },
  { path: 'groups.<group>.garp', keys: groupGarpKeys },
  { path: 'groups.<group>.instances.<instance>', keys: instanceKeys },
  { path: 'groups.<group>.instances.<instance>.garp', keys: instanceGarpKeys },
  { path: 'groups.<group>.instances.<instance>.addresses[]', keys: addressKeys },
  { path: 'groups.<group>.track[]', keys: trackKeys },
  { path: 'groups.<group>.conntrackd', keys: conntrackdKeys },
  { path: 'groups.<group>.hooks', keys: hooksKeys },
  { path: 'groups.<group>.routes[]', keys: routeKeys },
  { path: 'groups.<group>.rules[]', keys: ruleKeys },
];
