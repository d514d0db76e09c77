import type { Test } from 'tap';
import { Capture } from '../bench/capture.ts';
import { Probe, startResponder } from '../bench/probe.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { Pair, patienceMs } from './pair.ts';
import { rootTest } from './root.ts';
import { adverts, edgeAddresses, type GroupPlan, oneFirewall, yamlOf } from './stage.ts';

/** Planned handover: what it costs a client, and what an operator can ask for. */

const interval = '100ms';
const targets = edgeAddresses.lan;

rootTest(
  'demote, promote and stop at 1 s advertisements cost a client at most two probes of 5 ms',
  async (t) => {
    await using pair = await Pair.start({ interval: '1s' });
    await pair.settles('fw1');
    for (const name of ['fw1', 'fw2']) await startResponder(pair.network.host(name));
    await using probe = await Probe.start(pair.network.host('client'), targets);
    for (const target of targets) await probe.answered(target, 2000);

    const lost = (since: number): string =>
      targets
        .map((target) => {
          const mine = probe.outcomes.items.filter((each) => each.target === target && each.sentAt > since);
          return `${target}: ${mine.filter(({ answeredAfterMs }) => answeredAfterMs === undefined).length} of ${mine.length}`;
        })
        .join(', ');
    const act = async (name: string, perform: () => Promise<void>): Promise<void> => {
      const since = performance.timeOrigin + performance.now();
      await perform();
      // Half a second of quiet after it, and whatever was lost is known.
      const end = performance.timeOrigin + performance.now() + 500;
      await probe.outcomes.next(({ sentAt }) => sentAt > end, { withinMs: patienceMs });
      const text = lost(since);
      const worst = Math.max(...[...text.matchAll(/: (\d+) of/g)].map(([, count]) => Number(count)));
      t.ok(worst <= 2, `${name}: lost of ${text}`);
    };

    await act('demote', async () => {
      const { code, stdout } = await pair.fw1.cli(['demote', 'edge']);
      t.equal(code, 0, stdout.trim());
      t.match(stdout, 'edge was handed over: this node is backup');
      await pair.settles('fw2');
    });
    await act('promote', async () => {
      const { code, stdout } = await pair.fw1.cli(['promote', 'edge']);
      t.equal(code, 0, stdout.trim());
      await pair.settles('fw1');
    });
    await act('SIGTERM', async () => {
      const { code } = await pair.fw1.stop();
      t.equal(code, 0, 'it ends well');
      await pair.fw2.reaches('edge', 'master', patienceMs);
    });
    t.equal((await pair.fw2.group('edge')).reason, 'master_left', 'fw2 was told');
    for (const address of targets)
      t.notOk(await pair.network.host('fw1').has(address, 'lan'), `fw1 has let go of ${address}`);
  },
);

rootTest('demote where nobody takes over: status 5, still master, and it says so', async (t) => {
  await using network = await oneFirewall();
  await using capture = await Capture.open(network.tap('lan'));
  const alone = (vrid: number): GroupPlan => ({
    interval,
    instances: { lan: { interface: 'lan', vrid, addresses: [`192.0.2.${vrid}/24`] } },
  });
  const yaml = yamlOf({ edge: alone(51), other: alone(52) });
  await using havrrp = await Havrrp.start(network.host('fw1'), yaml);
  await havrrp.reaches('edge', 'master', patienceMs);
  await havrrp.reaches('other', 'master', patienceMs);
  const soft = await havrrp.cli(['demote', 'edge']);
  t.equal(soft.code, 5, soft.stderr.trim());
  t.match(soft.stderr, 'havrrp: nobody took over edge: this node is still master');
  const group = await havrrp.group('edge');
  t.equal(group.state, 'master', 'it is master');
  t.equal(group.instances[0]?.routers[0]?.effective_priority, 1, 'of the lowest priority');
  t.ok(await network.host('fw1').has('192.0.2.51', 'lan'), 'and holds the address');

  const hard = await havrrp.cli(['demote', 'edge', '--hard']);
  t.equal(hard.code, 5, hard.stderr.trim());
  t.match(hard.stderr, 'no node is known to be master');
  t.equal((await havrrp.group('edge')).state, 'fault', '--hard: out of the election all the same');
  t.equal((await havrrp.group('edge')).reason, 'demoted_hard', 'for that reason');
  t.notOk(await network.host('fw1').has('192.0.2.51', 'lan'), 'without the address');
  const spoken = adverts(capture, { vrid: 51 }).length;
  const clock = adverts(capture, { vrid: 52 }).length;
  await capture.nextAdvert(() => adverts(capture, { vrid: 52 }).length >= clock + 10, {
    withinMs: patienceMs,
  });
  t.equal(
    adverts(capture, { vrid: 51 }).length,
    spoken,
    'and without a word, while the other group has spoken ten times',
  );
  t.equal((await havrrp.cli(['promote'])).code, 0, 'promote without a group is for all of them');
  await havrrp.reaches('edge', 'master', patienceMs);

  t.equal((await havrrp.cli(['demote', 'nobody'])).code, 4, 'there is no such group');
  await havrrp.stop();
  t.equal((await havrrp.cli(['demote', 'edge'])).code, 3, 'there is no daemon');
});

async function checkDemoted(t: Test, pair: Pair, until: boolean): Promise<void> {
  const { state, demotion, demotions, instances } = await pair.fw1.group('edge');
  t.equal(state, 'backup', 'backup');
  t.equal(demotion, 254, 'by all it has');
  t.equal(demotions[0]?.source, 'operator', 'by the operator');
  t.equal(
    typeof demotions[0]?.until,
    until ? 'string' : 'undefined',
    until ? 'for a while' : 'until promoted',
  );
  for (const { routers } of instances)
    for (const { effective_priority: priority } of routers) t.equal(priority, 1, 'the last choice');
}

rootTest('demote --for ends by itself', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  const { code } = await pair.fw1.cli(['demote', 'edge', '--for', '2s']);
  t.equal(code, 0, 'handed over');
  await checkDemoted(t, pair, true);
  const end = await pair.fw1.events.next(({ text }) => text.includes('is over'), { withinMs: patienceMs });
  const begin = pair.fw1.events.items.find(({ type }) => type === 'demotion');
  const lasted = (Date.parse(end.at) - Date.parse(begin?.at ?? '')) / 2000;
  t.ok(lasted > 0.99 && lasted < 1.05, `after ${lasted.toFixed(3)} of the time`);
  await pair.settles('fw1');
});

rootTest('demote --persist survives a restart, a demotion without it does not', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  t.equal((await pair.fw1.cli(['demote', '--persist'])).code, 0, 'without a group: every group');
  await pair.fw1.stop();
  await pair.fw1.start();
  await pair.fw1.reaches('edge', 'backup', patienceMs);
  await checkDemoted(t, pair, false);
  await pair.hears('fw2', 10);
  await pair.settles('fw2');
  t.equal((await pair.fw1.cli(['promote', 'edge'])).code, 0, 'promoted');
  await pair.settles('fw1');

  t.equal((await pair.fw1.cli(['demote', 'edge'])).code, 0, 'demoted, this time not for good');
  await pair.fw1.stop();
  await pair.fw1.start();
  await pair.settles('fw1');
  t.strictSame((await pair.fw1.group('edge')).demotions, [], 'as if it had never been');
});

rootTest('demote --hard leaves the election, and --no-wait does not wait', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  const pending = await pair.fw1.cli(['demote', 'edge', '--no-wait']);
  t.equal(pending.code, 0, pending.stdout.trim());
  t.match(pending.stdout, 'edge is being handed over');
  await pair.settles('fw2');
  await pair.fw1.cli(['promote', 'edge']);
  await pair.settles('fw1');

  const hard = await pair.fw1.cli(['demote', 'edge', '--hard']);
  t.equal(hard.code, 0, hard.stdout.trim());
  await pair.fw2.reaches('edge', 'master', patienceMs);
  const { state, reason } = await pair.fw1.group('edge');
  t.strictSame({ state, reason }, { state: 'fault', reason: 'demoted_hard' }, 'out of the election');
  await pair.fw1.cli(['promote', 'edge']);
  await pair.settles('fw1');
});

rootTest('preempt: false leaves a lesser master alone', async (t) => {
  await using pair = await Pair.start({ interval, preempt: false });
  await pair.settles('fw1');
  await pair.fw1.stop();
  await pair.fw2.reaches('edge', 'master', patienceMs);
  await pair.fw1.start();
  await pair.settles('fw2');
  const spoken = adverts(pair.captures.lan, { ethernetSource: '02:00:00:00:01:01' }).length;
  await pair.hears('fw2', 10);
  await pair.settles('fw2');
  t.equal((await pair.fw1.group('edge')).transitions, 1, 'backup, and nothing else');
  const later = adverts(pair.captures.lan, { ethernetSource: '02:00:00:00:01:01' }).length;
  t.equal(later, spoken, 'without a word');
  await pair.fw2.crash();
  await pair.fw1.reaches('edge', 'master', patienceMs);
  t.equal((await pair.fw1.group('edge')).reason, 'master_down_timer', 'until it is gone');
});

rootTest('a demoted node takes over from nobody, but does when it is alone', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  const backup = await pair.fw2.cli(['demote', 'edge']);
  t.equal(backup.code, 0, 'a backup can be demoted as well');
  t.match(backup.stdout, 'this node was not master, it is backup', backup.stdout.trim());
  await pair.fw2.cli(['promote', 'edge']);
  await pair.fw1.cli(['demote', 'edge']);
  await pair.settles('fw2');
  await pair.fw2.crash();
  const { instances } = await pair.fw1.reaches('edge', 'master', patienceMs);
  t.equal(instances[0]?.routers[0]?.effective_priority, 1, 'of priority 1: the last choice is a choice');
});
