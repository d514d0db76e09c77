import type { Outage } from '../bench/probe.ts';
import { failureLimitMs, plannedLimitProbes, type Act } from './acts.ts';
import type { Palette } from './timeline.ts';

/** What an act cost, held against what it may cost; pure. */
export interface Result {
  readonly act: Act;
  readonly outages: readonly Outage[];
  /** Why the act could not be played to its end. */
  readonly broken: string | undefined;
}

/** How much longer than the master-down interval a takeover may take, for what the machine needs itself. */
const tolerance = 1.03;

/** @returns undefined when all is well */
export function complaint({ act, outages, broken }: Result): string | undefined {
  if (broken !== undefined) return broken;
  const isWithin =
    act.kind === 'planned'
      ? lost(outages) <= plannedLimitProbes
      : longestMs(outages) <= failureLimitMs(act) * tolerance;
  return isWithin ? undefined : 'over the limit';
}

const columns = { name: 36, outage: 9, lost: 8, allowed: 12 };

export function table(results: readonly Result[], { strong, good, bad }: Palette): string[] {
  const heading = [
    '    what happened'.padEnd(columns.name) +
      'outage'.padStart(columns.outage) +
      '   probes lost'.padEnd(16),
    '   allowed',
  ];
  const families = 'IPv4'.padStart(columns.lost) + 'IPv6'.padStart(columns.lost);
  return [
    strong(heading.join('')),
    strong(' '.repeat(columns.name + columns.outage) + families),
    ...results.map((result, index) => {
      const { act, outages } = result;
      const cells = [
        `  ${index + 1} ${act.name}`.padEnd(columns.name),
        duration(longestMs(outages)).padStart(columns.outage),
        String(lost(outages.filter(({ target }) => !target.includes(':')))).padStart(columns.lost),
        String(lost(outages.filter(({ target }) => target.includes(':')))).padStart(columns.lost),
        '   ',
        (act.kind === 'planned' ? `${plannedLimitProbes} probes` : duration(failureLimitMs(act))).padEnd(
          columns.allowed,
        ),
      ];
      const wrong = complaint(result);
      return cells.join('') + (wrong === undefined ? good('ok') : bad(`FAILED: ${wrong}`));
    }),
  ];
}

function duration(ms: number): string {
  if (ms === 0) return 'none';
  return Number.isFinite(ms) ? `${ms.toFixed(0)} ms` : 'for good';
}

function longestMs(outages: readonly Outage[]): number {
  return Math.max(0, ...outages.map(({ from, to }) => (to ?? Infinity) - from));
}

/** The most probes that one target missed. */
function lost(outages: readonly Outage[]): number {
  const sums = new Map<string, number>();
  for (const outage of outages) sums.set(outage.target, (sums.get(outage.target) ?? 0) + outage.lost);
  return Math.max(0, ...sums.values());
}
