import t, { type Test } from 'tap';
import { Hold } from '../../src/conntrackd/hold.ts';

interface Stage {
  readonly hold: Hold;
  readonly heard: string[];
  /** Lets time pass. */
  readonly pass: (ms: number) => void;
}

function stage(t: Test, limitMs: number): Stage {
  let now = 0;
  let waiting: { at: number; callback: () => void }[] = [];
  const heard: string[] = [];
  const hold = new Hold({
    clock: {
      now: () => now,
      after: (delayMs, callback) => {
        const entry = { at: now + delayMs, callback };
        waiting.push(entry);
        return () => {
          waiting = waiting.filter((other) => other !== entry);
        };
      },
    },
    limitMs,
    onChanged: () => heard.push('changed'),
    onExpired: () => heard.push('expired'),
  });
  t.teardown(() => hold.close());
  return {
    hold,
    heard,
    pass: (ms) => {
      now += ms;
      const due = waiting.filter(({ at }) => at <= now);
      waiting = waiting.filter(({ at }) => at > now);
      for (const { callback } of due) callback();
    },
  };
}

t.test('held back from the start, until its end', async (t) => {
  const { hold, heard, pass } = stage(t, 100);
  pass(40);
  t.equal(hold.remainingMs, 60);
  hold.end();
  hold.end();
  t.equal(hold.remainingMs, undefined);
  pass(100);
  t.strictSame(heard, ['changed']);
});

t.test('its time is up', async (t) => {
  const { hold, heard, pass } = stage(t, 100);
  pass(100);
  t.equal(hold.remainingMs, undefined);
  t.strictSame(heard, ['expired', 'changed']);
});

t.test('begun again, its time counts from then', async (t) => {
  const { hold, heard, pass } = stage(t, 100);
  pass(90);
  hold.begin();
  pass(90);
  t.equal(hold.remainingMs, 10);
  t.strictSame(heard, [], 'it was held back all the time');
  hold.end();
  hold.begin();
  t.strictSame(heard, ['changed', 'changed']);
});

t.test('no time: never held back', async (t) => {
  const { hold, heard } = stage(t, 0);
  hold.begin();
  t.equal(hold.remainingMs, undefined);
  t.strictSame(heard, []);
});

t.test('closed, it says nothing', async (t) => {
  const { hold, heard, pass } = stage(t, 100);
  hold.close();
  pass(200);
  t.strictSame(heard, []);
});
