import assert from 'node:assert/strict';
import { Lateness } from './lateness.ts';
import { type Native, succeed } from './native.ts';

/** An instant at which a callback is due, set and cleared as often as its owner likes. */
export interface Deadline {
  /** When it is due, in monotonic milliseconds; undefined while it is not set. */
  readonly at: number | undefined;
  /** Replaces the instant. One already past is served at the next opportunity; undefined clears. Does nothing once closed. */
  set(at: number | undefined): void;
  close(): void;
}

/** A deadline's place in the heap. */
interface Entry {
  at: number;
  /** Index in the heap; -1 while not in it. */
  index: number;
}

/** A binary heap of entries, the earliest first, that can also lose or move one from its middle. */
export class DeadlineHeap<T extends Entry> {
  readonly #entries: T[] = [];

  get size(): number {
    return this.#entries.length;
  }

  get earliest(): T | undefined {
    return this.#entries[0];
  }

  /** Puts the entry where its `at` belongs, whether it was in the heap or not. */
  set(entry: T, at: number): void {
    entry.at = at;
    if (entry.index < 0) {
      entry.index = this.#entries.length;
      this.#entries.push(entry);
    }
    this.#settle(entry);
  }

  remove(entry: T): void {
    if (entry.index < 0) return;
    const last = this.#entries.pop();
    if (last !== undefined && last !== entry) {
      this.#place(last, entry.index);
      this.#settle(last);
    }
    entry.index = -1;
  }

  #place(entry: T, index: number): void {
    this.#entries[index] = entry;
    entry.index = index;
  }

  #settle(entry: T): void {
    let index = entry.index;
    for (;;) {
      const parent = this.#entries[(index - 1) >> 1];
      if (index === 0 || parent === undefined || parent.at <= entry.at) break;
      this.#place(parent, index);
      index = (index - 1) >> 1;
    }
    for (;;) {
      const left = this.#entries[2 * index + 1];
      const right = this.#entries[2 * index + 2];
      const child = right !== undefined && left !== undefined && right.at < left.at ? right : left;
      if (child === undefined || child.at >= entry.at) break;
      const childIndex = child.index;
      this.#place(child, index);
      index = childIndex;
    }
    this.#place(entry, index);
  }
}

interface Waiting extends Entry {
  readonly callback: (latenessMs: number) => void;
}

/** All deadlines of a thread on one absolute timer of the kernel (timerfd on CLOCK_MONOTONIC). */
export class DeadlineTimer {
  readonly lateness: Lateness = new Lateness();
  readonly #native: Native;
  /** -1 once closed. */
  #fd: number;
  readonly #heap = new DeadlineHeap<Waiting>();
  #armedFor: number | undefined;
  #serving = false;

  /** @throws KernelError */
  static open(native: Native): DeadlineTimer {
    return new DeadlineTimer(native, succeed(native, native.openTimer(), 'open', 'timer'));
  }

  private constructor(native: Native, fd: number) {
    this.#native = native;
    this.#fd = fd;
    succeed(
      native,
      native.watch(fd, () => this.#serve()),
      'watch',
      'timer',
    );
  }

  /** @param callback called once for each time the deadline is reached, with how late that was in milliseconds; it may set,
   *    clear and close this and other deadlines
   *  @returns a deadline that is not set yet */
  deadline(callback: (latenessMs: number) => void): Deadline {
    const waiting: Waiting = { at: 0, index: -1, callback };
    let closed = false;
    const set = (at: number | undefined): void => {
      if (closed) return;
      if (at === undefined) this.#heap.remove(waiting);
      else {
        assert(Number.isFinite(at), 'a deadline is a finite number of milliseconds');
        this.#heap.set(waiting, at);
      }
      this.#arm();
    };
    const close = (): void => {
      set(undefined);
      closed = true;
    };
    return {
      get at() {
        return waiting.index < 0 ? undefined : waiting.at;
      },
      set,
      close,
    };
  }

  /** No deadline is served after this. */
  close(): void {
    this.#native.close(this.#fd);
    this.#fd = -1;
  }

  /** Serves what is due, the earliest first. At most as many as there were: a deadline that keeps setting itself to the past
   *  must not keep the loop from its sockets. */
  #serve(): void {
    this.#native.readTimer(this.#fd);
    this.#armedFor = undefined;
    this.#serving = true;
    try {
      for (let left = this.#heap.size; left > 0 && this.#fd >= 0; left -= 1) {
        const now = this.#native.now();
        const { earliest } = this.#heap;
        if (earliest === undefined || earliest.at > now) break;
        this.#heap.remove(earliest);
        const latenessMs = now - earliest.at;
        this.lateness.record(now, latenessMs);
        earliest.callback(latenessMs);
      }
    } finally {
      // Also when a callback threw: the others still count on being served.
      this.#serving = false;
      this.#arm();
    }
  }

  #arm(): void {
    const at = this.#heap.earliest?.at;
    if (this.#serving || this.#fd < 0 || at === this.#armedFor) return;
    succeed(this.#native, this.#native.armTimer(this.#fd, at), 'arm', 'timer');
    this.#armedFor = at;
  }
}
