import t from 'tap';
import { addressItem } from '../../src/net/wanted-addresses.ts';
import { type Want, decide, held, newWant, noteAdded } from '../../src/net/wants.ts';
import { has, kernelWith } from './kernels.ts';

const item = addressItem({
  interface: 'eth0',
  family: 'ipv4',
  address: '192.0.2.1',
  prefixLength: 24,
  label: undefined,
  scope: 'global',
});

t.test('whose it is, on a kernel that does not keep IFA_PROTO', (t) => {
  const untagged = kernelWith(has('192.0.2.1', { ours: false }));
  const want = newWant(item);
  t.equal(held(want, untagged), undefined, 'not known to be ours');
  noteAdded(want, 0);
  t.match(held(want, untagged), { address: { address: '192.0.2.1' } }, 'we added it');
  t.same(decide(want, untagged, 0), { type: 'leave' });
  t.equal(held(want, kernelWith()), undefined);
  t.equal(held(want, untagged), undefined, 'it went; who added it again?');
  t.end();
});

/** An address that is removed as soon as it is put back.
 *  @returns when it was put back, and the pauses, until `end` */
function fight(want: Want, start: number, end: number): { putBackAt: number[]; pauses: number[] } {
  const putBackAt: number[] = [];
  const pauses: number[] = [];
  for (let now = start; now < end; now += 10) {
    const decision = decide(want, kernelWith(), now);
    if (decision.type === 'pause') pauses.push(decision.pauseMs);
    if (decision.type !== 'add') continue;
    noteAdded(want, now);
    putBackAt.push(now);
  }
  return { putBackAt, pauses };
}

t.test('a fight', (t) => {
  const want = newWant(item);
  noteAdded(want, 0);
  const { putBackAt, pauses } = fight(want, 1000, 120_000);
  t.same(putBackAt.slice(0, 3), [1000, 1010, 1020], 'some times,');
  t.same(putBackAt.slice(19, 21), [1190, 2200], 'then after a pause');
  t.same(pauses.slice(0, 7), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000], 'longer and longer');
  t.ok(putBackAt.length < 200, `${putBackAt.length} times in two minutes`);

  t.same(decide(want, kernelWith(has('192.0.2.1')), 130_000), { type: 'leave' });
  t.same(fight(want, 200_000, 202_000).pauses.at(0), 1000, 'forgotten after a while of peace');

  const calm = newWant(item);
  noteAdded(calm, 0);
  for (let now = 0; now < 60_000; now += 300) {
    t.same(decide(calm, kernelWith(), now), { type: 'add', instead: undefined }, 'now and then is no fight');
    noteAdded(calm, now);
  }
  t.end();
});
