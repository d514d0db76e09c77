import type { Test } from 'tap';
import { Capture, type Advert } from '../bench/capture.ts';
import { isAnnouncementOf } from '../bench/fields.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { Pair, patienceMs } from './pair.ts';
import { rootTest } from './root.ts';
import {
  adverts,
  edge,
  edgeAddresses,
  eventually,
  gaps,
  type GroupPlan,
  oneFirewall,
  waitedForProcessorMs,
  yamlOf,
} from './stage.ts';

/** A changed configuration is applied to a running master: only what changed changes, and nothing stops for it. */

const intervalMs = 100;
const interval = '100ms';
const steady = 60;
const changing = 61;

function instance(vrid: number, addresses: readonly string[]): GroupPlan['instances'][string] {
  return { interface: 'lan', vrid, addresses };
}

/** A group that no reload is about, and the one that they are about. */
function configuration(group: Partial<GroupPlan>): string {
  const instances = { lan: instance(changing, ['192.0.2.61/24', '2001:db8:1::61/64']) };
  return yamlOf({
    steady: { interval, instances: { lan: instance(steady, ['192.0.2.60/24']) } },
    changing: { interval, instances, ...group },
  });
}

interface Scene {
  readonly capture: Capture;
  readonly havrrp: Havrrp;
  /** The longest pause between two adverts of a VRID so far, without what the machine is to blame for, in intervals. */
  longestPause(vrid: number): number;
  /** Loads another configuration. @returns what the operator is told */
  load(group: Partial<GroupPlan>): Promise<string>;
  /** The next advertisement of a VRID of ours. */
  next(matching: Partial<Advert>): Promise<Advert>;
  has(address: string): Promise<boolean>;
}

function reloadTest(name: string, body: (t: Test, scene: Scene) => Promise<void>): void {
  rootTest(name, async (t) => {
    await using network = await oneFirewall();
    await using capture = await Capture.open(network.tap('lan'));
    await using havrrp = await Havrrp.start(network.host('fw1'), configuration({}));
    for (const group of ['steady', 'changing']) await havrrp.reaches(group, 'master', patienceMs);
    const waitedBefore = waitedForProcessorMs(havrrp.pid);
    const longestPause = (vrid: number): number => {
      const excused = waitedForProcessorMs(havrrp.pid) - waitedBefore;
      return (Math.max(...gaps(adverts(capture, { vrid, family: 'ipv4' }))) - excused) / intervalMs;
    };
    await body(t, {
      capture,
      havrrp,
      longestPause,
      load: async (group) => {
        havrrp.configure(configuration(group));
        const { code, stdout, stderr } = await havrrp.cli(['reload']);
        t.equal(code, 0, stderr.trim() || stdout.trim());
        capture.skip();
        return stdout;
      },
      next: (matching) =>
        capture.nextAdvert(
          (advert) => Object.entries(matching).every(([key, value]) => advert[key as keyof Advert] === value),
          { withinMs: 3000, what: JSON.stringify(matching) },
        ),
      has: (address) => network.host('fw1').has(address, 'lan'),
    });
    const pause = longestPause(steady);
    t.ok(pause < 1.5, `meanwhile the other group has spoken at least every ${pause.toFixed(2)} intervals`);
    t.equal((await havrrp.group('steady')).transitions, 2, 'and has not moved');
  });
}

reloadTest('priority, interval and nothing', async (t, { havrrp, longestPause, load, next }) => {
  t.match(await load({}), 'nothing to change', 'nothing is nothing');
  await load({ priority: 120 });
  t.equal((await next({ vrid: changing })).priority, 120, 'the new priority is said');
  t.ok(longestPause(changing) < 1.5, 'no advertisement was missed');

  await load({ priority: 120, interval: '200ms' });
  const first = await next({ vrid: changing, family: 'ipv4' });
  const second = await next({ vrid: changing, family: 'ipv4' });
  t.equal(first.maxAdvertiseIntervalCs, 20, 'the new interval is said');
  const pause = (second.at - first.at) / 200;
  t.ok(Math.abs(pause - 1) < 0.3, `and kept: ${pause.toFixed(3)}`);
  t.equal((await havrrp.group('changing')).transitions, 2, 'still master');
});

reloadTest('an address is added, and one removed', async (t, { capture, longestPause, load, next, has }) => {
  const lan = instance(changing, [
    '192.0.2.61/24',
    '192.0.2.62/24',
    '2001:db8:1::61/64',
    '2001:db8:1::62/64',
  ]);
  await load({ instances: { lan } });
  t.strictSame((await next({ vrid: changing, family: 'ipv4' })).addresses, ['192.0.2.61', '192.0.2.62']);
  for (const address of ['192.0.2.61', '192.0.2.62', '2001:db8:1::61', '2001:db8:1::62'])
    t.ok(await has(address), `${address} is there`);
  await capture.next((frame) => isAnnouncementOf(frame, '192.0.2.62'), {
    withinMs: 3000,
    what: 'its announcement',
  });

  await load({ instances: { lan: instance(changing, ['192.0.2.62/24', '2001:db8:1::62/64']) } });
  t.strictSame((await next({ vrid: changing, family: 'ipv4' })).addresses, ['192.0.2.62']);
  t.notOk(await has('192.0.2.61'), 'the removed one is gone');
  t.notOk(await has('2001:db8:1::61'), 'in both families');
  t.ok(await has('192.0.2.62'), 'the kept one is not');
  t.ok(longestPause(changing) < 1.5, 'no advertisement was missed');
  t.strictSame(adverts(capture, { priority: 0 }), [], 'nobody was told that it leaves');
});

reloadTest(
  'an instance is added, replaced, and removed',
  async (t, { capture, havrrp, longestPause, load, next, has }) => {
    const lan = instance(changing, ['192.0.2.61/24', '2001:db8:1::61/64']);
    await load({ instances: { lan, more: instance(70, ['192.0.2.70/24']) } });
    await next({ vrid: 70 });
    t.ok(await has('192.0.2.70'), 'the new one is master with its group at once');

    await load({ instances: { lan, more: instance(71, ['192.0.2.70/24']) } });
    await next({ vrid: 71 });
    t.equal(
      adverts(capture, { vrid: 70 }).at(-1)?.priority,
      0,
      'the one of the old VRID has taken its leave',
    );
    t.ok(await has('192.0.2.70'), 'the address is that of the new one');

    await load({ instances: { lan } });
    await next({ vrid: changing });
    t.equal(adverts(capture, { vrid: 71 }).at(-1)?.priority, 0, 'the removed one has taken its leave');
    t.notOk(await has('192.0.2.70'), 'and its address is gone');
    t.ok(await has('192.0.2.61'), 'that of the other one is not');
    t.equal((await havrrp.group('changing')).transitions, 2, 'the group was master all the time');
    t.ok(longestPause(changing) < 1.5, 'and has missed no advertisement');
  },
);

reloadTest('a broken file changes nothing, and its lines are named', async (t, { capture, havrrp }) => {
  const before = await havrrp.group('changing');
  havrrp.configure('groups:\n  changing:\n    priority: 300\n    prioritty: 1\n');
  const { code, stderr } = await havrrp.cli(['reload']);
  t.equal(code, 2, 'status 2');
  t.match(stderr, new RegExp(`^${havrrp.configFile}:6:\\d+: .*300`, 'm'), stderr.trim());
  t.match(stderr, new RegExp(`^${havrrp.configFile}:7:\\d+: .*prioritty`, 'm'), 'every mistake is named');

  const known = havrrp.log.length;
  havrrp.kill('SIGHUP');
  await eventually(
    () => Promise.resolve(havrrp.log.slice(known)),
    (log) => log.includes('not reloaded'),
    3000,
  );
  t.match(havrrp.log.slice(known), `${havrrp.configFile}:6:`, 'SIGHUP: the log names the line');
  const after = await havrrp.group('changing');
  t.strictSame([after.state, after.since, after.instances[0]?.vrid], [before.state, before.since, changing]);
  const spoken = adverts(capture, { vrid: changing }).length;
  await capture.nextAdvert(() => adverts(capture, { vrid: changing }).length > spoken + 4, {
    withinMs: 3000,
  });
  t.pass('it goes on as before');
});

reloadTest('SIGHUP reloads', async (t, { havrrp, next }) => {
  havrrp.configure(configuration({ priority: 130 }));
  havrrp.kill('SIGHUP');
  await havrrp.events.next(({ type }) => type === 'reload', { withinMs: 3000 });
  await next({ vrid: changing, priority: 130 });
  t.equal(
    (await havrrp.group('changing')).instances[0]?.routers[0]?.priority,
    130,
    'status knows it as well',
  );
});

rootTest('a removed group is handed over, an added one begins as backup', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  const other = { other: { interval, instances: { lan: instance(99, ['192.0.2.99/24']) } } };
  pair.fw1.configure(yamlOf(other));
  const removed = await pair.fw1.cli(['reload']);
  t.equal(removed.code, 0, removed.stdout.trim());
  await pair.fw2.reaches('edge', 'master', patienceMs);
  t.equal((await pair.fw2.group('edge')).reason, 'master_left', 'the other one was told');
  t.equal(pair.adverts('fw1', 'lan', { vrid: 51 }).at(-1)?.priority, 0, 'these were its last words');
  for (const address of edgeAddresses.lan)
    t.notOk(await pair.network.host('fw1').has(address, 'lan'), `${address} is gone`);
  t.strictSame(
    (await pair.fw1.status()).groups.map(({ name }) => name),
    ['other'],
    'status has forgotten it',
  );

  pair.fw1.configure(yamlOf({ ...other, ...edge({ interval, priority: 150, preempt: false }) }));
  t.equal((await pair.fw1.cli(['reload'])).code, 0, 'the group comes back');
  await pair.hears('fw2', 10);
  await pair.settles('fw2');
  t.equal((await pair.fw1.group('edge')).transitions, 1, 'as a backup that hears the master');
});

rootTest('a backup that is reloaded stays one', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  const { lan, wan } = edge({}).edge.instances;
  const changed: GroupPlan = {
    interval,
    priority: 90,
    instances: { ...(wan && { wan }), ...(lan && { lan }) },
  };
  pair.fw2.configure(yamlOf({ edge: changed }));
  t.equal((await pair.fw2.cli(['reload'])).code, 0, 'another priority, another order');
  await pair.hears('fw1', 10);
  t.strictSame(pair.adverts('fw2'), [], 'not a word');
  t.equal((await pair.fw2.group('edge')).transitions, 1, 'it has not moved');
  await pair.fw1.crash();
  await pair.fw2.reaches('edge', 'master', patienceMs);
  await pair.hears('fw2', 1);
  t.equal(pair.adverts('fw2')[0]?.priority, 90, 'with its new priority');
});
