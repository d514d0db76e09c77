/** Lets one of a kind through in a while and counts the rest, so that a flood makes a few log lines (RFC 9568 7.1). */
export class RateLimit {
  readonly #now: () => number;
  readonly #everyMs: number;
  readonly #kinds = new Map<string, { passedAt: number; suppressed: number }>();

  /** @param now monotonic milliseconds */
  constructor(now: () => number, everyMs: number) {
    this.#now = now;
    this.#everyMs = everyMs;
  }

  /** @returns how many of this kind were held back since the last that passed; undefined when this one is held back too */
  pass(kind: string): number | undefined {
    const now = this.#now();
    const entry = this.#kinds.get(kind);
    if (entry !== undefined && now - entry.passedAt < this.#everyMs) {
      entry.suppressed += 1;
      return undefined;
    }
    this.#kinds.set(kind, { passedAt: now, suppressed: 0 });
    return entry?.suppressed ?? 0;
  }
}
