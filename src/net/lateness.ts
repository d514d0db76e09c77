/** How late the event loop is: how long after their time deadlines were served. Kept twice, in constant space: over the last
 *  minutes for people (`status`), and since the start for Prometheus. */
export interface LatenessSummary {
  /** Milliseconds, as the next two; percentiles are upper bounds, at most a fifth too large. All 0 when nothing was served. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** A Prometheus histogram: `counts[i]` firings were at most `boundsSeconds[i]` late, cumulatively. */
export interface LatenessHistogram {
  readonly boundsSeconds: readonly number[];
  readonly counts: readonly number[];
  readonly sumSeconds: number;
  readonly count: number;
}

const boundsSeconds: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
];

/** The window is the running minute and the five before it: by time and not by number, because the worst minute is what an
 *  operator asks for, whether ten deadlines fell into it or a hundred thousand. */
const minutes = 6;
const minuteMs = 60_000;

/** Classes of a microsecond and up, four to an octave; the last one is open. */
const classes = 120;
const classesPerOctave = 4;

interface Minute {
  /** Which minute of the monotonic clock this one counts. */
  number: number;
  readonly counts: Uint32Array;
  maxMs: number;
}

function classOf(latenessMs: number): number {
  const index = Math.ceil(Math.log2(Math.max(latenessMs * 1000, 1)) * classesPerOctave);
  return Math.min(index, classes - 1);
}

function upperBoundMs(index: number): number {
  return 2 ** (index / classesPerOctave) / 1000;
}

export class Lateness {
  readonly #minutes: readonly Minute[] = Array.from({ length: minutes }, () => ({
    number: -1,
    counts: new Uint32Array(classes),
    maxMs: 0,
  }));
  readonly #counts = new Array<number>(boundsSeconds.length).fill(0);
  #sumMs = 0;
  #count = 0;

  /** @param now monotonic milliseconds, when the deadline was served
   *  @param latenessMs by how much that was too late; below zero counts as zero */
  record(now: number, latenessMs: number): void {
    const late = Math.max(latenessMs, 0);
    const number = Math.floor(now / minuteMs);
    const minute = this.#minutes[number % minutes];
    if (minute === undefined) return;
    if (minute.number !== number) {
      minute.number = number;
      minute.counts.fill(0);
      minute.maxMs = 0;
    }
    const index = classOf(late);
    minute.counts[index] = (minute.counts[index] ?? 0) + 1;
    minute.maxMs = Math.max(minute.maxMs, late);
    const bucket = boundsSeconds.findIndex((bound) => late <= bound * 1000);
    if (bucket >= 0) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sumMs += late;
    this.#count += 1;
  }

  /** The last five to six minutes.
   *  @param now monotonic milliseconds */
  summary(now: number): LatenessSummary {
    const oldest = Math.floor(now / minuteMs) - minutes + 1;
    const recent = this.#minutes.filter(({ number }) => number >= oldest);
    const counts = Array.from({ length: classes }, (_, index) =>
      recent.reduce((sum, minute) => sum + (minute.counts[index] ?? 0), 0),
    );
    const total = counts.reduce((sum, count) => sum + count, 0);
    const max = Math.max(0, ...recent.map(({ maxMs }) => maxMs));
    const percentile = (share: number): number => {
      let seen = 0;
      const index = counts.findIndex((count) => (seen += count) >= share * total);
      // The bound of a class may lie above everything in it.
      return total === 0 ? 0 : Math.min(upperBoundMs(index), max);
    };
    return { p50: percentile(0.5), p99: percentile(0.99), max };
  }

  /** Since the start. */
  histogram(): LatenessHistogram {
    let sum = 0;
    return {
      boundsSeconds,
      counts: this.#counts.map((count) => (sum += count)),
      sumSeconds: this.#sumMs / 1000,
      count: this.#count,
    };
  }
}
