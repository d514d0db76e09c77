import { type CommitOutcome, isProved } from './commit.ts';
import type { Mode } from './statistics.ts';
import type { Change, Health, View } from './watch.ts';

/** What others get to see of the session table. */

/** One word for the sessions of a group. */
export type SessionState =
  /** Not asked yet. */
  | 'unknown'
  /** conntrackd cannot do its part. */
  | Exclude<Health, 'ok'>
  /** Master: being taken over; taken over; taken over in part; taken over without any of the sessions. */
  | 'committing'
  | 'committed'
  | 'incomplete'
  | 'stateless'
  /** Elsewhere: the sessions of the master are still arriving, or they are all here. */
  | 'syncing'
  | 'synced';

export interface SessionSnapshot {
  readonly mode: Mode;
  readonly health: Health | 'unknown';
  /** Entries; undefined where there is no such table, or nobody to ask. Internal: our own sessions as conntrackd knows them;
   *  external: the peer's; kernel: all of this host. */
  readonly internal: number | undefined;
  readonly external: number | undefined;
  readonly kernel: number | undefined;
  /** The peer's sessions are here, as far as can be known without it; undefined while every group is master. */
  readonly synced: boolean | undefined;
  /** What is known of that, for people. */
  readonly syncText: string;
  readonly lastCommit:
    | (CommitOutcome & {
        /** Monotonic milliseconds. */
        readonly startedAt: number;
        /** What follows a commit is done: the peer was sent our sessions. */
        readonly settled: boolean;
      })
    | undefined;
  /** What an operator should look at; undefined while there is nothing. */
  readonly trouble: string | undefined;
}

/** A change worth a line. */
export interface SessionEvent {
  readonly severity: 'info' | 'warning';
  readonly code:
    | 'conntrackd_trouble'
    | 'conntrackd_well'
    | 'conntrackd_restarted'
    | 'peer_silent'
    | 'peer_returned'
    | 'sessions_committed'
    | 'sessions_not_committed'
    | 'sessions_sent'
    | 'table_cleaned'
    | 'synced'
    | 'hold_ended';
  readonly text: string;
}

export function commitEvent(outcome: CommitOutcome): SessionEvent {
  const took = `${outcome.durationMs.toFixed(1)} ms`;
  return isProved(outcome)
    ? { severity: 'info', code: 'sessions_committed', text: `takeover after ${took}: ${outcome.text}` }
    : {
        severity: 'warning',
        code: 'sessions_not_committed',
        text: `stateless takeover after ${took}: ${outcome.text}`,
      };
}

export function changeEvents({ health, detail }: View, changes: ReadonlySet<Change>): SessionEvent[] {
  const peer = 'the conntrackd of the other node';
  const events: Readonly<Record<Change, SessionEvent>> = {
    health:
      health === 'ok'
        ? { severity: 'info', code: 'conntrackd_well', text: 'conntrackd answers' }
        : { severity: 'warning', code: 'conntrackd_trouble', text: detail },
    restarted: { severity: 'warning', code: 'conntrackd_restarted', text: 'conntrackd was started anew' },
    peer_silent: { severity: 'warning', code: 'peer_silent', text: `${peer} has fallen silent` },
    peer_returned: { severity: 'info', code: 'peer_returned', text: `${peer} is heard again` },
  };
  return [...changes].map((change) => events[change]);
}
