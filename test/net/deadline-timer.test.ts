import fc from 'fast-check';
import t from 'tap';
import { DeadlineHeap, DeadlineTimer } from '../../src/net/deadline-timer.ts';
import { loadNative } from '../../src/net/native.ts';

const native = loadNative();

/** A timer that is closed when the test ends; `served` resolves once the last of what the test waits for has happened. */
function openTimer(t: { teardown(close: () => void): void }): DeadlineTimer {
  const timer = DeadlineTimer.open(native);
  t.teardown(() => timer.close());
  return timer;
}

/** A deadline that resolves when it is reached. */
function reached(timer: DeadlineTimer, at: number): Promise<number> {
  return new Promise((resolve) => timer.deadline(resolve).set(at));
}

t.test('the heap is a sorted list', (t) => {
  const operation = fc.record({
    entry: fc.integer({ min: 0, max: 19 }),
    at: fc.option(
      fc.oneof(fc.integer({ min: 0, max: 9 }), fc.double({ noNaN: true, noDefaultInfinity: true })),
    ),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const heap = new DeadlineHeap<{ at: number; index: number }>();
      const entries = Array.from({ length: 20 }, () => ({ at: 0, index: -1 }));
      const model = new Map<number, number>();
      for (const { entry: number, at } of operations) {
        const entry = entries[number];
        if (entry === undefined) continue;
        if (at === null) {
          heap.remove(entry);
          model.delete(number);
        } else {
          heap.set(entry, at);
          model.set(number, at);
        }
        const earliest = model.size === 0 ? undefined : Math.min(...model.values());
        if (heap.earliest?.at !== earliest || heap.size !== model.size) return false;
      }
      const drained: number[] = [];
      for (let next = heap.earliest; next !== undefined; next = heap.earliest) {
        drained.push(next.at);
        heap.remove(next);
      }
      const sorted = [...model.values()].sort((left, right) => left - right);
      return entries.every(({ index }) => index === -1) && drained.every((at, index) => at === sorted[index]);
    }),
    { numRuns: 500 },
  );
  t.end();
});

t.test('never early, and says how late', async (t) => {
  const timer = openTimer(t);
  const at = native.now() + 20;
  const latenessMs = await reached(timer, at);
  const now = native.now();
  t.ok(now >= at);
  t.ok(latenessMs >= 0 && latenessMs <= now - at);
  t.equal(timer.lateness.histogram().count, 1);
  t.equal(timer.lateness.summary(now).max, latenessMs);
});

t.test('earliest first, also what is long past', async (t) => {
  const timer = openTimer(t);
  const order: string[] = [];
  const now = native.now();
  timer.deadline(() => order.push('soon')).set(now + 5);
  timer.deadline(() => order.push('past')).set(-1);
  timer.deadline(() => order.push('sooner')).set(now + 3);
  timer.deadline(() => order.push('never')).set(undefined);
  await reached(timer, now + 10);
  t.same(order, ['past', 'sooner', 'soon']);
});

t.test('serves everything that is due in one turn of the loop', async (t) => {
  const timer = openTimer(t);
  const turns: number[] = [];
  let turn = 0;
  const now = native.now();
  const last = new Promise<void>((resolve) => {
    for (const at of [now - 3, now - 2, now - 1]) timer.deadline(() => turns.push(turn)).set(at);
    timer.deadline(() => resolve()).set(now);
  });
  const count = (): void => {
    turn += 1;
    if (turns.length === 0) setImmediate(count);
  };
  setImmediate(count);
  await last;
  t.equal(turns.length, 3);
  t.equal(new Set(turns).size, 1);
});

t.test('a callback sets its own deadline again, without drift', async (t) => {
  const timer = openTimer(t);
  const start = native.now();
  const times: number[] = [];
  await new Promise<void>((resolve) => {
    const deadline = timer.deadline(() => {
      t.equal(deadline.at, undefined, 'a deadline that is served is no longer set');
      times.push(native.now());
      if (times.length === 5) resolve();
      else deadline.set(start + (times.length + 1) * 4);
    });
    deadline.set(start + 4);
    t.equal(deadline.at, start + 4);
  });
  t.ok(times.every((time, index) => time >= start + (index + 1) * 4));
});

t.test('a callback clears, moves and closes what is due after it', async (t) => {
  const timer = openTimer(t);
  const served: string[] = [];
  const now = native.now();
  const cleared = timer.deadline(() => served.push('cleared'));
  const moved = timer.deadline(() => served.push('moved'));
  const closed = timer.deadline(() => served.push('closed'));
  const first = timer.deadline(() => {
    served.push('first');
    cleared.set(undefined);
    moved.set(now + 10);
    closed.close();
    closed.set(now + 1);
    first.close();
    first.set(now + 1);
  });
  first.set(now - 5);
  for (const deadline of [cleared, moved, closed]) deadline.set(now - 4);
  await reached(timer, now + 11);
  t.same(served, ['first', 'moved']);
});

t.test(
  'a deadline that keeps setting itself to the past does not keep the loop from its other work',
  async (t) => {
    const timer = openTimer(t);
    let served = 0;
    const restless = timer.deadline(() => {
      served += 1;
      restless.set(0);
    });
    restless.set(0);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    restless.close();
    t.ok(served > 0 && served <= 21, `${served} in 20 turns of the loop`);
  },
);

t.test('what a callback throws is an uncaught exception, and the others are served', async (t) => {
  const timer = openTimer(t);
  const thrown = new Error('thrown in a deadline');
  const caught = new Promise((resolve) => {
    process.once('uncaughtException', resolve);
  });
  const now = native.now();
  timer
    .deadline(() => {
      throw thrown;
    })
    .set(now - 2);
  const after = reached(timer, now - 1);
  t.equal(await caught, thrown);
  t.ok((await after) >= 0);
});

t.test('a closed timer serves nothing more, even if it is closed in a callback', async (t) => {
  const timer = DeadlineTimer.open(native);
  const other = openTimer(t);
  const served: string[] = [];
  const now = native.now();
  const later = timer.deadline(() => served.push('later'));
  later.set(now + 1);
  timer
    .deadline(() => {
      served.push('closing');
      timer.close();
      timer.close();
      later.set(now + 2);
    })
    .set(now);
  await reached(other, now + 10);
  t.same(served, ['closing']);
});

t.test('no number, no deadline', (t) => {
  const deadline = openTimer(t).deadline(() => t.fail('served'));
  for (const at of [Number.NaN, Infinity, -Infinity])
    t.throws(() => deadline.set(at), { name: 'AssertionError' });
  t.equal(deadline.at, undefined);
  t.end();
});

t.test('many deadlines in random order are served in order, each once', async (t) => {
  const timer = openTimer(t);
  const start = native.now() + 5;
  const instants = Array.from({ length: 300 }, (_, index) => start + ((index * 7919) % 300) / 20);
  const served: number[] = [];
  await new Promise<void>((resolve) => {
    for (const at of instants) {
      timer
        .deadline(() => {
          served.push(at);
          if (served.length === instants.length) resolve();
        })
        .set(at);
    }
  });
  t.same(
    served,
    [...instants].sort((left, right) => left - right),
  );
});
