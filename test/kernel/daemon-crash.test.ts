import type { Child } from '../bench/child.ts';
import { Capture } from '../bench/capture.ts';
import { Havrrp } from '../bench/havrrp.ts';
import type { Host } from '../bench/network.ts';
import { macOf, Pair, patienceMs, priorities } from './pair.ts';
import { rootTest } from './root.ts';
import { adverts, edgeAddresses, eventually, oneFirewall, skewMs, yamlOf } from './stage.ts';

/** The daemon is killed: what it leaves behind, and what becomes of that. */

const instances = { lan: { interface: 'lan', vrid: 61, addresses: ['192.0.2.61/24', '2001:db8:1::61/64'] } };
const virtual = ['192.0.2.61', '2001:db8:1::61'] as const;

/** Says of every address that comes or goes; a line that begins with `Deleted` for one that goes. */
async function watchAddresses(host: Host): Promise<Child> {
  const monitor = await host.start('ip', ['-oneline', 'monitor', 'address']);
  // It does not say when it listens; the first word of it shows.
  const poke = async (): Promise<void> => {
    await host.ip('address add 127.0.0.9/32 dev lo');
    await host.ip('address delete 127.0.0.9/32 dev lo');
  };
  await eventually(poke, () => monitor.lines.items.length > 0, 3000);
  return monitor;
}

function deleted(monitor: Child, addresses: readonly string[]): readonly string[] {
  return monitor.lines.items
    .map(({ text }) => text)
    .filter(
      (text) => text.startsWith('Deleted') && addresses.some((address) => text.includes(` ${address}/`)),
    );
}

rootTest('release: takes away what a killed daemon left, and says priority 0 in its place', async (t) => {
  await using pair = await Pair.start({ interval: '1s' });
  await pair.settles('fw1');
  const host = pair.network.host('fw1');
  const alive = await pair.fw1.cli(['release']);
  t.equal(alive.code, 1, alive.stderr.trim());
  t.match(alive.stderr, 'the daemon is alive');
  t.ok(await host.has(edgeAddresses.lan[0], 'lan'), 'it has touched nothing');

  await pair.fw1.crash();
  for (const address of edgeAddresses.lan)
    t.ok(await host.has(address, 'lan'), `${address} stays after a kill -9`);
  const { code, stdout } = await pair.fw1.cli(['release']);
  t.equal(code, 0, 'released');
  t.match(stdout, /edge: said priority 0 for VRID 51 on lan \(ipv4\)/, stdout.trim());
  for (const side of ['lan', 'wan'] as const) {
    for (const address of edgeAddresses[side]) t.notOk(await host.has(address, side), `${address} is gone`);
    for (const family of ['ipv4', 'ipv6'] as const) {
      const last = adverts(pair.captures[side], { family, priority: 0 });
      t.equal(last.length, 1, `${side}, ${family}: priority 0 was said once`);
    }
  }
  await pair.fw2.reaches('edge', 'master', patienceMs);
  await pair.hears('fw2', 1);
  t.equal((await pair.fw2.group('edge')).reason, 'master_left', 'the backup has understood');
  const left = pair.adverts('fw1', 'lan', { priority: 0 })[0];
  const waited = ((pair.adverts('fw2')[0]?.at ?? NaN) - (left?.at ?? NaN)) / skewMs(priorities.fw2, 1000);
  t.ok(waited > 0.95 && waited < 1.1, `and waited for ${waited.toFixed(3)} skew times only`);

  const again = await pair.fw1.cli(['release']);
  t.strictSame([again.code, again.stdout], [0, ''], 'a second time there is nothing to do');
});

rootTest('release works without a configuration that can be read', async (t) => {
  await using network = await oneFirewall();
  const host = network.host('fw1');
  await using capture = await Capture.open(network.tap('lan'));
  await using havrrp = await Havrrp.start(host, yamlOf({ alone: { interval: '100ms', instances } }));
  await havrrp.reaches('alone', 'master', patienceMs);
  await capture.nextAdvert(() => adverts(capture, {}).length > 4, { withinMs: patienceMs });
  await havrrp.crash();
  havrrp.configure('groups: {');
  const { code, stderr } = await havrrp.cli(['release', '--socket', havrrp.socket]);
  t.equal(code, 0, stderr);
  for (const address of virtual) t.notOk(await host.has(address, 'lan'), `${address} is gone`);
  await capture.nextAdvert(({ priority }) => priority === 0, { withinMs: 2000 });
  t.pass('priority 0 was said');
});

rootTest('restarted within three intervals: it goes on as master, and nobody has noticed', async (t) => {
  await using pair = await Pair.start({ interval: '1s' });
  await pair.settles('fw1');
  await using monitor = await watchAddresses(pair.network.host('fw1'));
  await pair.hears('fw1', 1);
  await pair.fw1.crash();
  await pair.fw1.start();
  const { reason } = await pair.fw1.reaches('edge', 'master', patienceMs);
  t.equal(reason, 'resumed', 'it resumes');
  await pair.hears('fw1', 3);
  t.strictSame(pair.adverts('fw2'), [], 'the backup has not said a word');
  const transitions = pair.fw1.events.items.filter(({ type }) => type === 'transition').slice(-1);
  t.strictSame(
    transitions.map(({ from, to }) => [from, to]),
    [['init', 'master']],
    'without being backup in between',
  );
  t.strictSame(
    deleted(monitor, [...edgeAddresses.lan, ...edgeAddresses.wan]),
    [],
    'no address was ever removed',
  );
  for (const address of edgeAddresses.lan)
    t.ok(await pair.network.host('fw1').has(address, 'lan'), `${address} is there`);
  t.equal((await pair.fw2.group('edge')).transitions, 1, 'backup all the time');
});

rootTest('restarted in time with another list: what is not in it goes', async (t) => {
  await using network = await oneFirewall();
  const host = network.host('fw1');
  await using capture = await Capture.open(network.tap('lan'));
  await using havrrp = await Havrrp.start(
    host,
    yamlOf({ alone: { priority: 255, interval: '1s', instances } }),
  );
  await havrrp.reaches('alone', 'master', patienceMs);
  await capture.nextAdvert(() => adverts(capture, {}).length > 2, { withinMs: patienceMs });
  await havrrp.crash();
  const fewer = { lan: { ...instances.lan, addresses: ['192.0.2.61/24'] } };
  havrrp.configure(yamlOf({ alone: { priority: 254, interval: '1s', instances: fewer } }));
  await havrrp.start();
  const { reason } = await havrrp.reaches('alone', 'master', patienceMs);
  t.equal(reason, 'resumed', 'it resumes');
  t.ok(await host.has('192.0.2.61', 'lan'), 'what it still has stays');
  t.notOk(await host.has('2001:db8:1::61', 'lan'), 'what it no longer has is removed');
  t.notOk(await host.has('fe80::200:5eff:fe00:23d', 'lan'), 'with the link-local address that was implied');
});

rootTest('restarted too late: what is left is removed, and it listens first', async (t) => {
  await using pair = await Pair.start({ interval: '100ms' });
  await pair.settles('fw1');
  const host = pair.network.host('fw1');
  await using monitor = await watchAddresses(host);
  await pair.fw1.crash();
  await pair.fw2.reaches('edge', 'master', patienceMs);
  const gone = pair.adverts('fw1').length;
  await pair.fw1.start();
  await pair.settles('fw1');
  await pair.hears('fw1', 1);
  t.match(pair.fw1.log, 'removing what an earlier run left behind', 'it says so');
  const all = [...edgeAddresses.lan, ...edgeAddresses.wan];
  const removed = deleted(monitor, all);
  for (const address of all)
    t.ok(
      removed.some((line) => line.includes(` ${address}/`)),
      `${address} was removed`,
    );
  const life = pair.fw1.events.items.filter(({ type }) => type === 'transition').slice(-2);
  t.strictSame(
    life.map(({ from, to, reason }) => [from, to, reason]),
    [
      ['init', 'backup', 'startup'],
      ['backup', 'master', 'preempted'],
    ],
    'first backup, then master as any other of higher priority',
  );
  const first = pair.adverts('fw1')[gone];
  const listened = ((first?.at ?? NaN) - Date.parse(life[0]?.at ?? '')) / 100;
  t.ok(listened > 3, `it has listened for ${listened.toFixed(2)} intervals`);
  t.equal(first?.ethernetSource, macOf('fw1', 'lan'), 'before it spoke');
});

rootTest('demoted for good and killed: it does not resume', async (t) => {
  await using network = await oneFirewall();
  const host = network.host('fw1');
  await using havrrp = await Havrrp.start(
    host,
    yamlOf({ alone: { interval: '1s', priority: 254, instances } }),
  );
  await havrrp.reaches('alone', 'master', patienceMs);
  await havrrp.cli(['demote', '--persist', '--no-wait']);
  await havrrp.crash();
  await havrrp.start();
  const { reason } = await havrrp.reaches('alone', 'backup', patienceMs);
  t.equal(reason, 'startup', 'backup, as it was to be');
  for (const address of virtual) t.notOk(await host.has(address, 'lan'), `${address} is gone`);
});
