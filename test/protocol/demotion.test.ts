import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { effectivePriority, operatorDemotion, totalDemotion } from '../../src/protocol/demotion.ts';
import { holds } from './holds.ts';

t.test('demotions add up', async (t) => {
  t.equal(totalDemotion([]), 0);
  t.equal(
    totalDemotion([
      { source: 'operator', value: 254, hard: false },
      { source: 'ping', value: 50, hard: false },
    ]),
    304,
  );
});

t.test('a demoted priority is at least 1: 0 would say that we leave', async (t) => {
  const rows = [
    [100, 0, 100],
    [100, 50, 50],
    [100, 99, 1],
    [100, 100, 1],
    [1, 0, 1],
    [255, 0, 255],
    [255, 1, 254],
    [255, operatorDemotion, 1],
    [254, operatorDemotion, 1],
    [150, 304, 1],
  ] as const;
  for (const [priority, demotion, effective] of rows) {
    t.equal(effectivePriority(priority, demotion), effective, `${priority} demoted by ${demotion}`);
  }
  holds(
    t,
    'never 0, never raised',
    fc.property(fc.integer({ min: 1, max: 255 }), fc.nat(1000), (priority, demotion) => {
      const effective = effectivePriority(priority, demotion);
      assert.ok(effective >= 1 && effective <= priority);
    }),
  );
});
