import type { Test } from 'tap';
import { Capture, type Advert } from '../bench/capture.ts';
import { Havrrp } from '../bench/havrrp.ts';
import type { Network } from '../bench/network.ts';
import { judge } from '../bench/tshark.ts';
import { rootTest } from './root.ts';
import { adverts, type GroupPlan, oneFirewall, yamlOf } from './stage.ts';

/** What havrrp puts on the wire (RFC 9568 5.1, 5.2, 7.2), read from raw octets and judged by tshark. */

const vrid = { defaults: 61, owner: 62, slow: 63, quarter: 64, list: 65, pseudoHeader: 66 } as const;

function group(
  vrid: number,
  addresses: readonly string[],
  settings: Omit<GroupPlan, 'instances'>,
): GroupPlan {
  return { ...settings, instances: { lan: { interface: 'lan', vrid, addresses } } };
}

const list = [
  '192.0.2.103/24',
  '192.0.2.101/24',
  '192.0.2.102/24',
  '2001:db8:1::103/64',
  '2001:db8:1::101/64',
];

const groups = {
  defaults: group(vrid.defaults, ['192.0.2.61/24', '2001:db8:1::61/64'], {}),
  owner: group(vrid.owner, ['192.0.2.62/24', '2001:db8:1::62/64'], { priority: 255, interval: '100ms' }),
  slow: group(vrid.slow, ['192.0.2.63/24', '2001:db8:1::63/64'], { priority: 255, interval: '40.95s' }),
  quarter: group(vrid.quarter, ['192.0.2.64/24', '2001:db8:1::64/64'], { priority: 254, interval: '250ms' }),
  list: group(vrid.list, list, { interval: '100ms' }),
  pseudoHeader: group(vrid.pseudoHeader, ['192.0.2.66/24'], { interval: '100ms', checksum: 'pseudo_header' }),
};

/** A life from the start to a planned stop, in which every router has spoken in both families. */
async function liveAndStop(network: Network, capture: Capture): Promise<void> {
  const host = network.host('fw1');
  await using havrrp = await Havrrp.start(host, yamlOf(groups));
  for (const name of Object.keys(groups)) await havrrp.reaches(name, 'master', 10_000);
  // Neither a further address of its own nor the virtual ones become the source.
  await host.ip('address add 192.0.2.50/24 dev lan');
  capture.skip();
  await capture.nextAdvert((advert) => advert.vrid === vrid.defaults, { withinMs: 3000 });
  const { stderr, code } = await havrrp.cli(['reload']);
  if (code !== 0) throw new Error(stderr);
  capture.skip();
  await capture.nextAdvert((advert) => advert.vrid === vrid.list, { withinMs: 3000 });
  await havrrp.cli(['demote', 'pseudoHeader']);
  // Nobody will take over; a second signal does not wait for it.
  capture.skip();
  havrrp.kill('SIGTERM');
  await capture.nextAdvert((advert) => advert.vrid === vrid.slow && advert.priority === 0, {
    withinMs: 3000,
  });
  havrrp.kill('SIGTERM');
  await havrrp.stopped;
}

function of(all: readonly Advert[], matching: Partial<Advert>): readonly Advert[] {
  return all.filter((advert) =>
    Object.entries(matching).every(([key, value]) => advert[key as keyof Advert] === value),
  );
}

function values(all: readonly Advert[], key: keyof Advert): unknown[] {
  return [...new Set(all.map((advert) => JSON.stringify(advert[key])))].map(
    (text) => JSON.parse(text) as unknown,
  );
}

function checkHeaders(t: Test, all: readonly Advert[], linkLocal: string): void {
  const [v4, v6] = [of(all, { family: 'ipv4' }), of(all, { family: 'ipv6' })];
  t.strictSame(
    values(v4, 'source'),
    ['192.0.2.1'],
    'V3-01: the primary IPv4 address, whatever else is there',
  );
  t.strictSame(values(v6, 'source'), [linkLocal], 'V3-02: the link-local address of its own');
  t.strictSame(values(v4, 'hopLimit'), [255], 'V3-05: TTL 255, priority 0 included');
  t.strictSame(values(v6, 'hopLimit'), [255], 'V3-07: hop limit 255');
  t.strictSame(values(v4, 'destination'), ['224.0.0.18'], 'V3-10: the IPv4 group');
  t.strictSame(values(v4, 'ethernetDestination'), ['01:00:5e:00:00:12'], 'V3-10: its MAC');
  t.strictSame(values(v6, 'destination'), ['ff02::12'], 'V3-10: the IPv6 group');
  t.strictSame(values(v6, 'ethernetDestination'), ['33:33:00:00:00:12'], 'V3-10: its MAC');
}

function checkMessages(t: Test, all: readonly Advert[]): void {
  t.strictSame([values(all, 'version'), values(all, 'type')], [[3], [1]], 'V3-13: version 3, type 1');
  t.strictSame(
    values(of(all, { vrid: vrid.owner }), 'priority'),
    [255, 0],
    'V3-16: the owner says 255, and 0 at last',
  );
  t.strictSame(
    values(of(all, { vrid: vrid.defaults }), 'priority'),
    [100, 0],
    'V3-17, V3-29: 100 by default',
  );
  const demoted = of(all, { vrid: vrid.pseudoHeader, priority: 1 });
  t.ok(demoted.length > 0, 'V3-17: demoted by all it has, it says 1, not 0');
  t.strictSame(values(all, 'reserved'), [0], 'V3-20: the reserved bits are zero');
  t.strictSame(
    values(of(all, { vrid: vrid.slow }), 'maxAdvertiseIntervalCs'),
    [4095],
    'V3-20, V3-22: 40.95 s',
  );
  t.strictSame(values(of(all, { vrid: vrid.quarter }), 'maxAdvertiseIntervalCs'), [25], 'V3-22: 250 ms');
  t.strictSame(
    values(of(all, { vrid: vrid.defaults }), 'maxAdvertiseIntervalCs'),
    [100],
    'V3-22, V3-29: 1 s',
  );
  for (const advert of all) {
    const size = advert.family === 'ipv4' ? 4 : 16;
    if (advert.length !== 8 + size * advert.count || advert.addresses.length !== advert.count)
      t.fail('V3-26: one family, and no trailer', { advert });
  }
  const lists = (family: Advert['family']): unknown[] =>
    values(of(all, { vrid: vrid.list, family }), 'addresses');
  t.strictSame(
    lists('ipv4'),
    [['192.0.2.103', '192.0.2.101', '192.0.2.102']],
    'V3-26, V3-27: the order of the file, after a reload too',
  );
  t.strictSame(
    lists('ipv6'),
    [['fe80::200:5eff:fe00:241', '2001:db8:1::103', '2001:db8:1::101']],
    'V3-25, V3-27: the same for IPv6, behind a link-local address',
  );
}

/** Of each router the first and the last advertisement, which says priority 0. */
function firstAndLast(all: readonly Advert[]): Advert[] {
  return Object.values(vrid).flatMap((vrid) =>
    (['ipv4', 'ipv6'] as const).flatMap((family) => {
      const mine = of(all, { vrid, family });
      return [mine.at(0), mine.at(-1)].filter((advert) => advert !== undefined);
    }),
  );
}

rootTest('V3-01 to V3-27, what is sent: raw octets and tshark agree', async (t) => {
  await using network = await oneFirewall();
  const linkLocal = await network.host('fw1').linkLocal('lan');
  await using capture = await Capture.open(network.tap('lan'));
  await liveAndStop(network, capture);
  await capture.close();
  const all = capture.all('advert');
  await t.test('the headers below', async (t) => checkHeaders(t, all, linkLocal));
  await t.test('the message', async (t) => checkMessages(t, all));
  await t.test('tshark says', async (t) => {
    const samples = firstAndLast(all);
    t.equal(samples.length, 2 * (2 * 6 - 1), 'every router spoke, in the first breath and in the last');
    for (const [index, verdict] of (await judge(samples)).entries()) {
      const { vrid: id, family, priority } = samples[index] as Advert;
      const name = `VRID ${id}, ${family}, priority ${priority}`;
      t.equal(verdict.protocols.at(-1), 'vrrp', `V3-09: ${name} is VRRP`);
      t.strictSame(verdict.complaints, [], `${name}: tshark has nothing to say against it`);
      const wanted =
        family === 'ipv6'
          ? { pseudoHeader: 'good', message: 'good' }
          : id === vrid.pseudoHeader
            ? { pseudoHeader: 'good', message: 'bad' }
            : { pseudoHeader: 'bad', message: 'good' };
      t.strictSame(
        verdict.checksum,
        wanted,
        `${family === 'ipv4' ? 'V3-23' : 'V3-24'}: ${name}: the checksum`,
      );
    }
  });
});

rootTest(
  'V3-16, the owner of addresses that are on its interface: advertises 255 from them at once',
  async (t) => {
    await using network = await oneFirewall();
    await using capture = await Capture.open(network.tap('lan'));
    const addresses = ['192.0.2.1/24', '2001:db8:1::1/64'];
    await using havrrp = await Havrrp.start(
      network.host('fw1'),
      yamlOf({ owner: group(vrid.owner, addresses, { priority: 255, interval: '100ms' }) }),
    );
    await havrrp.reaches('owner', 'master', 3000);
    for (const family of ['ipv4', 'ipv6'] as const) {
      const advert = await capture.nextAdvert((each) => each.family === family, { withinMs: 3000 });
      t.equal(advert.priority, 255, `${family}: priority 255`);
    }
    t.equal(
      adverts(capture, { family: 'ipv4' })[0]?.source,
      '192.0.2.1',
      'from its own address, which is the virtual one',
    );
    const { instances, alarms } = await havrrp.group('owner');
    for (const { addresses: shown } of instances.flatMap(({ routers }) => routers)) {
      for (const { address, present } of shown) t.ok(present, `status knows that ${address} is there`);
    }
    t.strictSame(alarms, [], 'there is nothing to be alarmed about');
    havrrp.kill('SIGTERM');
    havrrp.kill('SIGTERM');
    await havrrp.stopped;
    t.ok(await network.host('fw1').has('192.0.2.1', 'lan'), 'what was there before stays when it stops');
    t.ok(await network.host('fw1').has('2001:db8:1::1', 'lan'), 'and so does the IPv6 address');
  },
);
