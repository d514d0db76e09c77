import type { Test } from 'tap';
import { Flows, makeBackground } from '../bench/flows.ts';
import { Firewalls, happens, keep, type Keeper, server } from './conntrackd-stage.ts';
import { rootTest } from './root.ts';
import { eventually } from './stage.ts';

/** Sessions that run through fw1 go on through fw2: what the whole room is for. And without a commit they do not. */

const group = 'edge';
const names = ['download', 'echo', 'download6'];

/** fw1 is master with so many sessions beside the real ones, fw2 is backup and has them all. */
async function stage(
  t: Test,
  firewalls: Firewalls,
  background: number,
): Promise<{ one: Keeper; two: Keeper }> {
  const { conntrackd } = firewalls;
  const one = keep(t, conntrackd.fw1);
  const two = keep(t, conntrackd.fw2);
  await one.sync.takeOver(group);
  one.sync.announced(group);
  two.sync.standBy(group);
  await happens(one, 'sessions_sent');
  await makeBackground(firewalls.host('fw1'), { count: background });
  await eventually(
    () => conntrackd.fw2.counts(),
    ({ external }) => external === background + names.length,
    10_000,
  );
  return { one, two };
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

/** All sessions move, and none was silent for longer. */
async function live(t: Test, firewalls: Firewalls, since: number, silenceMs: number): Promise<void> {
  for (const name of names) await firewalls.flows.moves(name, 10_000);
  for (const { name, ended, longestSilenceMs } of firewalls.flows.report(since)) {
    t.equal(ended, undefined, `${name} lives`);
    t.ok(longestSilenceMs <= silenceMs, `${name} was silent for ${Math.round(longestSilenceMs)} ms`);
  }
}

rootTest('a planned move: commit, then the addresses; nobody notices', async (t) => {
  await using firewalls = await Firewalls.start();
  const { one, two } = await stage(t, firewalls, 10_000);
  const since = now();
  const outcome = await two.sync.takeOver(group);
  t.match(outcome, { state: 'committed', entries: 10_003 });
  t.comment(`${outcome.entries} sessions committed in ${outcome.durationMs.toFixed(1)} ms`);
  await firewalls.move('fw1', 'fw2');
  two.sync.announced(group);
  one.sync.standBy(group);
  await happens(two, 'sessions_sent');
  await live(t, firewalls, since, 150);

  // And back again: fw1 first proves that it has them all.
  one.sync.peerAnnounced(group);
  t.ok(one.sync.holding);
  await happens(one, 'synced');
  t.equal(one.sync.holding, undefined);
  t.match(await firewalls.conntrackd.fw1.counts(), { kernel: 0, internal: 0, external: 10_003 });
  const back = now();
  t.match(await one.sync.takeOver(group), { state: 'committed', entries: 10_003 });
  await firewalls.move('fw2', 'fw1');
  one.sync.announced(group);
  two.sync.standBy(group);
  await live(t, firewalls, back, 150);
});

rootTest('sessions that begin between the commit and the announcement live too', async (t) => {
  await using firewalls = await Firewalls.start();
  const { two } = await stage(t, firewalls, 1000);
  const { fw2 } = firewalls.conntrackd;
  t.match(await two.sync.takeOver(group), { state: 'committed' });
  await eventually(
    () => fw2.counts(),
    ({ external }) => external === 0,
    5000,
  );
  // The old master still forwards.
  await using late = await Flows.start(firewalls.network.host('client'), [
    { name: 'late', kind: 'download', address: server.ipv4 },
  ]);
  await firewalls.move('fw1', 'fw2');
  two.sync.announced(group);
  await happens(two, 'sessions_sent');
  await late.moves('late', 10_000);
  await live(t, firewalls, now(), 2000);
  t.match(await fw2.counts(), { external: 0 });
});

for (const sloppy of [false, true]) {
  const rules = sloppy ? 'a sloppy ruleset' : 'a well-formed ruleset';

  rootTest(`a crash under ${rules}: the sessions live`, async (t) => {
    await using firewalls = await Firewalls.start({ sloppy });
    const { two } = await stage(t, firewalls, 1000);
    await firewalls.unplug('fw1');
    t.match(await two.sync.takeOver(group), { state: 'committed' });
    await firewalls.bring('fw2');
    two.sync.announced(group);
    await happens(two, 'sessions_sent');
    // TCP's own steps: 0.2, 0.6, 1.4 s.
    await live(t, firewalls, now(), 2000);
  });

  rootTest(`the control: a crash under ${rules} without a commit, and they die`, async (t) => {
    await using firewalls = await Firewalls.start({ sloppy });
    await stage(t, firewalls, 1000);
    await firewalls.unplug('fw1');
    await firewalls.bring('fw2');
    // Where half-known sessions are picked up, one whose client speaks may come back: those whose server speaks are reset.
    for (const name of sloppy ? ['download'] : names) {
      await t.rejects(firewalls.flows.moves(name, 2500), `${name} moves no more`);
    }
  });
}
