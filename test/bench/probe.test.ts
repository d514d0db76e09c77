import t from 'tap';
import { outages, type Outcome } from './probe.ts';

/** `.` answered, `x` lost, one every 5 ms. */
function outcomes(target: string, story: string): Outcome[] {
  return [...story].map((letter, sequence) => ({
    target,
    sequence,
    sentAt: sequence * 5,
    answeredAfterMs: letter === '.' ? 0.1 : undefined,
  }));
}

t.test('probes lost in a row are one outage, for each target by itself', async (t) => {
  const both = [...outcomes('a', '..xx..x'), ...outcomes('b', '.x.....')];
  t.strictSame(outages(both), [
    { target: 'b', from: 5, to: 10, lost: 1 },
    { target: 'a', from: 10, to: 20, lost: 2 },
    { target: 'a', from: 30, to: undefined, lost: 1 },
  ]);
  t.strictSame(outages(outcomes('a', '.....')), []);
});
