/** What Prometheus calls a histogram: `buckets[i].count` of the values were at most `le`, cumulatively. */
export interface HistogramSnapshot {
  readonly buckets: readonly { readonly le: number; readonly count: number }[];
  readonly sum: number;
  readonly count: number;
}

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** @param bounds ascending; values above the last one are in `count` only */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  record(value: number): void {
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
    this.#count += 1;
  }

  snapshot(): HistogramSnapshot {
    let count = 0;
    const buckets = this.#bounds.map((le, index) => ({ le, count: (count += this.#counts[index] ?? 0) }));
    return { buckets, sum: this.#sum, count: this.#count };
  }
}
