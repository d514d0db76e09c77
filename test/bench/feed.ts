/** Things that happen one after another (frames, log lines, events) and can be waited for: what has come in is kept, and
 *  a cursor stands behind the last one that somebody waited for, so that nothing is missed between two waits. */
export class Feed<Item> {
  readonly items: Item[] = [];
  readonly #listeners: ((item: Item) => void)[] = [];
  #cursor = 0;
  #waiting: { look: () => void; fail: (reason: string) => void } | undefined;
  #ended: string | undefined;
  readonly #show: (item: Item) => string;

  /** @param show how an item reads in the message of a wait that came to nothing */
  constructor(show: (item: Item) => string = (item) => JSON.stringify(item)) {
    this.#show = show;
  }

  push(item: Item): void {
    this.items.push(item);
    for (const listener of this.#listeners) listener(item);
    this.#waiting?.look();
  }

  /** Calls back for every item from now on. */
  onItem(listener: (item: Item) => void): void {
    this.#listeners.push(listener);
  }

  /** Nothing more will come; whoever waits is told so. */
  end(reason: string): void {
    this.#ended ??= reason;
    this.#waiting?.fail(reason);
  }

  /** The next wait begins here: what has come in until now is passed over. */
  skip(): void {
    this.#cursor = this.items.length;
  }

  /** The first wanted item behind the cursor, which then stands behind that item. One wait at a time.
   *  @throws Error with what was waited for and what came instead, after `withinMs` or when the feed ends */
  next<Wanted extends Item>(
    wanted: (item: Item) => item is Wanted,
    wait: { readonly withinMs: number; readonly what?: string },
  ): Promise<Wanted>;
  next(
    wanted: (item: Item) => boolean,
    wait: { readonly withinMs: number; readonly what?: string },
  ): Promise<Item>;
  next(
    wanted: (item: Item) => boolean,
    { withinMs, what = 'what was waited for' }: { readonly withinMs: number; readonly what?: string },
  ): Promise<Item> {
    if (this.#waiting !== undefined) throw new Error(`${what}: somebody waits on this feed already`);
    const start = this.#cursor;
    let seen = start;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting = undefined;
      };
      const fail = (reason: string): void => {
        settle();
        const last = this.items.slice(start).slice(-8).map(this.#show);
        const instead = last.length === 0 ? 'nothing came' : `what came:\n  ${last.join('\n  ')}`;
        reject(new Error(`${what}: ${reason}; ${instead}`));
      };
      const look = (): void => {
        while (seen < this.items.length) {
          const item = this.items[seen++] as Item;
          if (!wanted(item)) continue;
          this.#cursor = seen;
          settle();
          resolve(item);
          return;
        }
      };
      const timer = setTimeout(() => {
        fail(`not within ${withinMs} ms`);
      }, withinMs);
      this.#waiting = { look, fail };
      look();
      if (this.#waiting !== undefined && this.#ended !== undefined) fail(this.#ended);
    });
  }
}
