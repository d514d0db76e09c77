import type { Demotion } from '../../protocol/demotion.ts';
import type { Fault } from '../../protocol/reason.ts';
import type { TrackerSettings } from './settings.ts';
import { Tracker, type TrackerOptions, type TrackerStatus, identityOf } from './tracker.ts';

export type { TrackerOptions, TrackerStatus } from './tracker.ts';

/** The trackers of one group: what they demote it by, and what keeps it from running. */
export class Trackers {
  readonly #options: TrackerOptions;
  /** By identity, in the order of the configuration. */
  #trackers: ReadonlyMap<string, Tracker> = new Map();
  #waiting: (() => void)[] = [];

  constructor(options: TrackerOptions) {
    this.#options = {
      ...options,
      onChange: (status) => {
        options.onChange(status);
        this.#wakeWaiting();
      },
    };
  }

  /** What is tracked from now on. Who stays (same name, same target) keeps what it has found out. `demotions` and `faults` may differ
   *  afterwards without an `onChange`.
   *  @param hold whether a new tracker with `demote: fault` keeps the group from running until its first result: yes for a
   *    group that starts, no for one that is master and was given another tracker */
  configure(settings: readonly TrackerSettings[], { hold }: { readonly hold: boolean }): void {
    const before = this.#trackers;
    this.#trackers = new Map(
      settings.map((each) => {
        const identity = identityOf(each);
        const known = before.get(identity);
        known?.configure(each);
        return [identity, known ?? new Tracker(each, hold, this.#options)];
      }),
    );
    for (const [identity, tracker] of before) if (!this.#trackers.has(identity)) tracker.close();
    this.refresh();
    this.#wakeWaiting();
  }

  /** Looks at the interfaces again: for whenever the kernel has told something. */
  refresh(): void {
    for (const tracker of this.#trackers.values()) tracker.refresh();
  }

  get demotions(): readonly Demotion[] {
    const effects = [...this.#trackers.values()].map(({ effect }) => effect);
    return effects.map(({ demotion }) => demotion).filter((demotion) => demotion !== undefined);
  }

  get faults(): readonly Fault[] {
    const effects = [...this.#trackers.values()].map(({ effect }) => effect);
    return effects.map(({ fault }) => fault).filter((fault) => fault !== undefined);
  }

  get status(): readonly TrackerStatus[] {
    return [...this.#trackers.values()].map(({ status }) => status);
  }

  /** Resolves once every tracker knows whether it passes; at once where all do, and when they are closed. */
  allKnown(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#wakeWaiting();
    });
  }

  /** No result comes after this; commands that run are told to end. */
  close(): void {
    for (const tracker of this.#trackers.values()) tracker.close();
    this.#trackers = new Map();
    this.#wakeWaiting();
  }

  #wakeWaiting(): void {
    if ([...this.#trackers.values()].some(({ isKnown }) => !isKnown)) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
