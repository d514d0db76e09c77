import type { ConntrackdConfig, FirewallMark, TrackerConfig } from './config.ts';
import type { DefaultKey, Key } from './keys.ts';
import {
  absolutePath,
  argumentList,
  argumentLists,
  duration,
  interfaceName,
  processName,
  programName,
  trackerName,
  wholeNumber,
  wordOr,
  yesOrNo,
} from './kinds.ts';
import { destination, firewallMark, hostAddress, hostAndPort, pingTarget, prefix } from './net-kinds.ts';
import type { Prefix } from './prefix.ts';

/** Keys of what a group may have beside its instances: what it watches, what it runs, what it brings along as master. */

const hour = 3_600_000;

export type TrackerKind = TrackerConfig['kind'];
type Pace = Pick<TrackerConfig, 'everyMs' | 'timeoutMs' | 'fall' | 'rise'>;

/** What a tracker does that says nothing else.
 *  - interface: the kernel says it when it happens, and it is certain.
 *  - ping: a lost packet is no outage, three in a row are one; as quick as a VRRP backup at an interval of 1 s.
 *  - tcp: within 2 s a lost SYN is sent once more, after 1 s (RFC 6298): a single loss is no failure.
 *  - command: one slow run on a busy firewall is no failure: keepalived's 1 s and a single one were its users' commonest
 *    false failover.
 *  - process: twice, so that a restart of the service is none.
 *  - file: somebody meant it. */
export const defaultPace: Readonly<Record<TrackerKind, Pace>> = {
  interface: { everyMs: 1000, timeoutMs: 1000, fall: 1, rise: 1 },
  ping: { everyMs: 1000, timeoutMs: 1000, fall: 3, rise: 2 },
  tcp: { everyMs: 2000, timeoutMs: 2000, fall: 2, rise: 2 },
  command: { everyMs: 2000, timeoutMs: 3000, fall: 2, rise: 2 },
  process: { everyMs: 1000, timeoutMs: 1000, fall: 2, rise: 2 },
  file: { everyMs: 1000, timeoutMs: 1000, fall: 1, rise: 1 },
};

/** In the order in which they are named to people. */
export const trackerKinds: readonly TrackerKind[] = [
  'interface',
  'ping',
  'tcp',
  'command',
  'process',
  'file',
];

const oneOfThese = { otherwise: 'exactly one of these six' };

export const trackKeys: {
  readonly interface: Key<string>;
  readonly ping: Key<{ readonly address: string; readonly interface: string | undefined }>;
  readonly tcp: Key<{ readonly host: string; readonly port: number }>;
  readonly command: Key<unknown>;
  readonly process: Key<string>;
  readonly file: Key<string>;
  readonly demote: Key<TrackerConfig['demote']>;
  readonly every: Key<number>;
  readonly timeout: Key<number>;
  readonly fall: Key<number>;
  readonly rise: Key<number>;
  readonly name: Key<string>;
} = {
  interface: { meaning: 'passes while this link can carry packets', ...interfaceName(), ...oneOfThese },
  ping: {
    meaning: 'passes while this address answers ICMP echo requests; `%INTERFACE` says where they go out',
    ...pingTarget(),
    ...oneOfThese,
  },
  tcp: {
    meaning: 'passes while a connection is accepted there',
    ...hostAndPort('192.0.2.1:443', '[2001:db8::1]:443'),
    ...oneOfThese,
  },
  command: {
    meaning: 'passes while this program ends with status 0',
    ...argumentList('[/usr/local/sbin/check, ARGUMENT]'),
    ...oneOfThese,
  },
  process: { meaning: 'passes while such a process runs', ...processName(), ...oneOfThese },
  file: {
    meaning:
      'passes while there is no such file, or while it holds the number 0: `touch FILE` demotes this node',
    ...absolutePath(),
    ...oneOfThese,
  },
  demote: {
    meaning: 'taken off the priority while it fails; `fault`: out of the election',
    ...wordOr('fault', wholeNumber(1, 254)),
    otherwise: '`fault` for `interface`, 50 for the others',
  },
  every: {
    meaning: 'from the beginning of one look to that of the next',
    ...duration(10, hour),
    otherwise: '`2s` for `tcp` and `command`, `1s` for the others',
  },
  timeout: {
    meaning: 'a look that takes longer has failed; may be longer than `every`',
    ...duration(10, hour),
    otherwise: '`2s` for `tcp`, `3s` for `command`, `1s` for the others',
  },
  fall: {
    meaning: 'looks in a row that have to fail',
    ...wholeNumber(1, 1000),
    otherwise: '1 for `interface` and `file`, 3 for `ping`, 2 for the others',
  },
  rise: {
    meaning: 'looks in a row that have to pass after a failure',
    ...wholeNumber(1, 1000),
    otherwise: '1 for `interface` and `file`, 2 for the others',
  },
  name: {
    meaning: 'name shown in status, logs and metrics, unique within the group',
    ...trackerName(),
    otherwise: 'kind and target, such as `ping 203.0.113.254`',
  },
};

export const conntrackdKeys: {
  readonly config: DefaultKey<string>;
  readonly binary: DefaultKey<string>;
  readonly commit_timeout: DefaultKey<ConntrackdConfig['commitTimeoutMs']>;
  readonly hold_until_synced: DefaultKey<number>;
} = {
  config: {
    meaning: 'the file conntrackd is started with',
    ...absolutePath(),
    default: '/etc/conntrackd/conntrackd.conf',
  },
  binary: { meaning: 'its program', ...programName(), default: 'conntrackd' },
  commit_timeout: {
    meaning:
      'how long a takeover waits for the sessions to be committed; `auto`: 1 s and 30 us for each entry of the ' +
      'external cache',
    ...wordOr('auto', duration(10, hour)),
    default: 'auto',
  },
  hold_until_synced: {
    meaning:
      'a node that does not hold the sessions yet does not preempt, but no longer than this; 0: it does',
    ...duration(0, 24 * hour),
    default: '20s',
  },
};

const hook = argumentLists('[/usr/local/sbin/notify, ARGUMENT]');

export const hooksKeys: {
  readonly master: Key<unknown>;
  readonly backup: Key<unknown>;
  readonly fault: Key<unknown>;
  readonly stop: Key<unknown>;
  readonly any: Key<unknown>;
  readonly timeout: DefaultKey<number>;
} = {
  master: { meaning: 'run when the group has become master', ...hook, otherwise: 'none' },
  backup: { meaning: 'run when it has become backup', ...hook, otherwise: 'none' },
  fault: { meaning: 'run when it has left the election', ...hook, otherwise: 'none' },
  stop: { meaning: 'run when havrrp stops, or a reload removes the group', ...hook, otherwise: 'none' },
  any: { meaning: 'run after those of the state, whichever it is', ...hook, otherwise: 'none' },
  timeout: {
    meaning: 'a program that takes longer is ended, with all it has started',
    ...duration(100, hour),
    default: '30s',
  },
};

/** RT_TABLE_MAIN. */
export const mainTable = 254;

const table = wordOr('main', wholeNumber(1, 0xffff_ffff));

export const routeKeys: {
  readonly to: Key<Prefix | 'default'>;
  readonly via: Key<string>;
  readonly interface: Key<string>;
  readonly source: Key<string>;
  readonly table: DefaultKey<number | 'main'>;
  readonly metric: Key<number>;
  readonly onlink: DefaultKey<boolean>;
} = {
  to: {
    meaning:
      'where it leads; `default` is of the family of `via` or `source`, of IPv4 where there is neither',
    ...destination(),
    required: true,
  },
  via: { meaning: 'the gateway', ...hostAddress(), otherwise: 'none: straight onto `interface`' },
  interface: {
    meaning: 'the link it goes out on',
    ...interfaceName(),
    otherwise: 'the one that leads to `via`',
  },
  source: {
    meaning: 'source address of what this host itself sends along it',
    ...hostAddress(),
    otherwise: "the kernel's choice",
  },
  table: { meaning: 'number of the routing table', ...table, default: 'main' },
  metric: {
    meaning: 'of routes to the same network in the same table the one with the lowest metric is taken',
    ...wholeNumber(0, 0xffff_ffff),
    otherwise: '0; 1024 for IPv6',
  },
  onlink: {
    meaning: '`via` is on `interface`, even if no address of that interface says so',
    ...yesOrNo(),
    default: false,
  },
};

export const ruleKeys: {
  readonly from: Key<Prefix>;
  readonly to: Key<Prefix>;
  readonly fwmark: Key<FirewallMark>;
  readonly iif: Key<string>;
  readonly oif: Key<string>;
  readonly table: Key<number | 'main'>;
  readonly preference: DefaultKey<number>;
} = {
  from: { meaning: 'source of the packets', ...prefix(), otherwise: 'any' },
  to: { meaning: 'destination of the packets', ...prefix(), otherwise: 'any' },
  fwmark: { meaning: 'their firewall mark', ...firewallMark(), otherwise: 'any' },
  iif: { meaning: 'the link they came in on; `lo`: from this host', ...interfaceName(), otherwise: 'any' },
  oif: { meaning: 'the link a socket of this host is bound to', ...interfaceName(), otherwise: 'any' },
  table: { meaning: 'number of the routing table they are routed by', ...table, required: true },
  preference: {
    meaning: 'rules are asked from the lowest preference up; those of equal preference in no certain order',
    ...wholeNumber(1, 32_765),
    default: 32_000,
  },
};
