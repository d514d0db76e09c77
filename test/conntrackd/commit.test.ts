import t, { type Test } from 'tap';
import { Commit, type CommitOptions, countKernelEntries, isProved } from '../../src/conntrackd/commit.ts';
import { ControlClient, systemClock } from '../../src/conntrackd/control-client.ts';
import { StandIn } from './stand-in.ts';

interface Stage {
  readonly standIn: StandIn;
  readonly client: ControlClient;
  commit(more?: Partial<CommitOptions>): Commit;
}

async function stage(t: Test): Promise<Stage> {
  const standIn = await StandIn.listen();
  const client = new ControlClient({
    path: standIn.path,
    program: { binary: '/nonexistent/conntrackd', configFile: 'c' },
  });
  t.teardown(async () => {
    client.close();
    await standIn[Symbol.asyncDispose]();
  });
  return {
    standIn,
    client,
    commit: (more = {}) =>
      new Commit({
        client,
        clock: systemClock,
        countKernel: () => Promise.resolve(standIn.counts.kernel),
        timeoutMs: 'auto',
        expected: undefined,
        injected: false,
        wanted: () => true,
        ...more,
      }),
  };
}

t.test('a good one: the entries are in the kernel', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 10_000;
  standIn.commit.tookMs = 30;
  const outcome = await commit().outcome;
  t.match(outcome, { state: 'committed', entries: 10_000, kernelEntries: 10_000, text: /10000 sessions/ });
  t.ok(outcome.durationMs >= 29 && outcome.durationMs < 1000, `${outcome.durationMs} ms`);
  t.ok(isProved(outcome));
});

t.test('some have ended meanwhile', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 10_000;
  standIn.commit = { percent: 91, tookMs: 30 };
  t.match(await commit().outcome, { state: 'committed', kernelEntries: 9100 });
});

t.test(
  'nothing there: the commit is sent all the same, against a flush somebody has scheduled',
  async (t) => {
    const { standIn, commit } = await stage(t);
    t.match(await commit().outcome, { state: 'nothing_to_commit', entries: 0 });
    t.strictSame(standIn.asked.items, ['commit']);
  },
);

t.test('injection: nothing is sent; known to be so, nothing is even asked', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.mode = 'injection';
  t.match(await commit().outcome, { state: 'nothing_to_commit' });
  await standIn.stop();
  t.match(await commit({ injected: true }).outcome, { state: 'nothing_to_commit' });
  t.strictSame(standIn.asked.items, []);
});

t.test('a table that is full: the kernel has fewer', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 10_000;
  standIn.commit = { percent: 60, tookMs: 60 };
  const outcome = await commit().outcome;
  t.match(outcome, {
    state: 'incomplete',
    kernelEntries: 6000,
    text: /of 10000 sessions, the kernel has 6000/,
  });
  t.notOk(isProved(outcome));
});

t.test('refused: an answer too soon to be true', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 1_000_000;
  standIn.commit = { percent: 0, tookMs: 0 };
  t.match(await commit().outcome, { state: 'refused', kernelEntries: 0 });
});

t.test('refused because another commit is under way: that one is waited for', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 1_000_000;
  standIn.commit = { percent: 0, tookMs: 0 };
  const timer = setInterval(() => (standIn.counts.kernel += 200_000), 30);
  t.teardown(() => clearInterval(timer));
  t.match(await commit().outcome, { state: 'committed' });
});

t.test('entries that cannot be counted are not proved', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 10;
  t.match(await commit({ countKernel: () => Promise.resolve(undefined) }).outcome, { state: 'incomplete' });
});

t.test('the deadline: 1 s, and 30 us for each entry', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 10_000;
  standIn.commit.tookMs = 1700;
  const late = commit();
  const outcome = await late.outcome;
  t.match(outcome, { state: 'deadline', entries: 10_000, text: /not waited for/ });
  t.ok(outcome.durationMs >= 1299 && outcome.durationMs < 1650, `${outcome.durationMs} ms`);
  const end = await late.ended;
  t.match(end, { state: 'committed', kernelEntries: 10_000 });
  t.ok(end.durationMs >= 1699, 'what became of it is told when it is over');
});

t.test('a deadline of the operator', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 10_000;
  standIn.commit.tookMs = 400;
  const outcome = await commit({ timeoutMs: 100 }).outcome;
  t.match(outcome, { state: 'deadline' });
  t.ok(outcome.durationMs >= 99 && outcome.durationMs < 350, `${outcome.durationMs} ms`);
});

t.test('hung: known by the deadline, and nothing is left behind that would be done later', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.misbehave = () => undefined;
  const started = commit({ timeoutMs: 100 });
  t.match(await started.outcome, { state: 'hung', entries: undefined });
  t.match(await started.ended, { state: 'hung' });
  t.strictSame(standIn.asked.items, []);
});

t.test('a request that hangs before ours does not move the deadline', async (t) => {
  const { standIn, client, commit } = await stage(t);
  standIn.counts.external = 10;
  standIn.misbehave = () => (standIn.misbehave = undefined);
  const before = client.request('statistics', { timeoutMs: 400 });
  const started = commit({ timeoutMs: 100 });
  const outcome = await started.outcome;
  t.match(outcome, { state: 'hung' });
  t.ok(outcome.durationMs < 350, `${outcome.durationMs} ms`);
  await before;
  t.match(await started.ended, { state: 'committed' }, 'late is better than never');
});

t.test('absent, and a mode that has nothing to commit', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.mode = 'statistics';
  t.match(await commit().outcome, { state: 'statistics_mode', text: /Sync section/ });
  await standIn.stop();
  const outcome = await commit().outcome;
  t.match(outcome, { state: 'absent', text: /does not run/ });
  t.ok(outcome.durationMs < 500, `${outcome.durationMs} ms`);
});

t.test('no longer master when its turn comes: nothing is committed', async (t) => {
  const { standIn, commit } = await stage(t);
  standIn.counts.external = 10;
  t.match(await commit({ wanted: () => false }).ended, { state: 'broken', text: /taken back/ });
  t.strictSame(standIn.asked.items, []);
});

t.test('the entries of our own kernel can be counted', async (t) => {
  const count = await countKernelEntries();
  if (count === undefined) t.pass('no connection tracking here');
  else t.ok(count >= 0);
});
