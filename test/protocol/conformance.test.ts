import t, { type Test } from 'tap';
import type { Case } from './conformance-row.ts';
import { conformance, elsewhere } from './conformance.ts';

function check(t: Test, name: string, { check }: Case): void {
  try {
    check();
    t.pass(name);
  } catch (error) {
    t.fail(`${name}: ${String(error)}`);
  }
}

t.test('every requirement holds', async (t) => {
  for (const { id, section, level, requirement, passes, refuses } of conformance) {
    check(t, `${id} (${section}, ${level}) ${requirement}: ${passes.name}`, passes);
    if (refuses !== undefined) check(t, `${id}, the other way round: ${refuses.name}`, refuses);
  }
});

t.test('V3-01 to V3-78 are each here or elsewhere, once', async (t) => {
  const ids = [...conformance.map(({ id }) => id), ...elsewhere.flatMap((left) => left.ids)];
  const all = Array.from({ length: 78 }, (_, index) => `V3-${String(index + 1).padStart(2, '0')}`);
  t.strictSame(ids.toSorted(), all);
});
