import { stat } from 'node:fs/promises';
import type { ControlClient, ControlFailure, ControlResult } from './control-client.ts';
import { parseStatistics, type Statistics } from './statistics.ts';

/** What conntrackd looks like from outside, poll by poll, and what has changed since the one before. */

export type Health =
  | 'ok'
  /** It does not run, or its socket is not where we look. */
  | 'absent'
  | 'no_rights'
  /** It runs and does not answer. */
  | 'hung'
  /** It only counts: nothing is synchronised. */
  | 'statistics_mode'
  /** It answers, and we do not understand. */
  | 'broken';

/** One poll. */
export interface Reading {
  readonly health: Health;
  /** What is wrong, for people; empty when nothing is. */
  readonly detail: string;
  readonly statistics: Statistics | undefined;
  /** Which run of conntrackd it is: it makes its socket anew whenever it starts. Undefined when there is none. */
  readonly run: string | undefined;
}

/** What is known after a poll. */
export interface View extends Omit<Reading, 'health'> {
  readonly health: Health | 'unknown';
  readonly at: number;
  /** The last statistics it gave, also while it does not answer. */
  readonly known: Statistics | undefined;
  /** The last run that answered. */
  readonly knownRun: string | undefined;
  /** When the peer's conntrackd was last heard: its packets were counted. */
  readonly peerHeardAt: number | undefined;
  readonly peerHeard: boolean;
}

export type Change =
  | 'health'
  /** Our conntrackd has been started anew: it has forgotten what it had of the peer. */
  | 'restarted'
  | 'peer_silent'
  /** Heard again after silence: it may have been started anew, and what it forgot meanwhile it does not tell. */
  | 'peer_returned';

/** It says something every second. */
const peerSilenceMs = 3000;

/** Asks conntrackd how it is; never rejects. Where its socket answers in words we do not know, its own program is tried. */
export async function ask(client: ControlClient, timeoutMs: number): Promise<Omit<Reading, 'run'>> {
  const answer = await client.request('statistics', { timeoutMs });
  const first = judge(answer);
  if (!answer.ok) {
    // Of a conntrackd that is gone, the socket tells more.
    client.askThroughProgram(false);
  } else if (first.statistics === undefined && !client.throughProgram) {
    client.askThroughProgram(true);
    const second = judge(await client.request('statistics', { timeoutMs }));
    if (second.statistics !== undefined) return second;
    client.askThroughProgram(false);
  }
  return first;
}

/** Asks, and looks which run of conntrackd it is that answers. */
export async function read(client: ControlClient, timeoutMs: number): Promise<Reading> {
  const run = await runOf(client.path);
  return { ...(await ask(client, timeoutMs)), run };
}

export const unseen: View = {
  at: -Infinity,
  health: 'unknown',
  detail: 'conntrackd was not asked yet',
  statistics: undefined,
  run: undefined,
  known: undefined,
  knownRun: undefined,
  peerHeardAt: undefined,
  peerHeard: false,
};

export function look(
  previous: View,
  reading: Reading,
  now: number,
): { readonly view: View; readonly changes: ReadonlySet<Change> } {
  const { health, statistics, run } = reading;
  const changes = new Set<Change>();
  if (health !== previous.health) changes.add('health');
  const answered = statistics !== undefined;
  const restarted = answered && previous.knownRun !== undefined && run !== previous.knownRun;
  if (restarted) changes.add('restarted');

  const received = statistics?.link?.packetsReceived;
  const before = restarted ? undefined : previous.known?.link?.packetsReceived;
  const heardNow = received !== undefined && before !== undefined && received !== before;
  const peerHeardAt = heardNow ? now : previous.peerHeardAt;
  // While conntrackd itself does not answer, nothing is known of the peer.
  const peerHeard = answered
    ? peerHeardAt !== undefined && now - peerHeardAt < peerSilenceMs
    : previous.peerHeard;
  if (previous.peerHeard && !peerHeard) changes.add('peer_silent');
  if (!previous.peerHeard && peerHeard && previous.peerHeardAt !== undefined) changes.add('peer_returned');

  const view: View = {
    ...reading,
    at: now,
    known: statistics ?? previous.known,
    knownRun: answered ? run : previous.knownRun,
    peerHeardAt,
    peerHeard,
  };
  return { view, changes };
}

function judge(answer: ControlResult): Omit<Reading, 'run'> {
  if (!answer.ok) {
    const [health, what] = troubles[answer.reason];
    return { health, detail: `${what}: ${answer.detail}`, statistics: undefined };
  }
  const statistics = parseStatistics(answer.text);
  const { mode, external } = statistics;
  if (mode === 'statistics') return { health: 'statistics_mode', detail: statisticsOnly, statistics };
  // Also one who died while answering.
  if (mode === 'unknown' || (mode === 'external-cache' && external?.current === undefined))
    return { health: 'broken', detail: `${troubles.broken[1]}: no cache is named`, statistics: undefined };
  return { health: 'ok', detail: '', statistics };
}

const troubles: Readonly<Record<ControlFailure, readonly [Health, string]>> = {
  absent: ['absent', 'conntrackd does not run'],
  no_rights: ['no_rights', 'conntrackd cannot be asked'],
  timeout: ['hung', 'conntrackd hangs'],
  broken: ['broken', 'conntrackd answers badly'],
};

const statisticsOnly =
  'conntrackd synchronises nothing, it only keeps statistics: give its configuration a Sync section (havrrp generate conntrackd)';

/** An inode may be used again at once, with another time of change. */
async function runOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, ctimeMs } = await stat(path);
    return `${dev}/${ino}/${ctimeMs}`;
  } catch {
    return undefined;
  }
}
