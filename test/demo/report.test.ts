import t from 'tap';
import { acts, type Act } from './acts.ts';
import { complaint, table } from './report.ts';
import { plain } from './timeline.ts';

function act(kind: Act['kind']): Act {
  const found = acts.find((candidate) => candidate.kind === kind && candidate.master === 'fw2');
  if (found === undefined) throw new Error(`no ${kind} act`);
  return found;
}

function result(kind: Act['kind'], ...outages: (readonly [number, number | undefined, number])[]) {
  return {
    act: act(kind),
    outages: outages.map(([from, to, lost], index) => ({
      target: index === 0 ? '10.0.0.1' : 'fe80::1',
      from,
      to,
      lost,
    })),
    broken: undefined,
  };
}

t.test('a failure may last the master-down interval, and no longer', async (t) => {
  t.equal(complaint(result('failure', [0, 3609, 700])), undefined);
  t.equal(complaint(result('failure', [0, 3800, 700])), 'over the limit');
  t.equal(complaint(result('failure', [0, undefined, 1])), 'over the limit', 'it never ended');
});

t.test('what is planned may cost one target two probes', async (t) => {
  t.equal(complaint(result('planned')), undefined);
  t.equal(complaint(result('planned', [0, 10, 2], [0, 10, 2])), undefined);
  t.equal(complaint(result('planned', [0, 10, 1], [0, 15, 3])), 'over the limit');
});

t.test('an act that broke says why', async (t) => {
  t.equal(complaint({ ...result('planned'), broken: 'nobody came' }), 'nobody came');
});

t.test('the table', async (t) => {
  const rows = table(
    [result('failure', [0, 2995, 584], [0, 2990, 583]), result('planned', [0, 15, 3])],
    plain,
  );
  t.match(rows[2], /^ {2}1 fw1 loses power +2995 ms +584 +583 +3609 ms +ok$/);
  t.match(rows[3], /^ {2}2 havrrp demote on fw1 +15 ms +3 +0 +2 probes +FAILED: over the limit$/);
});
