/** One thing to try; throws an AssertionError when it does not hold. */
export interface Case {
  readonly name: string;
  readonly check: () => void;
}

/** A requirement of RFC 9568 that the pure protocol can show, by its id in our conformance table. */
export interface ConformanceRow {
  readonly id: string;
  readonly section: string;
  readonly level: 'MUST' | 'MUST NOT' | 'SHOULD' | 'MAY' | 'def';
  readonly requirement: string;
  /** What must work. */
  readonly passes: Case;
  /** What must not. */
  readonly refuses?: Case;
  /** Where havrrp differs on purpose, and why. */
  readonly deviation?: string;
}
