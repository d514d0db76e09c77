import type { Clock } from './control-client.ts';

/** How long a backup that is not synchronised is held back: until it is, or until its time is up. It begins held back. */
export class Hold {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onChanged: () => void;
  readonly #onExpired: () => void;
  #until: number | undefined;
  #cancel: () => void = () => undefined;

  /** @param options.onChanged it has begun, or is over
   *  @param options.onExpired its time was up; `onChanged` follows */
  constructor(options: { clock: Clock; limitMs: number; onChanged: () => void; onExpired: () => void }) {
    this.#clock = options.clock;
    this.#limitMs = options.limitMs;
    this.#onChanged = options.onChanged;
    this.#onExpired = options.onExpired;
    this.#start();
  }

  /** What is left of it; undefined when nothing is held back. */
  get remainingMs(): number | undefined {
    return this.#until === undefined ? undefined : Math.max(0, this.#until - this.#clock.now());
  }

  /** Also of one that has begun already: its time counts from now. */
  begin(): void {
    const before = this.#until;
    this.#start();
    if (before === undefined && this.#until !== undefined) this.#onChanged();
  }

  end(): void {
    this.#cancel();
    if (this.#until === undefined) return;
    this.#until = undefined;
    this.#onChanged();
  }

  /** Without a word. */
  close(): void {
    this.#cancel();
  }

  #start(): void {
    this.#cancel();
    if (this.#limitMs <= 0) return;
    this.#until = this.#clock.now() + this.#limitMs;
    this.#cancel = this.#clock.after(this.#limitMs, () => {
      this.#until = undefined;
      this.#onExpired();
      this.#onChanged();
    });
  }
}
