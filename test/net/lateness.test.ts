import fc from 'fast-check';
import t from 'tap';
import { Lateness } from '../../src/net/lateness.ts';

const minuteMs = 60_000;

t.test('nothing served yet', (t) => {
  const lateness = new Lateness();
  t.same(lateness.summary(1), { p50: 0, p99: 0, max: 0 });
  t.match(lateness.histogram(), { count: 0, sumSeconds: 0 });
  t.end();
});

t.test('percentiles are upper bounds, at most a fifth above the exact ones', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.001, max: 5000, noNaN: true }), { minLength: 1, maxLength: 300 }),
      (values) => {
        const lateness = new Lateness();
        for (const value of values) lateness.record(1000, value);
        const sorted = [...values].sort((left, right) => left - right);
        const exact = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
        const { p50, p99, max } = lateness.summary(1000);
        const near = (found: number, wanted: number): boolean => found >= wanted && found <= wanted * 1.2;
        return near(p50, exact(0.5)) && near(p99, exact(0.99)) && max === exact(1);
      },
    ),
  );
  t.end();
});

t.test('what is older than six minutes is forgotten by the summary, not by the histogram', (t) => {
  const lateness = new Lateness();
  lateness.record(0, 70);
  lateness.record(3 * minuteMs, 2);
  t.equal(lateness.summary(3 * minuteMs).max, 70);
  t.equal(lateness.summary(6 * minuteMs - 1).max, 70);
  t.equal(lateness.summary(6 * minuteMs).max, 2);
  t.equal(lateness.summary(60 * minuteMs).max, 0);
  lateness.record(6 * minuteMs, 1);
  t.equal(lateness.summary(6 * minuteMs).max, 2, 'the first minute was replaced');
  t.equal(lateness.histogram().count, 3);
  t.end();
});

t.test('the histogram is cumulative', (t) => {
  const lateness = new Lateness();
  for (const ms of [-1, 0.05, 0.1, 0.2, 7, 3000]) lateness.record(0, ms);
  const { boundsSeconds, counts, sumSeconds, count } = lateness.histogram();
  const upTo = (bound: number): number | undefined => counts[boundsSeconds.indexOf(bound)];
  t.equal(upTo(0.0001), 3, 'a bound belongs to its bucket; too early counts as on time');
  t.equal(upTo(0.00025), 4);
  t.equal(upTo(0.005), 4);
  t.equal(upTo(0.01), 5);
  t.equal(upTo(2.5), 5, 'the rest is in +Inf, which is the count');
  t.equal(count, 6);
  t.ok(Math.abs(sumSeconds - 3.00735) < 1e-9);
  t.end();
});
