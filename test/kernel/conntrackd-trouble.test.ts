import { createConnection } from 'node:net';
import type { Test } from 'tap';
import type { SessionSyncOptions } from '../../src/conntrackd/session-sync.ts';
import { Conntrackd, type ConntrackdPlan } from '../bench/conntrackd.ts';
import { makeBackground } from '../bench/flows.ts';
import type { Network } from '../bench/network.ts';
import { conntrackdPlan, happens, keep, type Keeper, twoNodes } from './conntrackd-stage.ts';
import { rootTest } from './root.ts';
import { eventually } from './stage.ts';

/** A takeover goes on at its deadline, whatever has become of conntrackd, and nothing is flushed that was not proved to be
 *  committed. */

const group = 'edge';

interface Stage extends AsyncDisposable {
  readonly network: Network;
  readonly one: Conntrackd;
  readonly two: Conntrackd;
  readonly keeper: Keeper;
}

/** So many sessions lie in the cache of fw2, which is about to become master. */
async function stage(
  t: Test,
  count: number,
  { options = {}, plan = {} }: { options?: Partial<SessionSyncOptions>; plan?: Partial<ConntrackdPlan> } = {},
): Promise<Stage> {
  const network = await twoNodes();
  try {
    const one = await Conntrackd.start(network.host('fw1'), conntrackdPlan('fw1', plan));
    const two = await Conntrackd.start(network.host('fw2'), conntrackdPlan('fw2', plan));
    await makeBackground(network.host('fw1'), { count });
    await eventually(
      () => two.counts(),
      ({ external, kernel }) => (external ?? kernel) === count,
      20_000,
    );
    const keeper = keep(t, two, options);
    await happens(keeper, 'conntrackd_well');
    return {
      network,
      one,
      two,
      keeper,
      [Symbol.asyncDispose]: async () => {
        keeper.sync.close();
        await Promise.all([one.close(), two.close()]);
        await network.close();
      },
    };
  } catch (error) {
    await network.close();
    throw error;
  }
}

/** What conntrackd was told to flush. */
function flushes(conntrackd: Conntrackd): string[] {
  return conntrackd.log.split('\n').filter((line) => line.includes('flushing'));
}

rootTest(
  'standing still: on by the deadline; when it goes on, the sessions are committed after all',
  async (t) => {
    await using here = await stage(t, 5000);
    const { two, keeper } = here;
    two.pause();
    const outcome = await keeper.sync.takeOver(group);
    t.match(outcome, { state: 'hung' });
    t.ok(outcome.durationMs < 1150 + 0.03 * 5000, `on after ${outcome.durationMs.toFixed(0)} ms`);
    keeper.sync.announced(group);
    t.match(await happens(keeper, 'sessions_not_committed'), {
      severity: 'warning',
      text: /stateless.*hangs/,
    });
    t.match(await happens(keeper, 'conntrackd_trouble'), { text: /hangs/ });
    t.equal(keeper.sync.stateOf(group), 'hung');
    t.equal(await two.kernelCount(), 0);

    two.resume();
    t.match(await happens(keeper, 'sessions_committed'), { text: /5000 sessions/ });
    await happens(keeper, 'sessions_sent');
    t.match(await two.counts(), { kernel: 5000, internal: 5000, external: 0 });
    t.equal(keeper.sync.stateOf(group), 'committed');
  },
);

rootTest(
  'stopped in the middle of a commit: not waited for, nothing flushed before it is over',
  async (t) => {
    await using here = await stage(t, 20_000, { options: { commitTimeoutMs: 300 } });
    const { two, keeper } = here;
    const outcome = keeper.sync.takeOver(group);
    await eventually(
      () => two.kernelCount(),
      (count) => count > 0,
      5000,
    );
    two.pause();
    const stoppedAt = await two.kernelCount();
    t.match(await outcome, { state: 'deadline', entries: 20_000 });
    t.ok(stoppedAt < 20_000, `${stoppedAt} were in by then`);
    keeper.sync.announced(group);
    t.equal(keeper.sync.stateOf(group), 'committing');
    t.strictSame(flushes(two), []);
    two.resume();
    await happens(keeper, 'sessions_committed');
    await happens(keeper, 'sessions_sent');
    t.match(await two.counts(), { kernel: 20_000, internal: 20_000, external: 0 });
  },
);

rootTest('not running, and started by somebody later', async (t) => {
  await using here = await stage(t, 500);
  const { one, two, keeper } = here;
  await two.crash();
  const outcome = await keeper.sync.takeOver(group);
  t.match(outcome, { state: 'absent' });
  t.ok(outcome.durationMs < 500, `on after ${outcome.durationMs.toFixed(1)} ms`);
  keeper.sync.announced(group);
  await happens(keeper, 'conntrackd_trouble');
  t.equal(keeper.sync.stateOf(group), 'absent');
  await two.start();
  await happens(keeper, 'conntrackd_well');
  await happens(keeper, 'sessions_sent');
  t.equal((await one.counts()).internal, 500, 'the other node has lost nothing by it');
});

rootTest('a conntrackd that only counts', async (t) => {
  await using network = await twoNodes();
  await using conntrackd = await Conntrackd.start(network.host('fw1'), {});
  const keeper = keep(t, conntrackd);
  t.match(await keeper.sync.takeOver(group), { state: 'statistics_mode' });
  keeper.sync.announced(group);
  t.match(await happens(keeper, 'conntrackd_trouble'), { text: /only keeps statistics.*havrrp generate/ });
  t.equal(keeper.sync.stateOf(group), 'statistics_mode');
  t.strictSame(flushes(conntrackd), []);
});

rootTest("an operator's own commit is under way: ours is refused, and his is waited for", async (t) => {
  await using here = await stage(t, 30_000);
  const { two, keeper } = here;
  const his = createConnection({ path: two.socket });
  his.on('connect', () => his.write(Buffer.from(Uint32Array.of(46).buffer)));
  const hisEnd = new Promise((resolve) => his.resume().once('close', resolve));
  await eventually(
    () => two.kernelCount(),
    (count) => count > 0,
    5000,
  );
  const outcome = await keeper.sync.takeOver(group);
  t.match(outcome, { state: 'committed', entries: 30_000 });
  await hisEnd;
  t.match(two.log, /already in progress|Committed 30000/);
  keeper.sync.announced(group);
  await happens(keeper, 'sessions_sent');
  t.match(await two.counts(), { kernel: 30_000, internal: 30_000 });
});

rootTest('injection: the sessions are there before anybody asks, and nothing is flushed', async (t) => {
  await using here = await stage(t, 5000, { plan: { injection: true } });
  const { two, keeper } = here;
  t.equal(keeper.sync.snapshot.mode, 'injection');
  // Not even a conntrackd that stands still is waited for.
  two.pause();
  const outcome = await keeper.sync.takeOver(group);
  t.match(outcome, { state: 'nothing_to_commit' });
  t.ok(outcome.durationMs < 100, `on after ${outcome.durationMs.toFixed(2)} ms`);
  two.resume();
  keeper.sync.announced(group);
  await happens(keeper, 'sessions_sent');
  t.match(await two.counts(), { kernel: 5000, internal: 5000, external: undefined });
  t.strictSame(flushes(two), []);
});

rootTest('started anew while master: the other node is told what is in the kernel', async (t) => {
  await using here = await stage(t, 500);
  const { one, two, keeper } = here;
  await keeper.sync.takeOver(group);
  keeper.sync.announced(group);
  await happens(keeper, 'sessions_sent');
  const hasAll = (): Promise<unknown> =>
    eventually(
      () => one.counts(),
      ({ external }) => external === 500,
      10_000,
    );
  await hasAll();
  await one.ask('-f', 'external');
  t.match(await one.counts(), { external: 0 });
  await two.restart();
  await happens(keeper, 'conntrackd_restarted');
  await hasAll();
  t.match(await two.counts(), { kernel: 500, internal: 500 });
});
