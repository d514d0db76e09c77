import fc from 'fast-check';
import type { Test } from 'tap';

/** Asserts that a property holds for all that fast-check tries; a failure shows the smallest case and the seed to replay it. */
export function holds<T>(t: Test, name: string, property: fc.IProperty<T>, numRuns = 100): void {
  const details = fc.check(property, { numRuns });
  if (details.failed) {
    t.fail(`${name}: ${String(details.errorInstance)}: ${fc.defaultReportMessage(details)}`);
  } else t.pass(name);
}
