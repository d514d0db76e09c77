import type { Test } from 'tap';
import type { PolledSettings, PolledTarget, TrackerSettings } from '../../src/daemon/trackers/settings.ts';
import { type TrackerOptions, type TrackerStatus, Trackers } from '../../src/daemon/trackers/trackers.ts';
import { DeadlineTimer } from '../../src/net/deadline-timer.ts';
import { loadNative } from '../../src/net/native.ts';
import { Feed } from '../bench/feed.ts';

const native = loadNative();
export const soon = { withinMs: 10_000 };

export type Change = TrackerStatus & { readonly discardedMs?: number };

/** The trackers of a group, and what they report. */
export class TrackerStage {
  readonly trackers: Trackers;
  readonly changes: Feed<Change> = new Feed(({ name, state, detail }) => `${name} ${state}: ${detail}`);
  /** Links that are up; those that are not named are not there. */
  readonly links: Map<string, boolean> = new Map();

  /** @param host where interfaces are looked up, instead of `links` */
  constructor(t: Test, host?: TrackerOptions['host']) {
    const timer = DeadlineTimer.open(native);
    this.trackers = new Trackers({
      native,
      timer,
      host: host ?? {
        link: (name) => {
          const up = this.links.get(name);
          return up === undefined ? undefined : { index: 1, name, mac: '', up, adminUp: true, mtu: 1500 };
        },
      },
      environment: { HAVRRP_NODE: 'fw1', HAVRRP_GROUP: 'edge' },
      onChange: (status) => this.changes.push(status),
      onDiscarded: (status, discardedMs) => this.changes.push({ ...status, discardedMs }),
    });
    t.teardown(() => {
      this.trackers.close();
      timer.close();
    });
  }

  track(...settings: readonly TrackerSettings[]): void {
    this.trackers.configure(settings, { hold: true });
  }

  reaches(state: Change['state'], name = 'it'): Promise<Change> {
    return this.changes.next(
      (change) => change.name === name && change.state === state && change.discardedMs === undefined,
      {
        ...soon,
        what: `${name} ${state}`,
      },
    );
  }

  get only(): TrackerStatus {
    const [status] = this.trackers.status;
    if (status === undefined) throw new Error('nothing is tracked');
    return status;
  }
}

/** Looked at often, each finding counts. */
export function often(target: PolledTarget, changes: Partial<PolledSettings> = {}): PolledSettings {
  const pace = { everyMs: 20, timeoutMs: 2000, fall: 1, rise: 1 };
  return { name: 'it', demote: 30, ...pace, ...target, ...changes } as PolledSettings;
}
