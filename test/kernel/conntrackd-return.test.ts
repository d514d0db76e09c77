import type { Test } from 'tap';
import { Conntrackd } from '../bench/conntrackd.ts';
import { forgetSessions, makeBackground } from '../bench/flows.ts';
import { conntrackdPlan, happens, keep, type Keeper, twoNodes } from './conntrackd-stage.ts';
import { rootTest } from './root.ts';

/** A node that comes back proves that it has the sessions before it may ask for the role. */

const group = 'edge';

async function becomeMaster(keeper: Keeper): Promise<void> {
  await keeper.sync.takeOver(group);
  keeper.sync.announced(group);
  await happens(keeper, 'sessions_sent');
}

/** The master was heard long ago. */
function becomeBackup(t: Test, conntrackd: Conntrackd): Keeper {
  const keeper = keep(t, conntrackd);
  keeper.sync.standBy(group);
  keeper.sync.peerAnnounced(group);
  return keeper;
}

rootTest('with an empty cache it is held back until everything is here', async (t) => {
  await using network = await twoNodes();
  // What an earlier mastership has left in the kernel: older than any conntrackd, which is then not told of its end.
  await makeBackground(network.host('fw2'), { count: 300, sourceNet: 99 });
  await using one = await Conntrackd.start(network.host('fw1'), conntrackdPlan('fw1'));
  await makeBackground(network.host('fw1'), { count: 5000 });
  await becomeMaster(keep(t, one));
  await using two = await Conntrackd.start(network.host('fw2'), conntrackdPlan('fw2'));
  t.match(await two.counts(), { internal: 300, kernel: 300 });

  const keeper = becomeBackup(t, two);
  t.match(keeper.sync.holding, { reason: /./ });
  await happens(keeper, 'table_cleaned');
  t.equal(keeper.sync.isSynced, false);
  t.match(await happens(keeper, 'synced'), { text: /are here: 5000/ });
  t.equal(keeper.sync.holding, undefined);
  t.match(await two.counts(), { internal: 0, external: 5000, kernel: 0 });
  t.match(await one.counts(), { internal: 5000, kernel: 5000 }, 'the master has noticed nothing');
});

rootTest("the master's conntrackd starts later: it is asked then", async (t) => {
  await using network = await twoNodes();
  await using one = new Conntrackd(network.host('fw1'), conntrackdPlan('fw1'));
  await makeBackground(network.host('fw1'), { count: 500 });
  await using two = await Conntrackd.start(network.host('fw2'), conntrackdPlan('fw2'));
  const keeper = becomeBackup(t, two);
  await happens(keeper, 'table_cleaned');
  t.match(keeper.sync.holding, { reason: /not heard/ });
  await one.start();
  await happens(keeper, 'synced');
  t.match(await two.counts(), { external: 500 });
});

rootTest("the master's conntrackd was away: what ended meanwhile goes here too", async (t) => {
  await using network = await twoNodes();
  await using one = await Conntrackd.start(network.host('fw1'), conntrackdPlan('fw1'));
  await using two = await Conntrackd.start(network.host('fw2'), conntrackdPlan('fw2'));
  await makeBackground(network.host('fw1'), { count: 1000 });
  const keeper = becomeBackup(t, two);
  await happens(keeper, 'synced');
  t.match(await two.counts(), { external: 1000 });

  await one.crash();
  await happens(keeper, 'peer_silent');
  t.match(keeper.sync.holding, { reason: /not heard/ });
  t.match(await two.counts(), { external: 1000 }, 'the only copy is kept');
  await forgetSessions(network.host('fw1'));
  await makeBackground(network.host('fw1'), { count: 200 });
  await one.start();
  await happens(keeper, 'peer_returned');
  await happens(keeper, 'synced');
  t.match(await two.counts(), { external: 200 });
});

rootTest('its own conntrackd is started anew: held back again', async (t) => {
  await using network = await twoNodes();
  await using master = await Conntrackd.start(network.host('fw1'), conntrackdPlan('fw1'));
  await using two = await Conntrackd.start(network.host('fw2'), conntrackdPlan('fw2'));
  await makeBackground(network.host('fw1'), { count: 1000 });
  t.ok(master.isRunning);
  const keeper = becomeBackup(t, two);
  await happens(keeper, 'synced');
  await two.restart();
  await happens(keeper, 'conntrackd_restarted');
  t.match(keeper.sync.holding, { reason: /./ });
  await happens(keeper, 'synced');
  t.match(await two.counts(), { external: 1000 });
});
