import type { DeadlineTimer } from '../../net/deadline-timer.ts';
import type { Native } from '../../net/native.ts';
import type { Host } from '../facts.ts';
import { lookAtInterface } from './interface.ts';
import { lookAt } from './looks.ts';
import { Poller } from './poller.ts';
import type { TrackerKind, TrackerSettings } from './settings.ts';
import {
  type Effect,
  type Finding,
  type Tally,
  type TrackerState,
  count,
  effectOf,
  nothingKnown,
} from './verdict.ts';

/** One tracker as `status` shows it. */
export interface TrackerStatus {
  readonly name: string;
  readonly kind: TrackerKind;
  readonly state: TrackerState;
  /** When it came to this state. */
  readonly since: Date;
  /** What was found last, for people. */
  readonly detail: string;
  /** What it adds to the demotion now, 0 for nothing; `fault` when it keeps the group from running. */
  readonly contributes: number | 'fault';
}

export interface TrackerOptions {
  readonly native: Native;
  readonly timer: DeadlineTimer;
  /** What is known of interfaces; whoever hears that it changed calls `refresh`. */
  readonly host: Pick<Host, 'link'>;
  /** Added to what commands get: HAVRRP_NODE, HAVRRP_GROUP. */
  readonly environment: Readonly<Record<string, string>>;
  /** A tracker has come to another state, and with it perhaps to another effect on its group. */
  readonly onChange: (status: TrackerStatus) => void;
  /** A failure was found that does not count: the event loop was this much late. */
  readonly onDiscarded: (status: TrackerStatus, lateMs: number) => void;
}

/** What makes two trackers the same one before and after a reload. */
export function identityOf(settings: TrackerSettings): string {
  const { name, kind } = settings;
  switch (kind) {
    case 'interface':
      return JSON.stringify([name, kind, settings.interface]);
    case 'ping':
      return JSON.stringify([name, kind, settings.address, settings.interface]);
    case 'tcp':
      return JSON.stringify([name, kind, settings.host, settings.port]);
    case 'command':
      return JSON.stringify([name, kind, settings.argv]);
    case 'process':
      return JSON.stringify([name, kind, settings.process]);
    case 'file':
      return JSON.stringify([name, kind, settings.path]);
  }
}

/** What one tracker has found so far, and what looks further. */
export class Tracker {
  readonly #options: TrackerOptions;
  readonly #hold: boolean;
  readonly #poller: Poller | undefined;
  #settings: TrackerSettings;
  #tally: Tally = nothingKnown;
  #since = new Date();
  #last: Pick<Finding, 'detail' | 'code'> = { detail: 'no result yet' };

  /** @param hold whether with `demote: fault` it keeps its group from running until the first result */
  constructor(settings: TrackerSettings, hold: boolean, options: TrackerOptions) {
    this.#options = options;
    this.#settings = settings;
    this.#hold = hold;
    if (settings.kind === 'interface') return;
    const { native, timer } = options;
    const environment = { ...options.environment, HAVRRP_TRACKER: settings.name };
    this.#poller = new Poller({
      native,
      timer,
      pace: settings,
      look: lookAt(settings, { native, environment }),
      onFinding: (finding) => {
        this.#find(finding);
      },
      onDiscarded: (finding, lateMs) => {
        this.#discard(finding, lateMs);
      },
    });
  }

  get isKnown(): boolean {
    return this.#tally.state !== 'unknown';
  }

  get effect(): Effect {
    return effectOf(this.#settings, this.#tally.state, this.#last, this.#hold);
  }

  get status(): TrackerStatus {
    const { name, kind } = this.#settings;
    const { demotion, fault } = this.effect;
    return {
      name,
      kind,
      state: this.#tally.state,
      since: this.#since,
      detail: this.#last.detail,
      contributes: fault === undefined ? (demotion?.value ?? 0) : 'fault',
    };
  }

  /** Other numbers for the same target: what was found out stays. */
  configure(settings: TrackerSettings): void {
    this.#settings = settings;
    if (settings.kind !== 'interface') this.#poller?.configure(settings);
  }

  /** What can be told without looking: the kernel has said it. */
  refresh(): void {
    if (this.#settings.kind === 'interface') {
      this.#find(lookAtInterface(this.#options.host, this.#settings.interface));
    }
  }

  close(): void {
    this.#poller?.close();
  }

  #find(finding: Finding): void {
    const settings = this.#settings;
    const pace = settings.kind === 'interface' ? { fall: 1, rise: 1 } : settings;
    const before = this.#tally;
    this.#tally = count(before, finding.result, pace);
    const { state, against } = this.#tally;
    const needed = finding.result === 'pass' ? pace.rise : pace.fall;
    this.#last =
      against === 0 ? finding : { ...finding, detail: `${finding.detail} (${against} of ${needed})` };
    if (state === before.state) return;
    this.#since = new Date();
    this.#options.onChange(this.status);
  }

  #discard({ detail }: Finding, lateMs: number): void {
    this.#last = {
      ...this.#last,
      detail: `${detail}; does not count, for we were ${Math.round(lateMs)} ms late ourselves`,
    };
    this.#options.onDiscarded(this.status, lateMs);
  }
}
