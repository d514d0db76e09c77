import type { Deadline, DeadlineTimer } from '../../net/deadline-timer.ts';
import type { Native } from '../../net/native.ts';
import type { Pace } from './settings.ts';
import { type Finding, lateLimitMs } from './verdict.ts';

/** One look at a target. Resolves when nothing of it is under way any more, with whatever it found; soon after `signal` was aborted,
 *  where that can be helped. Never rejects. */
export type Look = (signal: AbortSignal) => Promise<Finding>;

/** The reason of an abort after which nobody will look again. */
export const closing = 'closing';

/** What has happened comes before what is decided: turns of the event loop to hand it over, such as the end of a process and then of
 *  what it said. */
const turnsBeforeTimeout = 4;

/** How long one that was told to end may take before that is a failure of its own: somewhat more than a program takes that has to be
 *  ended by force. */
const endingMs = 3500;

/** What the deadline waits for. */
type Phase =
  /** The next look. */
  | { readonly name: 'pausing' }
  /** The time limit of the one under way. */
  | {
      readonly name: 'looking';
      readonly startedAt: number;
      readonly limitAt: number;
      readonly abort: AbortController;
    }
  /** One that did not keep its time limit and has not ended yet: it counts as failed once more for every `endingMs` that it takes. */
  | { readonly name: 'overdue'; readonly nextAt: number; readonly abort: AbortController };

/** Looks again and again, one look at a time, each under a time limit. */
export class Poller {
  readonly #native: Native;
  readonly #deadline: Deadline;
  readonly #look: Look;
  readonly #onFinding: (finding: Finding) => void;
  /** What was found while the event loop was late. */
  readonly #onDiscarded: (finding: Finding, lateMs: number) => void;
  #pace: Pace;
  #phase: Phase = { name: 'pausing' };
  #closed = false;

  /** Looks for the first time at once. */
  constructor(options: {
    native: Native;
    timer: DeadlineTimer;
    pace: Pace;
    look: Look;
    onFinding: (finding: Finding) => void;
    onDiscarded: (finding: Finding, lateMs: number) => void;
  }) {
    this.#native = options.native;
    this.#pace = options.pace;
    this.#look = options.look;
    this.#onFinding = options.onFinding;
    this.#onDiscarded = options.onDiscarded;
    this.#deadline = options.timer.deadline(() => this.#onDeadline());
    this.#deadline.set(this.#native.now());
  }

  /** From the next look on. */
  configure(pace: Pace): void {
    this.#pace = pace;
  }

  /** Nothing is found any more; what is under way is told to end. */
  close(): void {
    this.#closed = true;
    this.#deadline.close();
    if (this.#phase.name !== 'pausing') this.#phase.abort.abort(closing);
  }

  #onDeadline(): void {
    const phase = this.#phase;
    switch (phase.name) {
      case 'pausing':
        void this.#begin();
        break;
      case 'looking':
        void this.#timeOut(phase, this.#native.now());
        break;
      case 'overdue':
        this.#onFinding({ result: 'fail', detail: 'no result, and it does not end' });
        this.#deadline.set(this.#native.now() + endingMs);
        break;
    }
  }

  async #begin(): Promise<void> {
    const startedAt = this.#native.now();
    const limitAt = startedAt + this.#pace.timeoutMs;
    const abort = new AbortController();
    this.#phase = { name: 'looking', startedAt, limitAt, abort };
    this.#deadline.set(limitAt);
    const finding = await this.#look(abort.signal);
    if (this.#closed) return;
    this.#onEnded(finding, startedAt + this.#pace.everyMs);
  }

  #onEnded(finding: Finding, nextAt: number): void {
    const phase = this.#phase;
    this.#phase = { name: 'pausing' };
    if (phase.name === 'overdue') {
      this.#deadline.set(Math.max(phase.nextAt, this.#native.now()));
    } else if (phase.name === 'looking') {
      const again = this.#judge(finding, phase.limitAt, this.#native.now());
      this.#deadline.set(again ? this.#native.now() : Math.max(nextAt, this.#native.now()));
    }
  }

  async #timeOut(phase: Extract<Phase, { name: 'looking' }>, now: number): Promise<void> {
    for (let turn = 0; turn < turnsBeforeTimeout; turn += 1) await new Promise(setImmediate);
    if (this.#phase !== phase || this.#closed) return;
    const { startedAt, limitAt, abort } = phase;
    const finding: Finding = { result: 'fail', detail: `no result within ${this.#pace.timeoutMs / 1000} s` };
    const again = this.#judge(finding, limitAt, now);
    this.#phase = { name: 'overdue', nextAt: again ? now : startedAt + this.#pace.everyMs, abort };
    this.#deadline.set(this.#native.now() + endingMs);
    abort.abort();
  }

  /** A pass is a pass whenever it is read; a failure that we may have missed the end of is none.
   *  @returns whether it does not count, and is to be repeated */
  #judge(finding: Finding, limitAt: number, now: number): boolean {
    const lateMs = now - limitAt;
    const counts = finding.result === 'pass' || lateMs <= lateLimitMs(this.#pace.timeoutMs);
    if (counts) this.#onFinding(finding);
    else this.#onDiscarded(finding, lateMs);
    return !counts;
  }
}
