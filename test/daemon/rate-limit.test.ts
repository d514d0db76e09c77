import t from 'tap';
import { RateLimit } from '../../src/daemon/rate-limit.ts';

t.test('the first of a kind passes, and then one in a while that tells of the others', async (t) => {
  let now = 0;
  const limit = new RateLimit(() => now, 1000);
  t.equal(limit.pass('a'), 0, 'the first passes');
  const passed: number[] = [];
  for (now = 1; now < 1000; now += 1) if (limit.pass('a') !== undefined) passed.push(now);
  t.strictSame(passed, [], 'the others are held back');
  t.equal(limit.pass('b'), 0, 'another kind is another matter');
  now = 1000;
  t.equal(limit.pass('a'), 999, 'it tells how many were held back');
  now = 2000;
  t.equal(limit.pass('a'), 0, 'and begins anew');
});
