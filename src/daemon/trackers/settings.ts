/** What `.track[]` of a group asks for, checked: durations in milliseconds, addresses canonical. */

/** What is looked at. It passes while
 *  - `interface`: the interface can carry packets;
 *  - `ping`: the address answers an ICMP echo request;
 *  - `tcp`: a connection is accepted;
 *  - `command`: the program ends with status 0;
 *  - `process`: a process of that name runs;
 *  - `file`: the file is not there, or holds the number 0 (a switch for maintenance: `touch FILE` demotes this node). */
export type Target = InterfaceTarget | PolledTarget;

export interface InterfaceTarget {
  readonly kind: 'interface';
  readonly interface: string;
}

export type PolledTarget =
  | {
      readonly kind: 'ping';
      /** Canonical. */
      readonly address: string;
      /** Where it goes out; undefined: where the routes lead. A link-local address needs it. */
      readonly interface: string | undefined;
    }
  /** `host`: an address (canonical, no brackets), or a name. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** A program and its arguments; no shell. */
  | { readonly kind: 'command'; readonly argv: readonly string[] }
  /** Its name as ps(1) shows it, or the path of its program. */
  | { readonly kind: 'process'; readonly process: string }
  | { readonly kind: 'file'; readonly path: string };

/** How often it is looked, and how many looks in a row change the verdict. */
export interface Pace {
  /** From one beginning to the next; a look that takes longer delays the next. */
  readonly everyMs: number;
  /** A look that takes longer has failed. */
  readonly timeoutMs: number;
  /** Failures until it counts as failed, 1 and up. */
  readonly fall: number;
  /** Passes until it counts as passed again, 1 and up. */
  readonly rise: number;
}

interface Weight {
  /** Unique within its group, and not `operator`: the source of its demotion. */
  readonly name: string;
  /** Taken off the priority while it fails; `fault` takes the group out of the election instead. */
  readonly demote: number | 'fault';
}

export type PolledSettings = Weight & PolledTarget & Pace;
export type TrackerSettings = (Weight & InterfaceTarget) | PolledSettings;
export type TrackerKind = Target['kind'];

/** What the file does not say.
 *  - ping: a lost packet is no outage, three in a row are one; as quick as a VRRP backup at an interval of 1 s.
 *  - tcp: within 2 s a lost SYN is sent once more (after 1 s), so that a single loss is no failure.
 *  - command: one slow run on a busy firewall is no failure: keepalived's 1 s and a single one were its users' commonest false failover.
 *  - process: twice, so that a restart of the service is none.
 *  - file: somebody meant it; at once. */
export const defaultPace: Readonly<Record<PolledTarget['kind'], Pace>> = {
  ping: { everyMs: 1000, timeoutMs: 1000, fall: 3, rise: 2 },
  tcp: { everyMs: 2000, timeoutMs: 2000, fall: 2, rise: 2 },
  command: { everyMs: 2000, timeoutMs: 3000, fall: 2, rise: 2 },
  process: { everyMs: 1000, timeoutMs: 1000, fall: 2, rise: 2 },
  file: { everyMs: 1000, timeoutMs: 1000, fall: 1, rise: 1 },
};

export function defaultDemote(kind: TrackerKind): number | 'fault' {
  return kind === 'interface' ? 'fault' : 50;
}

/** `ping 203.0.113.254`: what a tracker is called that was given no name. */
export function defaultName(target: Target): string {
  switch (target.kind) {
    case 'interface':
      return `interface ${target.interface}`;
    case 'ping':
      return `ping ${target.address}`;
    case 'tcp':
      return `tcp ${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
    case 'command':
      return `command ${target.argv[0]?.split('/').at(-1) ?? ''}`;
    case 'process':
      return `process ${target.process}`;
    case 'file':
      return `file ${target.path}`;
  }
}
