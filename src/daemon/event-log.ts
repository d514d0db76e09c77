import type { TransitionEvent } from '../control/messages.ts';

/** How much history `havrrp events` has: enough for a bad night, bounded for a bad year. */
const capacity = 1000;

/** What happened, oldest first, and who wants to hear what happens next. */
export class EventLog {
  readonly #events: TransitionEvent[] = [];
  readonly #followers = new Set<(event: TransitionEvent) => void>();
  #sequence = 0;

  add(event: Omit<TransitionEvent, 'sequence' | 'at'>, at: Date): void {
    this.#sequence += 1;
    const entry: TransitionEvent = { sequence: this.#sequence, at: at.toISOString(), ...event };
    this.#events.push(entry);
    if (this.#events.length > capacity) this.#events.shift();
    for (const follower of this.#followers) follower(entry);
  }

  all(): readonly TransitionEvent[] {
    return [...this.#events];
  }

  /** @returns what ends it */
  follow(follower: (event: TransitionEvent) => void): () => void {
    this.#followers.add(follower);
    return () => {
      this.#followers.delete(follower);
    };
  }
}
