import { type Family, families } from '../protocol/address.ts';

/** A checked configuration: every default filled in, every duration in milliseconds, every address canonical. What a
 *  key means and may hold is in `schema.ts`; this is what the daemon works with. */
export interface Config {
  /** The file it came from, as the operator named it. */
  readonly file: string;
  readonly node: string;
  readonly runtimeDirectory: string;
  readonly stateDirectory: string;
  /** Unix group that may use the control socket besides root. */
  readonly controlGroup: string | undefined;
  readonly metricsListen: { readonly host: string; readonly port: number } | undefined;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  /** Every group is held in backup this long after the host has booted; 0: not at all. */
  readonly startupDelayMs: number;
  readonly groups: readonly GroupConfig[];
}

export interface GroupConfig {
  readonly name: string;
  readonly preempt: boolean;
  /** A master of lower priority is tolerated this long; 0 also where there is no preemption. */
  readonly preemptDelayMs: number;
  readonly takeover: 'all' | 'any';
  readonly track: readonly TrackerConfig[];
  /** undefined: the session table is somebody else's. */
  readonly conntrackd: ConntrackdConfig | undefined;
  readonly hooks: HooksConfig;
  /** Present while master. */
  readonly routes: readonly RouteConfig[];
  readonly rules: readonly RuleConfig[];
  readonly instances: readonly InstanceConfig[];
}

/** One VRID on one interface; it has one Virtual Router for each family it holds addresses of (RFC 9568 section 1.5). */
export interface InstanceConfig {
  readonly name: string;
  readonly interface: string;
  readonly vrid: number;
  readonly priority: number;
  readonly intervalMs: number;
  readonly protocol: 'vrrp3';
  readonly checksum: 'auto' | 'rfc9568' | 'pseudo_header';
  readonly garp: GarpConfig;
  /** In the order of the file, which is the order on the wire. An IPv6 list that advertises starts with a link-local address. */
  readonly addresses: readonly AddressConfig[];
}

/** Gratuitous ARP and unsolicited Neighbor Advertisements. */
export interface GarpConfig {
  /** Frames for each address in a burst. */
  readonly repeat: number;
  /** The second burst comes this long after the first. */
  readonly delayMs: number;
  /** One frame for each address this often while master; 0: never. */
  readonly refreshMs: number;
  /** Pause between two rounds of a burst; 0: none. */
  readonly intervalMs: number;
}

export interface AddressConfig {
  readonly family: Family;
  readonly address: string;
  readonly prefixLength: number;
  /** Where it is put; the instance's own interface unless the file says otherwise. */
  readonly interface: string;
  /** Listed in advertisements. */
  readonly advertise: boolean;
  readonly label: string | undefined;
  readonly scope: 'global' | 'site' | 'link' | 'host';
}

/** What is watched, how often, and what its failure does to the group. */
export type TrackerConfig = TrackerTarget & {
  /** Unique within the group, and not `operator`: the source of its demotion. */
  readonly name: string;
  /** Taken off the priority while it fails; `fault` takes the group out of the election. */
  readonly demote: number | 'fault';
  /** From the beginning of one look to that of the next. */
  readonly everyMs: number;
  /** A look that takes longer has failed; may be longer than `everyMs`. */
  readonly timeoutMs: number;
  /** So many looks in a row have to fail, or to pass, to change the verdict. */
  readonly fall: number;
  readonly rise: number;
};

export type TrackerTarget =
  | { readonly kind: 'interface'; readonly interface: string }
  /** The interface it goes out on; undefined: where the routes lead. A link-local address has one. */
  | { readonly kind: 'ping'; readonly address: string; readonly interface: string | undefined }
  /** A host name, or a canonical address without brackets. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** The program, an absolute path, and its arguments. */
  | { readonly kind: 'command'; readonly command: readonly string[] }
  /** A name as ps(1) shows it, or the absolute path of a program. */
  | { readonly kind: 'process'; readonly process: string }
  | { readonly kind: 'file'; readonly file: string };

export interface ConntrackdConfig {
  /** The file conntrackd is started with. */
  readonly config: string;
  /** An absolute path, or a name to look for where programs are. */
  readonly binary: string;
  /** How long a takeover waits for the commit; `auto`: 1 s and 30 us for each entry of the external cache. */
  readonly commitTimeoutMs: number | 'auto';
  /** A node that is not synchronised does not preempt, but no longer than this; 0: it does. */
  readonly holdUntilSyncedMs: number;
}

/** `any` is run after those of the state, whichever it is. */
export type HookName = 'master' | 'backup' | 'fault' | 'stop' | 'any';

export interface HooksConfig {
  /** Programs, absolute paths, with their arguments, in the order to run them. */
  readonly commands: Readonly<Record<HookName, readonly (readonly string[])[]>>;
  /** For each of them. */
  readonly timeoutMs: number;
}

export interface RouteConfig {
  readonly family: Family;
  /** `ADDR/LEN`, canonical and without host bits; 0.0.0.0/0 or ::/0 for `default`. */
  readonly to: string;
  readonly via: string | undefined;
  /** At least one of `via` and `interface` is there. */
  readonly interface: string | undefined;
  /** The source address of what this host itself sends along it. */
  readonly source: string | undefined;
  readonly table: number;
  readonly metric: number;
  /** `via` is on `interface`, whatever its addresses say. */
  readonly onlink: boolean;
}

/** A rule of policy routing, for one family. */
export interface RuleConfig {
  readonly family: Family;
  /** `ADDR/LEN`, canonical and without host bits; undefined: any, also where the file has a prefix of length 0. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly fwmark: FirewallMark | undefined;
  readonly iif: string | undefined;
  readonly oif: string | undefined;
  readonly table: number;
  readonly preference: number;
}

/** Matches the marks that are `value` in the bits of `mask`; both are 32 bits without sign. */
export interface FirewallMark {
  readonly value: number;
  readonly mask: number;
}

/** Where the daemon listens for its operators, within the runtime directory. */
export const controlSocketName = 'control.sock';

/** The Virtual Routers of an instance, by family, IPv4 first. */
export function familiesOf({ addresses }: InstanceConfig): readonly Family[] {
  return families.filter((family) => addresses.some((each) => each.advertise && each.family === family));
}
