import type { Test } from 'tap';
import { Capture } from '../bench/capture.ts';
import { Havrrp } from '../bench/havrrp.ts';
import type { Host, Network } from '../bench/network.ts';
import { Pair, patienceMs, priorities } from './pair.ts';
import { rootTest } from './root.ts';
import {
  adverts,
  announcements,
  edgeAddresses,
  eventually,
  masterDownMs,
  oneFirewall,
  yamlOf,
} from './stage.ts';

/** What keeps a group from running is a fact of the host: it is named, and when it is gone the group goes on by itself. */

const interval = '100ms';
const virtual4 = '192.0.2.61';
const virtual6 = '2001:db8:1::61';
const lan = { interface: 'lan', vrid: 61, addresses: [`${virtual4}/24`, `${virtual6}/64`] };
const yaml = yamlOf({ alone: { interval, instances: { lan } } });

interface Scene {
  readonly network: Network;
  readonly host: Host;
  readonly capture: Capture;
}

function faultTest(name: string, body: (t: Test, scene: Scene) => Promise<void>): void {
  rootTest(name, async (t) => {
    await using network = await oneFirewall();
    await using capture = await Capture.open(network.tap('lan'));
    await body(t, { network, host: network.host('fw1'), capture });
  });
}

/** The group is in fault for this reason, and says nothing on the wire. */
async function checkFault(t: Test, havrrp: Havrrp, code: string, words: RegExp): Promise<void> {
  const { reason, reason_text: text, instances } = await havrrp.reaches('alone', 'fault', patienceMs);
  t.equal(reason, code, `fault: ${code}`);
  t.match(text, words, text);
  const faults = instances.flatMap(({ routers }) => routers.flatMap((router) => router.faults));
  t.ok(
    faults.some((fault) => fault.code === code),
    'the router that has it shows it',
  );
}

/** What the routers show now; a group's reason is that of its last transition. */
async function faultsOf(havrrp: Havrrp): Promise<string> {
  const { instances } = await havrrp.group('alone');
  return instances
    .flatMap(({ routers }) => routers.flatMap(({ faults }) => faults.map(({ text }) => text)))
    .join();
}

async function checkRecovered(t: Test, havrrp: Havrrp): Promise<void> {
  await havrrp.reaches('alone', 'master', patienceMs);
  const steps = havrrp.events.items.filter(({ type }) => type === 'transition').slice(-2);
  t.strictSame(
    steps.map(({ from, to }) => [from, to]),
    [
      ['fault', 'backup'],
      ['backup', 'master'],
    ],
    'it has recovered by itself: first backup, then master',
  );
  t.equal(steps[0]?.reason, 'recovered', 'and says why');
}

faultTest('an address that is there already', async (t, { host }) => {
  await host.ip(`address add ${virtual4}/24 dev lan`);
  await using havrrp = await Havrrp.start(host, yaml);
  await checkFault(t, havrrp, 'address_in_use', /192\.0\.2\.61 is already on lan, and not by havrrp/);
  t.ok(await host.has(virtual4, 'lan'), 'it is left alone');
  await host.ip(`address delete ${virtual4}/24 dev lan`);
  await checkRecovered(t, havrrp);
});

faultTest('an interface that comes later', async (t, { host, capture }) => {
  const later = { interface: 'later', vrid: 62, addresses: ['203.0.113.62/24'] };
  await using havrrp = await Havrrp.start(host, yamlOf({ alone: { interval, instances: { lan, later } } }));
  await checkFault(t, havrrp, 'interface_missing', /there is no interface later/);
  t.strictSame(adverts(capture, {}), [], 'the other link is silent with it');

  const make = async (): Promise<void> => {
    await host.ip('link add later type veth peer name later-peer');
    await host.ip('link set later-peer up');
    await host.ip('address add 203.0.113.1/24 dev later');
    await host.ip('link set later up');
  };
  await make();
  await checkRecovered(t, havrrp);
  t.ok(await host.has('203.0.113.62', 'later'), 'the address is on the new interface');

  // The same again, and it was master this time.
  await host.ip('link delete later');
  await havrrp.reaches('alone', 'fault', patienceMs);
  // The kernel sets it down before it takes it away.
  await eventually(
    () => faultsOf(havrrp),
    (texts) => texts.includes('there is no interface later'),
    patienceMs,
  );
  await capture.nextAdvert(({ family, priority }) => family === 'ipv6' && priority === 0, { withinMs: 1000 });
  for (const family of ['ipv4', 'ipv6'] as const)
    t.equal(
      adverts(capture, { family }).at(-1)?.priority,
      0,
      `it has said priority 0 on the other link, ${family}`,
    );
  t.notOk(await host.has(virtual4, 'lan'), 'and let go of the addresses there');
  await make();
  await checkRecovered(t, havrrp);
  await using tap = await Capture.open({ namespace: host.namespace, interface: 'later-peer' });
  await tap.nextAdvert(({ vrid }) => vrid === 62, {
    withinMs: 2000,
    what: 'advertisements on the new interface',
  });
  t.ok(await host.has('203.0.113.62', 'later'), 'the address is on the new interface');
});

faultTest('IPv6 is switched off, and on again', async (t, { host }) => {
  await host.setSysctls({ 'net/ipv6/conf/lan/disable_ipv6': '1' });
  await using havrrp = await Havrrp.start(host, yaml);
  await checkFault(
    t,
    havrrp,
    'no_link_local',
    /lan has no IPv6 link-local address .*: is IPv6 disabled there/,
  );
  await host.setSysctls({ 'net/ipv6/conf/lan/disable_ipv6': '0' });
  await checkRecovered(t, havrrp);
  await host.setSysctls({ 'net/ipv6/conf/lan/disable_ipv6': '1' });
  await checkFault(t, havrrp, 'no_link_local', /is IPv6 disabled there/);
  await host.setSysctls({ 'net/ipv6/conf/lan/disable_ipv6': '0' });
  await checkRecovered(t, havrrp);
});

faultTest('somebody else has the link-local address', async (t, { network, host, capture }) => {
  const linkLocal = await host.linkLocal('lan');
  await network.host('stranger').ip(`address add ${linkLocal}/64 dev lan nodad`);
  await host.setSysctls({ 'net/ipv6/conf/lan/disable_ipv6': '1' });
  await host.setSysctls({ 'net/ipv6/conf/lan/accept_dad': '1', 'net/ipv6/conf/lan/dad_transmits': '1' });
  await host.setSysctls({ 'net/ipv6/conf/lan/disable_ipv6': '0' });
  await using havrrp = await Havrrp.start(host, yaml);
  await checkFault(t, havrrp, 'no_link_local', /link-local address/);
  await eventually(
    () => host.ip('address show dev lan'),
    (text) => text.includes('dadfailed'),
    patienceMs,
  );
  const text = await eventually(
    () => faultsOf(havrrp),
    (shown) => shown.includes('another host'),
    patienceMs,
  );
  t.match(text, 'another host on lan has its link-local address', text);
  const silent = adverts(capture, {}).length;
  t.equal(silent, 0, 'not a word');
  await host.ip('address add fe80::77/64 dev lan nodad');
  await checkRecovered(t, havrrp);
  await capture.nextAdvert(({ family, source }) => family === 'ipv6' && source === 'fe80::77', {
    withinMs: 2000,
  });
  t.pass('it speaks from the address that is its own');
});

faultTest('the virtual addresses are deleted by hand', async (t, { host, capture }) => {
  await using havrrp = await Havrrp.start(
    host,
    yamlOf({ alone: { interval, garp: { delay: 0 }, instances: { lan } } }),
  );
  await havrrp.reaches('alone', 'master', patienceMs);
  for (const [address, length] of [[virtual4, 24] as const, [virtual6, 64] as const]) {
    await capture.nextAdvert(() => announcements(capture, address).length === 5, { withinMs: 2000 });
    await host.ip(`address delete ${address}/${length} dev lan`);
    await eventually(
      () => host.has(address, 'lan'),
      (there) => there,
      patienceMs,
    );
    t.pass(`${address} is put back`);
    const spoken = adverts(capture, {}).length;
    await capture.nextAdvert(() => adverts(capture, {}).length > spoken + 4, { withinMs: 2000 });
    t.equal(announcements(capture, address).length, 6, `${address} was announced once more`);
  }
  const { state, transitions } = await havrrp.group('alone');
  t.strictSame([state, transitions], ['master', 2], 'nothing has moved');
  t.match(havrrp.log, 'another program had removed addresses of ours: put back', 'the log tells');
});

faultTest('all addresses are flushed', async (t, { host, capture }) => {
  await using havrrp = await Havrrp.start(host, yaml);
  await havrrp.reaches('alone', 'master', patienceMs);
  await host.ip('address flush dev lan scope global');
  await checkFault(t, havrrp, 'no_ipv4_address', /lan has no IPv4 address of its own/);
  t.notOk(await host.has(virtual4, 'lan'), 'a group in fault holds nothing');
  await host.ip('address add 192.0.2.1/24 dev lan');
  await checkRecovered(t, havrrp);
  await capture.nextAdvert(({ source }) => source === '192.0.2.1', { withinMs: 2000 });
  for (const address of [virtual4, virtual6]) t.ok(await host.has(address, 'lan'), `${address} is there`);
});

rootTest('a link of the master goes down: both links move, and come back', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  await pair.network.unplug('fw1', 'lan');
  await pair.fw2.reaches('edge', 'master', patienceMs);
  await pair.hears('fw2', 1);
  const { state, reason, reason_text: text } = await pair.fw1.group('edge');
  t.strictSame([state, reason], ['fault', 'link_down'], text);
  for (const family of ['ipv4', 'ipv6'] as const) {
    const own = adverts(pair.captures.wan, { family, ethernetSource: '02:00:00:00:01:02' });
    t.equal(own.at(-1)?.priority, 0, `wan, ${family}: priority 0 is its last word`);
  }
  const waited =
    ((pair.adverts('fw2')[0]?.at ?? NaN) - (pair.adverts('fw1').at(-1)?.at ?? NaN)) /
    masterDownMs(priorities.fw2, 100);
  t.ok(
    waited < 1.2,
    `the backup has taken both after ${waited.toFixed(3)} master-down intervals of silence on the lan`,
  );
  t.ok(await pair.network.host('fw2').has(edgeAddresses.wan[0], 'wan'), 'the wan address has moved as well');
  t.notOk(await pair.network.host('fw1').has(edgeAddresses.wan[0], 'wan'), 'and is in one place only');

  await pair.network.restore('fw1', 'lan');
  await pair.settles('fw1');
  t.notOk(await pair.network.host('fw2').has(edgeAddresses.wan[0], 'wan'), 'back again');
});
