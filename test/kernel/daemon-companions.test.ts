import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GroupStatus, TransitionEvent } from '../../src/control/messages.ts';
import { Havrrp } from '../bench/havrrp.ts';
import type { Host } from '../bench/network.ts';
import { patienceMs } from './pair.ts';
import { rootTest } from './root.ts';
import { edge, eventually, oneFirewall, twoFirewalls, yamlOf } from './stage.ts';

/** What goes along with a group: trackers that demote it, hooks that are told, a conntrackd that is not there. */

/** A directory of root's alone: a hook's path may have no component that others can write to. */
const directory = `/run/havrrp-test-${process.pid}`;

function configuration(priority: number, more: Readonly<Record<string, unknown>>): string {
  const { edge: group } = edge({ interval: '100ms', priority });
  return yamlOf({ edge: { ...group, ...more } });
}

function nextEvent(
  havrrp: Havrrp,
  wanted: (event: TransitionEvent) => boolean,
  what: string,
): Promise<TransitionEvent> {
  return havrrp.events.next(wanted, { withinMs: patienceMs, what });
}

async function start(host: Host, priority: number, more: Readonly<Record<string, unknown>>): Promise<Havrrp> {
  return await Havrrp.start(host, configuration(priority, more));
}

function tracker(group: GroupStatus): GroupStatus['trackers'][number] | undefined {
  return group.trackers[0];
}

rootTest('a tracker that fails demotes the group, and the election does the rest', async (t) => {
  await using network = await twoFirewalls();
  const track = [{ ping: '192.0.2.10', demote: 100, every: '100ms', timeout: '100ms', fall: 2, rise: 2 }];
  await using fw1 = await start(network.host('fw1'), 150, { track });
  await fw1.reaches('edge', 'master', patienceMs);
  await using fw2 = await start(network.host('fw2'), 100, {});
  await fw2.reaches('edge', 'backup', patienceMs);

  await network.host('client').ip('address del 192.0.2.10/24 dev lan');
  await fw1.reaches('edge', 'backup', patienceMs);
  const demoted = await fw1.group('edge');
  t.equal(demoted.demotion, 100, 'the demotion is the tracker’s');
  t.match(demoted.demotions, [{ source: 'ping 192.0.2.10', value: 100 }]);
  t.match(tracker(demoted), { state: 'fail', contributes: 100 });
  t.equal((await fw2.group('edge')).state, 'master', 'the other one has taken over');

  await network.host('client').ip('address add 192.0.2.10/24 dev lan');
  await fw1.reaches('edge', 'master', patienceMs);
  t.match(tracker(await fw1.group('edge')), { state: 'pass', contributes: 0 }, 'and back');
});

rootTest('a check that cannot run is an error, and no pass', async (t) => {
  await using network = await oneFirewall();
  mkdirSync(directory, { mode: 0o755 });
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  const program = join(directory, 'check');
  writeFileSync(program, '#!/no/such/interpreter\n');
  chmodSync(program, 0o755);
  const track = [{ command: [program], demote: 'fault', every: '100ms', fall: 1 }];
  const instances = { lan: { interface: 'lan', vrid: 61, addresses: ['192.0.2.61/24'] } };
  const yaml = yamlOf({ edge: { interval: '100ms', instances, ...{ track } } });
  await using havrrp = await Havrrp.start(network.host('fw1'), yaml);
  await nextEvent(havrrp, ({ type, reason }) => type === 'tracker' && reason === 'error', 'the error');
  const group = await havrrp.group('edge');
  t.equal(group.state, 'fault');
  t.match(group.trackers, [{ state: 'error', contributes: 'fault' }]);
});

rootTest('hooks are told of every state, and how they ended is seen', async (t) => {
  await using network = await twoFirewalls();
  const hooks = { any: ['/bin/sh', '-c', 'echo $HAVRRP_STATE; exit 3'] };
  await using havrrp = await start(network.host('fw1'), 150, { hooks });
  for (const state of ['backup', 'master']) {
    const { reason, text } = await nextEvent(
      havrrp,
      (event) => event.type === 'hook' && event.text.includes(`(${state})`),
      `the hook for ${state}`,
    );
    t.equal(reason, 'hook_failed', text);
  }
  t.match((await havrrp.group('edge')).hooks, [{ hook: 'any', result: 'ended with status 3' }]);
  const { code } = await havrrp.stop();
  t.equal(code, 0);
  t.match(havrrp.log, /"state":"stop"/, 'the last one is stop');
});

rootTest('conntrackd is not there: the takeover goes on, and says that it is stateless', async (t) => {
  await using network = await twoFirewalls();
  const conntrackd = { config: '/no/such/conntrackd.conf', binary: '/no/such/conntrackd' };
  await using havrrp = await start(network.host('fw1'), 150, { conntrackd });
  await havrrp.reaches('edge', 'master', patienceMs);
  const { text } = await nextEvent(
    havrrp,
    ({ reason }) => reason === 'sessions_not_committed',
    'the takeover',
  );
  t.match(text, /^stateless takeover/);
  const group = await havrrp.group('edge');
  t.match(group.conntrackd, { state: 'absent' });
  t.ok(
    group.instances.every(({ routers }) =>
      routers.every(({ addresses }) => addresses.every(({ present }) => present)),
    ),
    'the addresses are here',
  );
});

rootTest('routes and rules are there while master, are put back, and go with the role', async (t) => {
  await using network = await twoFirewalls();
  const host = network.host('fw1');
  const more = {
    routes: [
      { to: '203.0.113.0/24', via: '192.0.2.10' },
      { to: 'default', via: '192.0.2.10', table: 100 },
    ],
    rules: [{ from: '192.0.2.0/24', table: 100, preference: 1000 }],
  };
  await using havrrp = await start(host, 150, more);
  await havrrp.reaches('edge', 'master', patienceMs);
  const routing = async (): Promise<GroupStatus['routing']> => (await havrrp.group('edge')).routing;
  const complete = (seen: GroupStatus['routing']): boolean =>
    seen.length === 3 && seen.every(({ present }) => present);
  t.ok(complete(await eventually(routing, complete, patienceMs)), 'all three are there');
  t.match(await host.ip('route show table 100'), /^default via 192\.0\.2\.10 dev lan proto 112/);
  t.match(await host.ip('rule show'), /^1000:\s+from 192\.0\.2\.0\/24 lookup 100/m);

  await host.ip('route flush table 100');
  t.ok(complete(await eventually(routing, complete, patienceMs)), 'put back');
  t.equal((await havrrp.group('edge')).transitions, 2, 'without a change of role');

  await havrrp.stop();
  t.equal(await host.ip('route show table 100'), '');
  t.notMatch(await host.ip('rule show'), /1000:/);
});
