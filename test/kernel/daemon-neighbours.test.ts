import type { Test } from 'tap';
import { Capture, type CapturedFrame } from '../bench/capture.ts';
import { addressBytes } from '../bench/craft.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { Injector } from '../bench/injector.ts';
import type { Network } from '../bench/network.ts';
import { Probe, startResponder } from '../bench/probe.ts';
import { rootTest } from './root.ts';
import { oneFirewall, yamlOf } from './stage.ts';

/** What a client of the virtual addresses meets at a backup and at a master (RFC 9568 6.4.2, 6.4.3, 8): asked for its MAC,
 *  and spoken to without being asked. */

const virtual = ['192.0.2.100', '2001:db8:1::64'] as const;
const [virtual4, virtual6] = virtual;
const ours = '02:00:00:00:01:01';
const theClients = '02:00:00:00:03:01';
const interval = '100ms';
const instances = { lan: { interface: 'lan', vrid: 61, addresses: [`${virtual4}/24`, `${virtual6}/64`] } };

/** MLD reports have a hop-by-hop header, behind which tcpdump's `icmp6` does not look. */
const filter = 'ip proto 112 or ip6 proto 112 or arp or icmp6 or ip6 proto 0';

/** ICMPv6 messages of one type (RFC 4443), also behind a hop-by-hop header as MLD reports are. */
function icmpv6(frames: readonly CapturedFrame[], type: number): readonly CapturedFrame[] {
  return frames.filter(({ bytes }) => {
    if (bytes[12] !== 0x86 || bytes[13] !== 0xdd) return false;
    const start = 54 + (bytes[20] === 0 ? ((bytes[55] ?? 0) + 1) * 8 : 0);
    return (bytes[20] === 58 || (bytes[20] === 0 && bytes[54] === 58)) && bytes[start] === type;
  });
}

/** Probes once in a while, until this many are known to be lost or answered. */
async function ask(
  network: Network,
  outcomes: number,
): Promise<{ readonly answered: number; readonly lost: number }> {
  await using probe = await Probe.start(network.host('client'), virtual, { intervalMs: 50, patienceMs: 200 });
  let known = 0;
  await probe.outcomes.next(() => ++known === outcomes * virtual.length, {
    withinMs: 5000,
    what: 'the probes',
  });
  const answered = probe.outcomes.items.filter(({ answeredAfterMs }) => answeredAfterMs !== undefined).length;
  return { answered, lost: probe.outcomes.items.length - answered };
}

async function checkBackup(t: Test, network: Network, capture: Capture): Promise<void> {
  const client = network.host('client');
  const { answered } = await ask(network, 10);
  t.equal(answered, 0, 'nothing is answered');
  const requests = capture.all('arp').filter(({ targetAddress }) => targetAddress === virtual4);
  t.ok(requests.length > 0, 'the client has asked by ARP');
  t.ok(icmpv6(capture.frames, 135).length > 0, 'the client has asked by Neighbor Solicitation');
  const replies = capture.all('arp').filter(({ senderAddress }) => senderAddress === virtual4);
  t.strictSame(replies, [], 'V3-39: no ARP with the virtual address as its sender');
  const advertisements = capture.all('neighbor-advertisement').filter(({ target }) => target === virtual6);
  t.strictSame(advertisements, [], 'V3-40: no Neighbor Advertisement for the virtual address');
  t.strictSame(icmpv6(capture.frames, 134), [], 'V3-41: no Router Advertisement');

  for (const address of virtual) await client.ip(`neighbour replace ${address} lladdr ${ours} dev lan`);
  t.equal(
    (await ask(network, 10)).answered,
    0,
    'V3-43: nor is what comes to its MAC without being asked for',
  );
  for (const address of virtual) await client.ip(`neighbour delete ${address} dev lan`);
}

async function checkMaster(t: Test, network: Network, capture: Capture): Promise<void> {
  // What the client has learned from the announcements is forgotten, so that it asks.
  await network.host('client').ip('neighbour flush dev lan');
  const from = capture.frames.length;
  const { lost } = await ask(network, 10);
  t.equal(lost, 0, 'V3-55: everything is answered');
  const frames = capture.frames.slice(from);
  const replies = frames.filter((frame) => frame.kind === 'arp' && frame.operation === 2);
  const aboutVirtual = replies.filter((frame) => frame.kind === 'arp' && frame.senderAddress === virtual4);
  t.equal(aboutVirtual.length, 1, 'V3-50: one ARP reply');
  t.match(
    aboutVirtual[0],
    { senderMac: ours, ethernetSource: ours, ethernetDestination: theClients },
    'from its MAC',
  );
  const advertisements = frames.filter(
    (frame) => frame.kind === 'neighbor-advertisement' && frame.target === virtual6,
  );
  t.equal(advertisements.length, 1, 'V3-52: one Neighbor Advertisement');
  t.match(
    advertisements[0],
    { router: true, solicited: true, targetMac: ours, ethernetSource: ours },
    'V3-52: it is a router’s, and solicited',
  );
}

rootTest('V3-39 to V3-55: a backup is not there for its clients, a master is', async (t) => {
  await using network = await oneFirewall();
  const host = network.host('fw1');
  await using capture = await Capture.open({ ...network.tap('lan'), filter });
  await using injector = await Injector.open({ ...network.host('stranger'), interface: 'lan' });
  await startResponder(host);
  await using havrrp = await Havrrp.start(host, yamlOf({ alone: { interval, instances } }));
  const master = { vrid: 61, priority: 200, maxAdvertiseIntervalCs: 10 };
  const speak = [
    injector.flood([{ ...master, source: '192.0.2.66', addresses: [virtual4] }], {
      count: 60,
      perSecond: 15,
    }),
    injector.flood([{ ...master, source: 'fe80::66', addresses: ['fe80::200:5eff:fe00:23d', virtual6] }], {
      count: 60,
      perSecond: 15,
    }),
  ];
  await t.test('backup', async (t) => checkBackup(t, network, capture));
  await t.test('the other one is gone', async (t) => {
    t.equal((await havrrp.group('alone')).transitions, 1, 'backup all the time');
    await Promise.all(speak);
    await havrrp.reaches('alone', 'master', 2000);
    const group = addressBytes('ff02::1:ff00:64').join();
    const report = (frame: CapturedFrame): boolean =>
      icmpv6([frame], 143).length > 0 && frame.bytes.join().includes(group);
    await capture.next(report, { withinMs: 2000, what: 'V3-51: an MLD report for the solicited-node group' });
    t.pass('V3-51: it has joined the solicited-node group');
  });
  await t.test('master', async (t) => checkMaster(t, network, capture));
});
