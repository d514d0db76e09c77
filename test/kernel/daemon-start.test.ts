import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { Capture } from '../bench/capture.ts';
import type { Child } from '../bench/child.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { patienceMs } from './pair.ts';
import { rootTest } from './root.ts';
import { adverts, edge, eventually, oneFirewall, twoFirewalls, yamlOf } from './stage.ts';

/** How `havrrp run` begins, or refuses to. */

const program = fileURLToPath(new URL('../../src/havrrp.js', import.meta.url));
const instances = { lan: { interface: 'lan', vrid: 61, addresses: ['192.0.2.61/24', '2001:db8:1::61/64'] } };
const yaml = yamlOf({ alone: { interval: '100ms', instances } });

/** Runs the daemon without some of root's capabilities. */
async function startWithout(havrrp: Havrrp, capabilities: readonly string[]): Promise<Child> {
  const bounding = capabilities.map((name) => `-${name}`).join(',');
  const command = [process.execPath, program, 'run', '--config', havrrp.configFile];
  const child = await havrrp.host.start('setpriv', [`--bounding-set=${bounding}`, ...command]);
  await child.lines.next(({ text }) => text.includes('"msg":"ready"'), {
    withinMs: patienceMs,
    what: 'ready',
  });
  return child;
}

async function faultsOf(
  havrrp: Havrrp,
): Promise<{ readonly codes: readonly string[]; readonly texts: string }> {
  const { instances } = await havrrp.group('alone');
  const faults = instances.flatMap(({ routers }) => routers.flatMap((router) => router.faults));
  return {
    codes: [...new Set(faults.map(({ code }) => code))],
    texts: faults.map(({ text }) => text).join('\n'),
  };
}

rootTest('without CAP_NET_RAW: fault, and it says which capability is missing', async (t) => {
  await using network = await oneFirewall();
  await using capture = await Capture.open(network.tap('lan'));
  await using havrrp = new Havrrp(network.host('fw1'), yaml);
  await using child = await startWithout(havrrp, ['net_raw']);
  t.equal((await havrrp.group('alone')).state, 'fault', 'out of the election');
  const { codes, texts } = await faultsOf(havrrp);
  t.strictSame(codes, ['no_permission'], 'for want of permission');
  t.match(texts, /CAP_NET_RAW/, texts.split('\n')[0] ?? '');
  t.strictSame(adverts(capture, {}), [], 'it says nothing');
  const { code } = await child.close();
  t.equal(code, 0, 'it stops as any other');
});

rootTest('without CAP_NET_ADMIN: fault, before it has pushed anybody aside', async (t) => {
  await using network = await oneFirewall();
  await using capture = await Capture.open(network.tap('lan'));
  await using havrrp = new Havrrp(network.host('fw1'), yaml);
  await using child = await startWithout(havrrp, ['net_admin']);
  t.equal((await havrrp.group('alone')).state, 'fault', 'out of the election');
  const { codes, texts } = await faultsOf(havrrp);
  t.strictSame(codes, ['no_permission'], 'for want of permission');
  t.match(texts, /CAP_NET_ADMIN/, texts.split('\n')[0] ?? '');
  t.strictSame(adverts(capture, {}), [], 'it says nothing');
  t.ok(child.isRunning, 'and waits');
});

rootTest(
  'without CAP_NET_ADMIN: a master that can do its work is not disturbed by one that cannot',
  async (t) => {
    await using network = await twoFirewalls();
    await using able = await Havrrp.start(
      network.host('fw2'),
      yamlOf(edge({ interval: '100ms', priority: 100 })),
    );
    await able.reaches('edge', 'master', patienceMs);
    const file = yamlOf(edge({ interval: '100ms', priority: 150 }));
    await using unable = new Havrrp(network.host('fw1'), file);
    await using child = await startWithout(unable, ['net_admin']);
    await eventually(
      () => unable.group('edge'),
      ({ state, reason }) => state === 'fault' && reason === 'no_permission',
      patienceMs,
    );
    const { state, transitions } = await able.group('edge');
    t.strictSame([state, transitions], ['master', 2], 'the able one was master all the time');
    t.ok(child.isRunning, 'the other one waits');
  },
);

rootTest('a second daemon on the same runtime directory is refused', async (t) => {
  await using network = await oneFirewall();
  await using havrrp = await Havrrp.start(network.host('fw1'), yaml);
  await havrrp.reaches('alone', 'master', patienceMs);
  const { code, stderr } = await havrrp.cli(['run']);
  t.equal(code, 1, stderr.trim());
  t.match(stderr, /^havrrp: .*running/, 'because one is running');
  t.equal(stderr.trim().split('\n').length, 1, 'in one line');
  const { state, transitions } = await havrrp.group('alone');
  t.strictSame([state, transitions], ['master', 2], 'the first one is not disturbed');
});

/** Runs a daemon that must refuse its file. */
async function refused(t: Test, yaml: string, complaint: RegExp): Promise<void> {
  await using network = await oneFirewall();
  await using capture = await Capture.open(network.tap('lan'));
  await using havrrp = new Havrrp(network.host('fw1'), yaml);
  const { code, stderr } = await havrrp.cli(['run']);
  t.equal(code, 2, 'status 2');
  t.match(stderr, complaint, stderr.trim());
  t.notOk(existsSync(havrrp.socket), 'there is no control socket');
  t.strictSame(capture.all('advert'), [], 'nothing was said');
  t.notOk(await network.host('fw1').has('192.0.2.61', 'lan'), 'no address was added');
}

rootTest('a bad configuration: status 2, and nothing was started', async (t) => {
  await refused(t, yaml.replace('"100ms"', '"105ms"'), /havrrp\.yaml:\d+:\d+: .*10ms/);
  await refused(t, yaml.replace('vrid', 'vird'), /havrrp\.yaml:\d+:\d+: .*vrid/);
  await refused(t, 'groups: [', /havrrp\.yaml:\d+:\d+: /);
});

rootTest('a control socket that a killed daemon left does not keep the next one from starting', async (t) => {
  await using network = await oneFirewall();
  await using havrrp = await Havrrp.start(network.host('fw1'), yaml);
  await havrrp.crash();
  t.ok(existsSync(havrrp.socket), 'the socket is there');
  await havrrp.start();
  await havrrp.reaches('alone', 'master', patienceMs);
  t.pass('it runs');
});
