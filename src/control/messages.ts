import type { Complaint } from '../errors.ts';

/** What can be asked of a running daemon and what comes back: the JSON of the control socket, in the snake_case of
 *  everything a user reads. The names are fixed, scripts and dashboards depend on them; additions are allowed. */
export type GroupStateName = 'init' | 'backup' | 'master' | 'fault';

export interface Status {
  readonly node: string;
  readonly version: string;
  readonly pid: number;
  /** RFC 3339, as every instant in these messages. */
  readonly started_at: string;
  readonly config_file: string;
  readonly loop_lateness_ms: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly groups: readonly GroupStatus[];
  readonly peers: readonly PeerStatus[];
}

export interface GroupStatus {
  readonly name: string;
  readonly state: GroupStateName;
  readonly since: string;
  /** A code: `master_down_timer`, `higher_priority`, `link_down`, ... */
  readonly reason: string;
  /** The same for people. */
  readonly reason_text: string;
  /** The sum of `demotions`. */
  readonly demotion: number;
  readonly demotions: readonly Demotion[];
  readonly transitions: number;
  /** A planned handover is under way: this master has said that it leaves and waits for its successor. */
  readonly handing_over: boolean;
  /** What an operator should look at, in sentences: partial silence, a stranger with our VRID, differing settings. */
  readonly alarms: readonly string[];
  /** The session table, for groups with `conntrackd`. */
  readonly conntrackd?: SessionsStatus;
  /** The group's routes and rules, in words. */
  readonly routing: readonly { readonly text: string; readonly present: boolean }[];
  readonly trackers: readonly TrackerStatus[];
  /** The last run of every hook that was run. */
  readonly hooks: readonly HookStatus[];
  readonly instances: readonly InstanceStatus[];
}

export interface SessionsStatus {
  /** One word: `committed`, `synced`, `syncing`, `stateless`, `absent`, `hung`, ... */
  readonly state: string;
  /** Of the last commit; null before there was one. */
  readonly duration_ms: number | null;
  readonly mode: string;
  readonly entries: {
    readonly internal: number | null;
    readonly external: number | null;
    readonly kernel: number | null;
  };
  /** Whether the sessions of the other node are here; null while every group is master. */
  readonly synced: boolean | null;
  readonly sync_text: string;
  readonly last_commit: {
    readonly state: string;
    readonly entries: number | null;
    readonly text: string;
  } | null;
  readonly trouble: string | null;
}

export interface TrackerStatus {
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly since: string;
  readonly detail: string;
  /** What it adds to the demotion now, or `fault`. */
  readonly contributes: number | 'fault';
}

export interface HookStatus {
  /** The key it stands under. */
  readonly hook: string;
  readonly command: readonly string[];
  readonly started_at: string;
  /** null while it runs. */
  readonly duration_ms: number | null;
  readonly result: string;
}

export interface Demotion {
  /** `operator`, or the name of a tracker. */
  readonly source: string;
  readonly value: number;
  /** Present while it ends by itself (`demote --for`). */
  readonly until?: string;
  readonly persistent?: boolean;
}

export interface InstanceStatus {
  readonly name: string;
  readonly interface: string;
  readonly vrid: number;
  readonly protocol: 'vrrp3';
  readonly interval_ms: number;
  readonly routers: readonly RouterStatus[];
}

export interface RouterStatus {
  readonly family: 'ipv4' | 'ipv6';
  readonly state: GroupStateName;
  readonly priority: number;
  readonly effective_priority: number;
  /** The source of our own advertisements; null while there is none. */
  readonly source: string | null;
  /** Why this router keeps its group from running; empty when it does not. */
  readonly faults: readonly { readonly code: string; readonly text: string }[];
  /** Who is master as far as this router knows; null while nobody was heard. */
  readonly master: {
    readonly address: string;
    readonly priority: number;
    readonly last_heard_ms: number;
  } | null;
  /** The IPv4 checksum in use, RFC 9568's or the one with a pseudo-header; null for IPv6. */
  readonly checksum: { readonly sent: string; readonly heard: string | null } | null;
  readonly addresses: readonly {
    readonly address: string;
    readonly interface: string;
    readonly present: boolean;
  }[];
  readonly counters: {
    readonly sent: number;
    readonly received: number;
    /** By reason; reasons that never occurred are left out. */
    readonly discarded: Readonly<Record<string, number>>;
  };
}

export interface PeerStatus {
  readonly name: string;
  readonly connected: boolean;
}

/** One line of `havrrp events`. */
export interface TransitionEvent {
  /** Counts up from 1 within one run of the daemon. */
  readonly sequence: number;
  readonly at: string;
  readonly group: string;
  readonly type: 'transition' | 'demotion' | 'alarm' | 'reload' | 'tracker' | 'hook' | 'sessions';
  readonly from?: GroupStateName;
  readonly to?: GroupStateName;
  readonly reason: string;
  readonly text: string;
}

/** `POST /v1/groups/G/demote`: every field may be left out. */
export interface DemoteRequest {
  /** How long until it ends by itself; without it, until `promote`. */
  readonly for_ms?: number;
  /** Survives a restart of the daemon and of the host. */
  readonly persist?: boolean;
  /** Leaves the election instead of becoming the last choice. */
  readonly hard?: boolean;
  /** Does not mind a peer that is known to be unready. */
  readonly force?: boolean;
  /** Answers when the handover has ended, not when it has begun. */
  readonly wait?: boolean;
}

export interface DemoteReply {
  readonly group: string;
  readonly state: GroupStateName;
  /** `handed_over`: somebody else is master; `not_master`: this node was not; `pending`: was not waited for;
   *  `nobody_took_over`: this node is still master, or, after a hard demotion, nobody is. */
  readonly outcome: 'handed_over' | 'not_master' | 'pending' | 'nobody_took_over';
  readonly text: string;
}

export interface PromoteReply {
  readonly group: string;
  readonly state: GroupStateName;
  readonly text: string;
}

export interface ReloadReply {
  /** What was done, a sentence each; empty when nothing differed. */
  readonly changes: readonly string[];
}

/** Any answer with a status of 400 or more. */
export interface ErrorReply {
  readonly error: string;
  readonly code: string;
  /** For a refused reload: `FILE:LINE:COL: message`, one for each mistake. */
  readonly complaints?: readonly string[];
}

/** The line of one mistake, for ErrorReply and for `havrrp check`: `FILE:LINE:COL: what is wrong: what to do`. */
export function complaintLine({ where, what, fix }: Complaint): string {
  return [where, what, fix].filter((part) => part !== undefined).join(': ');
}

/** What the daemon does for the control socket: the handler behind the server, with no HTTP in it.
 *  Methods reject with ControlError (`no_such_group`, ...) or ConfigError (reload). */
export interface ControlHandler {
  status(): Status;
  /** Everything that happened so far, oldest first (bounded). */
  events(): readonly TransitionEvent[];
  /** Calls back for every new event until the returned function is called. */
  follow(onEvent: (event: TransitionEvent) => void): () => void;
  demote(group: string, request: DemoteRequest): Promise<DemoteReply>;
  promote(group: string): Promise<PromoteReply>;
  reload(): Promise<ReloadReply>;
  metrics(): string;
}
