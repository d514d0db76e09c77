import type { Demotion } from '../../protocol/demotion.ts';
import type { Fault } from '../../protocol/reason.ts';

/** What one look found. `error`: it could not be looked, which is never as good as a pass. */
export interface Finding {
  readonly result: 'pass' | 'fail' | 'error';
  /** For people. */
  readonly detail: string;
  /** For a fault that has a name of its own, such as `link_down`. */
  readonly code?: string;
}

export type TrackerState = Finding['result'] | 'unknown';

/** A tracker's verdict, and what speaks against it. */
export interface Tally {
  readonly state: TrackerState;
  /** Findings in a row that contradict the state. */
  readonly against: number;
}

export const nothingKnown: Tally = { state: 'unknown', against: 0 };

/** One finding more. A first pass is enough to believe it; a failure counts when `fall` of them came in a row, also at the
 *  beginning: the first packet over a link that has just come up may be lost. Of failures and errors the last one names the state. */
export function count(
  { state, against }: Tally,
  result: Finding['result'],
  { fall, rise }: { readonly fall: number; readonly rise: number },
): Tally {
  const agrees = state !== 'unknown' && (state === 'pass') === (result === 'pass');
  if (agrees) return { state: result, against: 0 };
  const needed = result !== 'pass' ? fall : state === 'unknown' ? 1 : rise;
  // While nothing is known, a pass ends every row of failures at once.
  return against + 1 >= needed ? { state: result, against: 0 } : { state, against: against + 1 };
}

/** By how much a look may be judged later than its time limit. Beyond that it was we who were late: what we did not see
 *  proves nothing. */
export function lateLimitMs(timeoutMs: number): number {
  return Math.min(250, timeoutMs / 4);
}

/** What a tracker does to its group now. */
export interface Effect {
  readonly demotion: Demotion | undefined;
  readonly fault: Fault | undefined;
}

const noEffect: Effect = { demotion: undefined, fault: undefined };

/** @param hold whether one that faults its group does so already while nothing is known */
export function effectOf(
  { name, demote }: { readonly name: string; readonly demote: number | 'fault' },
  state: TrackerState,
  { detail, code }: Pick<Finding, 'detail' | 'code'>,
  hold: boolean,
): Effect {
  if (state === 'pass') return noEffect;
  if (demote !== 'fault') {
    if (state === 'unknown' || demote === 0) return noEffect;
    return { ...noEffect, demotion: { source: name, value: demote, hard: false } };
  }
  switch (state) {
    case 'unknown':
      return hold
        ? {
            ...noEffect,
            fault: { code: 'check_pending', text: `waiting for the first result of ${name}: ${detail}` },
          }
        : noEffect;
    case 'error':
      return {
        ...noEffect,
        fault: { code: code ?? 'check_error', text: `${name} cannot be checked: ${detail}` },
      };
    case 'fail':
      return { ...noEffect, fault: { code: code ?? 'check_failed', text: `${name} failed: ${detail}` } };
  }
}
