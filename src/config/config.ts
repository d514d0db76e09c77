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
  readonly groups: readonly GroupConfig[];
}

export interface GroupConfig {
  readonly name: string;
  readonly preempt: boolean;
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

/** Where the daemon listens for its operators, within the runtime directory. */
export const controlSocketName = 'control.sock';

/** The Virtual Routers of an instance, by family, IPv4 first. */
export function familiesOf({ addresses }: InstanceConfig): readonly Family[] {
  return families.filter((family) => addresses.some((each) => each.advertise && each.family === family));
}
