import t from 'tap';
import { type Mirror, addressKey, emptyMirror, hear, hearDump, noNews } from '../../src/net/mirror.ts';
import type { AddressMessage, LinkMessage, Message } from '../../src/net/rtnetlink-messages.ts';

const upAndRunning = 0x10001;
const news = { sequence: 0, partOfDump: false, dumpInterrupted: false };

function link(index: number, name: string, more: Partial<LinkMessage> = {}): Message {
  const attributes = { mac: '02:00:00:00:00:01', mtu: 1500, operState: 6, promoteSecondaries: false };
  return {
    ...news,
    type: 'link',
    gone: false,
    link: { index, flags: upAndRunning, name, ...attributes, ...more },
  };
}

function address(interfaceIndex: number, text: string, more: Partial<AddressMessage> = {}): Message {
  const message: AddressMessage = {
    interfaceIndex,
    family: text.includes(':') ? 'ipv6' : 'ipv4',
    address: text,
    peer: text,
    prefixLength: 24,
    scope: 0,
    flags: 0,
    label: undefined,
    protocol: undefined,
    ...more,
  };
  return { ...news, type: 'address', gone: false, address: message };
}

function gone(message: Message): Message {
  return message.type === 'link' || message.type === 'address' ? { ...message, gone: true } : message;
}

function heard(...messages: readonly Message[]): Mirror {
  const mirror = emptyMirror();
  for (const message of messages) hear(mirror, message);
  return mirror;
}

function contents(mirror: Mirror): string[] {
  const names = [...mirror.links.values()].map(({ name }) => name);
  const addresses = [...mirror.addresses].flatMap(([index, each]) =>
    [...each.keys()].map((key) => `${index} ${key}`),
  );
  return [...names, ...addresses];
}

t.test('whether a link is up', (t) => {
  const table: readonly { name: string; message: Partial<LinkMessage>; up: boolean; adminUp: boolean }[] = [
    { name: 'up', message: {}, up: true, adminUp: true },
    { name: 'a driver that does not tell', message: { operState: 0 }, up: true, adminUp: true },
    { name: 'no carrier', message: { flags: 0x1, operState: 2 }, up: false, adminUp: true },
    { name: 'carrier, but the layer below is down', message: { operState: 3 }, up: false, adminUp: true },
    { name: 'carrier, but 802.1X has not let us in', message: { operState: 5 }, up: false, adminUp: true },
    { name: 'down', message: { flags: 0, operState: 2 }, up: false, adminUp: false },
    {
      name: 'down, and the driver does not tell',
      message: { flags: 0x10000, operState: 0 },
      up: false,
      adminUp: false,
    },
  ];
  for (const { name, message, up, adminUp } of table) {
    t.match(heard(link(2, 'eth0', message)).links.get(2), { up, adminUp }, name);
  }
  t.end();
});

t.test('a message without all of the attributes changes only what it tells', (t) => {
  const mirror = heard(link(2, 'eth0'));
  const nothing = { mac: undefined, mtu: undefined, operState: undefined, promoteSecondaries: undefined };
  t.notOk(hear(mirror, link(2, 'eth0', nothing)), 'nothing here');
  t.ok(hear(mirror, link(2, 'eth0', { ...nothing, flags: 0 })));
  t.strictSame(mirror.links.get(2), {
    index: 2,
    name: 'eth0',
    mac: '02:00:00:00:00:01',
    up: false,
    adminUp: false,
    mtu: 1500,
  });
  t.end();
});

t.test('names', (t) => {
  const mirror = heard(link(2, 'eth0'), link(2, 'wan'), link(3, 'eth0'));
  t.same(
    [...mirror.indexes],
    [
      ['wan', 2],
      ['eth0', 3],
    ],
    'one renamed, another takes its name',
  );
  hear(mirror, link(3, 'lan'));
  hear(mirror, link(2, 'eth0'));
  hear(mirror, gone(link(3, 'lan')));
  t.same([...mirror.indexes], [['eth0', 2]]);
  t.end();
});

t.test('addresses', (t) => {
  const secondary = 0x01;
  const mirror = heard(
    address(2, '192.0.2.1', { label: 'eth0:vip', scope: 253, protocol: 112 }),
    address(2, '192.0.2.2', { flags: secondary, scope: 77, protocol: 2 }),
    address(2, '2001:db8::1', { flags: secondary | 0x48 }),
    address(2, '10.0.0.1', { prefixLength: 32, peer: '10.0.0.2' }),
    address(2, '10.0.0.1', { prefixLength: 32, peer: '10.0.0.3' }),
  );
  const all = mirror.addresses.get(2);
  t.equal(all?.size, 5);
  const flags = { secondary: false, tentative: false, dadFailed: false, ours: false };
  t.match(all?.get('192.0.2.1/24'), { ...flags, label: 'eth0:vip', scope: 'link', ours: true });
  t.match(all?.get('192.0.2.2/24'), { ...flags, scope: '77', secondary: true });
  t.match(
    all?.get('2001:db8::1/24'),
    { ...flags, tentative: true, dadFailed: true },
    'IPv6 has temporary ones instead',
  );
  t.ok(all?.has(addressKey('10.0.0.1', 32, '10.0.0.3')));
  t.notOk(hear(mirror, address(2, '192.0.2.2', { flags: secondary, scope: 77, protocol: 2 })), 'nothing new');
  t.ok(hear(mirror, address(2, '192.0.2.2')), 'promoted');
  t.ok(hear(mirror, gone(address(2, '10.0.0.1', { prefixLength: 32, peer: '10.0.0.2' }))));
  t.notOk(hear(mirror, gone(address(9, '192.0.2.1'))), 'one we never heard of');
  t.equal(all?.size, 4);
  hear(mirror, gone(link(2, 'eth0')));
  t.same(contents(mirror), [], 'go with their link');
  t.end();
});

t.test('a dump', (t) => {
  const mirror = heard(
    link(2, 'eth0'),
    link(3, 'eth1'),
    address(2, '192.0.2.1'),
    address(2, '192.0.2.2'),
    address(3, '192.0.2.3'),
  );
  hearDump(
    mirror,
    [link(1, 'lo'), link(2, 'eth0'), address(2, '192.0.2.2'), address(2, '192.0.2.4')],
    noNews(),
  );
  t.same(contents(mirror), ['eth0', 'lo', '2 192.0.2.2/24', '2 192.0.2.4/24'], 'is all there is');
  t.same([...mirror.indexes.keys()].sort(), ['eth0', 'lo']);
  t.end();
});

t.test('news that come while the tables are being dumped', (t) => {
  const mirror = heard(link(2, 'eth0'), address(2, '192.0.2.1'));
  const came = [
    gone(address(2, '192.0.2.1')),
    address(2, '192.0.2.2'),
    link(2, 'eth0', { mtu: 9000 }),
    link(3, 'eth1'),
    gone(link(4, 'eth2')),
  ];
  const since = noNews();
  for (const message of came) hear(mirror, message, since);
  hearDump(mirror, [link(2, 'eth0'), link(4, 'eth2'), address(2, '192.0.2.1')], since);
  t.same(contents(mirror), ['eth0', 'eth1', '2 192.0.2.2/24'], 'are newer than the dump');
  t.equal(mirror.links.get(2)?.mtu, 9000);
  t.end();
});
