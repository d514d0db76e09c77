import t, { type Test } from 'tap';
import { ControlClient } from '../../src/conntrackd/control-client.ts';
import { SessionSync, type SessionSyncOptions } from '../../src/conntrackd/session-sync.ts';
import type { SessionEvent } from '../../src/conntrackd/report.ts';
import { Feed } from '../bench/feed.ts';
import { fastClock, StandIn } from './stand-in.ts';

/** Who asks what of conntrackd, in which order, and above all what is not asked. With real sessions: test/kernel/conntrackd-*. */

interface Stage {
  readonly standIn: StandIn;
  readonly sync: SessionSync;
  readonly events: Feed<SessionEvent>;
  /** How often `holding` has changed. */
  readonly holdingChanges: { count: number };
  happens(code: SessionEvent['code']): Promise<SessionEvent>;
  /** The next request of that name. */
  isAsked(name: string): Promise<void>;
  /** So many polls have passed. */
  polls(count: number): Promise<void>;
}

const withinMs = 10_000;

async function stage(
  t: Test,
  prepare: (standIn: StandIn) => void = () => undefined,
  more: Partial<SessionSyncOptions> = {},
): Promise<Stage> {
  const standIn = await StandIn.listen();
  prepare(standIn);
  const events = new Feed<SessionEvent>(({ code, text }) => `${code}: ${text}`);
  const holdingChanges = { count: 0 };
  const sync = new SessionSync({
    client: new ControlClient({
      path: standIn.path,
      program: { binary: '/nonexistent/conntrackd', configFile: 'c' },
      clock: fastClock,
    }),
    commitTimeoutMs: 'auto',
    holdUntilSyncedMs: 60_000,
    onEvent: (event) => events.push(event),
    onHoldingChanged: () => (holdingChanges.count += 1),
    clock: fastClock,
    countKernel: () => Promise.resolve(standIn.counts.kernel),
    ...more,
  });
  t.teardown(async () => {
    sync.close();
    await standIn[Symbol.asyncDispose]();
  });
  return {
    standIn,
    sync,
    events,
    holdingChanges,
    happens: (code) => events.next((event) => event.code === code, { withinMs, what: code }),
    isAsked: async (name) => {
      await standIn.asked.next((asked) => asked === name, { withinMs, what: name });
    },
    polls: (count) => new Promise((resolve) => fastClock.after(count * 1000, resolve)),
  };
}

const flushes = (standIn: StandIn): string[] =>
  standIn.asked.items.filter((name) => name.startsWith('flush'));

t.test('becoming master: commit; after the announcement flush, resync, bulk', async (t) => {
  const { standIn, sync, happens, polls } = await stage(t, (it) => (it.counts.external = 5000));
  t.equal(sync.stateOf('edge'), 'unknown');
  const outcome = sync.takeOver('edge');
  t.equal(sync.stateOf('edge'), 'committing');
  t.match(await outcome, { state: 'committed', entries: 5000 });
  t.equal(sync.stateOf('edge'), 'committed');
  await polls(3);
  const before = ['commit', 'flushExternal'];
  t.strictSame(standIn.asked.items, before, 'nothing more before the neighbours know');

  sync.announced('edge');
  await happens('sessions_sent');
  const after = ['flushCaches', 'resyncKernel', 'sendBulk'];
  t.strictSame(standIn.asked.items, [...before, ...after]);
  t.match(sync.snapshot, {
    mode: 'external-cache',
    health: 'ok',
    synced: undefined,
    trouble: undefined,
    lastCommit: { state: 'committed', settled: true },
  });
  await polls(3);
  t.equal(standIn.asked.items.length, 5, 'once');
  t.equal(standIn.mostAtOnce, 1);
});

t.test('sessions that begin at the old master meanwhile are committed too, and they alone', async (t) => {
  const { standIn, sync, happens, isAsked } = await stage(t, (it) => (it.counts.external = 5000));
  await sync.takeOver('edge');
  await isAsked('flushExternal');
  standIn.counts.external += 12;
  sync.announced('edge');
  await happens('sessions_sent');
  t.equal(standIn.counts.kernel, 5012);
  t.strictSame(standIn.asked.items.slice(2), ['commit', 'flushCaches', 'resyncKernel', 'sendBulk']);
});

t.test('an incomplete commit: once more, an alarm, and nothing is flushed', async (t) => {
  const { standIn, sync, events, happens, polls } = await stage(t, (it) => {
    it.counts.external = 5000;
    it.commit = { percent: 30, tookMs: 10 };
  });
  t.match(await sync.takeOver('edge'), { state: 'incomplete' });
  sync.announced('edge');
  await happens('sessions_sent');
  await polls(3);
  t.strictSame(standIn.asked.items, ['commit', 'commit', 'resyncKernel', 'sendBulk']);
  t.equal(sync.stateOf('edge'), 'incomplete');
  t.match(sync.snapshot.trouble, /of 5000 sessions, the kernel has/);
  t.match(
    events.items.filter(({ code }) => code === 'sessions_not_committed'),
    [{ severity: 'warning' }, { severity: 'warning', text: /stateless takeover/ }],
  );
});

t.test('the second attempt mends it', async (t) => {
  const { standIn, sync, happens } = await stage(t, (it) => {
    it.counts.external = 5000;
    it.commit = { percent: 30, tookMs: 10 };
  });
  t.match(await sync.takeOver('edge'), { state: 'incomplete' });
  standIn.commit.percent = 70;
  sync.announced('edge');
  await happens('sessions_committed');
  await happens('sessions_sent');
  t.ok(standIn.asked.items.includes('flushCaches'));
  t.match(sync.snapshot, { trouble: undefined, lastCommit: { state: 'committed' } });
});

t.test('groups that take over together share a commit, and wait for the last announcement', async (t) => {
  const { standIn, sync, happens, polls } = await stage(t, (it) => {
    it.counts.external = 100;
    it.commit.tookMs = 20;
  });
  const outcomes = await Promise.all([sync.takeOver('one'), sync.takeOver('two')]);
  t.strictSame(outcomes[0], outcomes[1]);
  sync.announced('one');
  await polls(3);
  t.strictSame(standIn.asked.items, ['commit', 'flushExternal']);
  sync.announced('two');
  await happens('sessions_sent');
  await sync.takeOver('three');
  t.equal(standIn.asked.items.filter((name) => name === 'commit').length, 2, 'a later one has its own');
});

t.test('injection: nothing to commit, nothing is flushed', async (t) => {
  const { standIn, sync, events, happens } = await stage(t, (it) => (it.mode = 'injection'));
  await happens('conntrackd_well');
  t.match(await sync.takeOver('edge'), { state: 'nothing_to_commit' });
  sync.announced('edge');
  await happens('sessions_sent');
  t.strictSame(standIn.asked.items, ['resyncKernel', 'sendBulk']);
  t.equal(sync.stateOf('edge'), 'committed');
  t.equal(sync.snapshot.mode, 'injection');
  t.notOk(events.items.some(({ severity }) => severity === 'warning'));
});

t.test('hung at the takeover: on by the deadline; when it wakes up, committed after all', async (t) => {
  const { standIn, sync, happens, isAsked } = await stage(t, (it) => (it.counts.external = 50));
  await happens('conntrackd_well');
  standIn.misbehave = () => undefined;
  const outcome = await sync.takeOver('edge');
  t.match(outcome, { state: 'hung' });
  t.ok(outcome.durationMs < 1400, `${outcome.durationMs} ms of the fast clock`);
  sync.announced('edge');
  await happens('conntrackd_trouble');
  t.equal(sync.stateOf('edge'), 'hung');
  t.match(sync.snapshot.trouble, /hangs/);
  standIn.misbehave = undefined;
  await isAsked('sendBulk');
  t.strictSame(standIn.asked.items, ['commit', 'flushCaches', 'resyncKernel', 'sendBulk']);
  await happens('sessions_sent');
  t.equal(sync.stateOf('edge'), 'committed');
});

t.test('absent at the takeover, started later', async (t) => {
  const { standIn, sync, happens, isAsked } = await stage(t);
  await happens('conntrackd_well');
  await standIn.stop();
  t.match(await sync.takeOver('edge'), { state: 'absent' });
  sync.announced('edge');
  await happens('conntrackd_trouble');
  t.equal(sync.stateOf('edge'), 'absent');
  standIn.counts.external = 20;
  await standIn.start();
  await isAsked('flushCaches');
  t.equal(standIn.counts.kernel, 20, 'what it had fetched by then was committed');
});

t.test('a conntrackd that only counts', async (t) => {
  const { standIn, sync, happens, polls } = await stage(t, (it) => (it.mode = 'statistics'));
  await happens('conntrackd_trouble');
  t.match(await sync.takeOver('edge'), { state: 'statistics_mode' });
  sync.announced('edge');
  await polls(3);
  t.equal(sync.stateOf('edge'), 'statistics_mode');
  t.strictSame(standIn.asked.items, []);
});

t.test(
  'a returning node: cleaned when the master is at rest, then held back until it is synchronised',
  async (t) => {
    const { standIn, sync, holdingChanges, happens, polls } = await stage(t, (it) => {
      it.peerHas = 3000;
      it.counts = { internal: 40, external: 7, kernel: 45 };
    });
    sync.standBy('edge');
    await polls(6);
    t.strictSame(standIn.asked.items, [], 'as long as no master has announced itself, nothing is flushed');
    t.match(sync.holding, { reason: /time to settle/ });

    sync.peerAnnounced('edge');
    await happens('table_cleaned');
    t.match(sync.holding, { reason: /about to be asked/ });
    t.equal(sync.stateOf('edge'), 'syncing');
    await happens('synced');
    t.strictSame(standIn.asked.items, [
      'flushKernel',
      'flushInternal',
      'flushExternal',
      'requestBulk',
      'requestBulk',
    ]);
    t.equal(sync.holding, undefined);
    t.equal(holdingChanges.count, 1);
    t.equal(sync.stateOf('edge'), 'synced');
    t.match(sync.snapshot, { synced: true, external: 3000, syncText: /are here: 3000/, trouble: undefined });
    await polls(4);
    t.equal(standIn.asked.items.length, 5, 'once');
  },
);

t.test('a returning node in injection mode: neither kernel nor cache are flushed', async (t) => {
  const { standIn, sync, happens } = await stage(t, (it) => (it.mode = 'injection'));
  sync.standBy('edge');
  sync.peerAnnounced('edge');
  await happens('synced');
  t.strictSame(standIn.asked.items, ['flushInternal', 'requestBulk', 'requestBulk']);
});

t.test('master again before it was cleaned: nothing is', async (t) => {
  const { standIn, sync, happens, polls } = await stage(t);
  await sync.takeOver('edge');
  sync.announced('edge');
  await happens('sessions_sent');
  sync.standBy('edge');
  sync.peerAnnounced('edge');
  await polls(2);
  await sync.takeOver('edge');
  sync.announced('edge');
  await happens('sessions_sent');
  await polls(6);
  t.notOk(standIn.asked.items.includes('flushKernel'));
});

t.test(
  'the conntrackd of the other node does not run: nothing is asked, and the hold has an end',
  async (t) => {
    const { standIn, sync, happens, holdingChanges } = await stage(t, (it) => (it.peerHas = undefined), {
      holdUntilSyncedMs: 9000,
    });
    sync.standBy('edge');
    sync.peerAnnounced('edge');
    const event = await happens('hold_ended');
    t.match(event, { severity: 'warning', text: /no longer held back: .*not heard/ });
    t.equal(sync.holding, undefined);
    t.equal(holdingChanges.count, 1);
    t.match(sync.snapshot, { synced: false, trouble: /not heard/ });
    t.notOk(standIn.asked.items.includes('requestBulk'));
    t.notOk(standIn.asked.items.includes('flushExternal'), 'its sessions here may be the only copy');

    standIn.peerHas = 10;
    await happens('synced');
    t.equal(sync.snapshot.trouble, undefined);
  },
);

t.test('master of one group, backup of another: its own sessions stay', async (t) => {
  const { standIn, sync, happens } = await stage(t, (it) => (it.peerHas = 30));
  await sync.takeOver('mine');
  sync.announced('mine');
  sync.standBy('yours');
  sync.peerAnnounced('yours');
  await happens('synced');
  t.strictSame(flushes(standIn), ['flushCaches']);
  t.equal(standIn.counts.external, 30);
  t.equal(sync.stateOf('mine'), 'committed');
  t.equal(sync.stateOf('yours'), 'synced');
});

t.test('a group in fault: nothing is flushed, also not for the others', async (t) => {
  const { standIn, sync, happens, polls } = await stage(t);
  await sync.takeOver('one');
  await sync.takeOver('two');
  sync.announced('one');
  sync.announced('two');
  await happens('sessions_sent');
  sync.fault('one');
  sync.standBy('two');
  sync.peerAnnounced('two');
  await polls(8);
  t.notOk(standIn.asked.items.includes('flushKernel'));
  sync.standBy('one');
  sync.peerAnnounced('one');
  await happens('table_cleaned');
  t.pass('cleaned when it is well again');
});

t.test('conntrackd is started anew on a backup: held back until it has everything again', async (t) => {
  const { standIn, sync, happens, isAsked } = await stage(t, (it) => (it.peerHas = 30));
  sync.standBy('edge');
  sync.peerAnnounced('edge');
  await happens('synced');
  standIn.asked.skip();
  await standIn.stop();
  standIn.counts.external = 0;
  await standIn.start();
  await happens('conntrackd_restarted');
  t.match(sync.holding, { reason: /./ });
  await isAsked('requestBulk');
  await happens('synced');
  t.equal(standIn.counts.external, 30);
});

t.test('conntrackd is started anew on a master: the other node is told everything', async (t) => {
  const { standIn, sync, happens, isAsked } = await stage(t);
  await sync.takeOver('edge');
  sync.announced('edge');
  await happens('sessions_sent');
  standIn.asked.skip();
  await standIn.stop();
  await standIn.start();
  await isAsked('sendBulk');
  t.equal(standIn.asked.items.length, 5, 'and nothing else');
});

t.test(
  'the other conntrackd is heard again after silence: what it no longer has must go here too',
  async (t) => {
    const { standIn, sync, happens } = await stage(t, (it) => (it.peerHas = 1000));
    sync.standBy('edge');
    sync.peerAnnounced('edge');
    await happens('synced');
    const before = standIn.asked.items.length;
    standIn.peerHas = undefined;
    await happens('peer_silent');
    t.match(sync.holding, { reason: /not heard/ });
    t.equal(standIn.asked.items.length, before, 'silence alone takes nothing away');
    standIn.peerHas = 200;
    await happens('peer_returned');
    await happens('synced');
    t.strictSame(standIn.asked.items.slice(before), ['flushExternal', 'requestBulk', 'requestBulk']);
    t.equal(standIn.counts.external, 200);
  },
);

t.test('a group that is removed no longer stands in the way', async (t) => {
  const { sync, happens, polls, standIn } = await stage(t);
  await sync.takeOver('gone');
  sync.standBy('edge');
  sync.peerAnnounced('edge');
  await polls(6);
  t.notOk(standIn.asked.items.includes('flushKernel'));
  sync.remove('gone');
  await happens('table_cleaned');
  t.pass();
});

t.test('after closing nothing is asked or said', async (t) => {
  const { standIn, sync, events, polls, happens } = await stage(t);
  await happens('conntrackd_well');
  sync.close();
  const outcome = await sync.takeOver('edge');
  t.match(outcome, { state: 'broken' });
  await polls(3);
  t.strictSame(standIn.asked.items, []);
  t.equal(events.items.length, 1);
});
