import t from 'tap';
import { type Mirror, hear, hearDump, noNews } from '../../src/net/mirror.ts';
import type { RouteMessage, RuleMessage } from '../../src/net/routing-messages.ts';
import { routeKey } from '../../src/net/routing-mirror.ts';
import type { Message } from '../../src/net/rtnetlink-messages.ts';
import { has, kernelWith } from './kernels.ts';

const news = { sequence: 0, partOfDump: false, dumpInterrupted: false };

function route(to: string, more: Partial<RouteMessage> = {}): Extract<Message, { type: 'route' }> {
  const message: RouteMessage = {
    family: to.includes(':') ? 'ipv6' : 'ipv4',
    to,
    table: 100,
    metric: 0,
    via: undefined,
    interfaceIndex: 2,
    source: undefined,
    onlink: false,
    type: 1,
    protocol: 112,
    ...more,
  };
  return { ...news, type: 'route', gone: false, replaces: false, route: message };
}

function rule(preference: number, more: Partial<RuleMessage> = {}): Extract<Message, { type: 'rule' }> {
  const selectors = { from: '0.0.0.0/0', to: '0.0.0.0/0', mark: 0, mask: 0, iif: undefined, oif: undefined };
  const message: RuleMessage = {
    family: 'ipv4',
    ...selectors,
    table: 100,
    preference,
    protocol: 112,
    ...more,
  };
  return { ...news, type: 'rule', gone: false, rule: message };
}

function link(flags: number, index = 2): Message {
  const attributes = { mac: '', mtu: 1500, operState: 6, promoteSecondaries: false };
  return {
    ...news,
    type: 'link',
    gone: false,
    link: { index, flags, name: `eth${index - 2}`, ...attributes },
  };
}

function addressGone(address: string): Message {
  const family = address.includes(':') ? 'ipv6' : 'ipv4';
  const rest = { scope: 0, flags: 0, label: undefined, protocol: 112 };
  const prefixLength = family === 'ipv6' ? 64 : 24;
  const message = { interfaceIndex: 2, family, address, peer: address, prefixLength, ...rest } as const;
  return { ...news, type: 'address', gone: true, address: message };
}

function gone<T extends Message>(message: T): T {
  return { ...message, gone: true };
}

function heard(mirror: Mirror, ...messages: readonly Message[]): Mirror {
  for (const message of messages) hear(mirror, message);
  return mirror;
}

function contents({ routes, rules }: Mirror): string[] {
  return [
    ...[...routes.values()].map(({ to }) => to),
    ...[...rules.values()].map(({ preference }) => `${preference}`),
  ];
}

const up = 0x10001;

t.test('ours are known as they come, change and go', (t) => {
  const mirror = kernelWith();
  t.ok(hear(mirror, route('0.0.0.0/0')));
  t.notOk(hear(mirror, route('0.0.0.0/0')), 'nothing new');
  t.ok(hear(mirror, route('0.0.0.0/0', { via: '192.0.2.1' })));
  t.ok(hear(mirror, route('0.0.0.0/0', { metric: 5 })), 'another one');
  t.ok(hear(mirror, route('0.0.0.0/0', { table: 101 })), 'and another one');
  t.equal(mirror.routes.size, 3);
  t.ok(hear(mirror, gone(route('0.0.0.0/0', { metric: 5 }))));
  t.notOk(hear(mirror, gone(route('0.0.0.0/0', { metric: 5 }))));
  t.ok(hear(mirror, rule(1000)));
  t.notOk(hear(mirror, rule(1000)));
  t.ok(hear(mirror, rule(1000, { iif: 'eth0' })));
  t.ok(hear(mirror, gone(rule(1000))));
  t.notOk(hear(mirror, gone(rule(1000))));
  t.same(contents(mirror), ['0.0.0.0/0', '0.0.0.0/0', '1000']);
  t.equal(
    routeKey({ family: 'ipv6', to: '::/0', table: 1, metric: 0 }),
    '::/0 table 1 metric 1024',
    'as IPv6 has it',
  );
  t.end();
});

t.test('those of others are not', (t) => {
  const mirror = heard(kernelWith(), route('0.0.0.0/0'), rule(1000));
  const theirs = { protocol: 4 };
  t.notOk(hear(mirror, route('10.0.0.0/8', theirs)));
  t.notOk(hear(mirror, route('0.0.0.0/0', theirs)), 'behind ours');
  t.notOk(hear(mirror, gone(route('0.0.0.0/0', theirs))));
  t.notOk(hear(mirror, rule(1000, theirs)), 'beside ours');
  t.notOk(hear(mirror, gone(rule(1000, theirs))));
  t.notOk(hear(mirror, { ...route('10.0.0.0/8', theirs), replaces: true }));
  t.same(contents(mirror), ['0.0.0.0/0', '1000']);
  t.ok(hear(mirror, { ...route('0.0.0.0/0', theirs), replaces: true }), 'in the place of ours');
  t.same(contents(mirror), ['1000']);
  t.end();
});

t.test('what goes without a word', (t) => {
  const all = [
    route('10.0.0.0/8', { source: '192.0.2.1', interfaceIndex: 3 }),
    route('10.0.0.0/16'),
    route('10.0.0.0/24', { interfaceIndex: 3 }),
    route('2001:db8::/32', { source: '2001:db8::1', interfaceIndex: 3 }),
    route('2001:db8::/48'),
    rule(1000, { iif: 'eth0' }),
  ];
  const table: readonly { name: string; message: Message; left: readonly string[]; sources?: number }[] = [
    {
      name: 'nothing',
      message: link(up),
      left: ['10.0.0.0/8', '10.0.0.0/16', '10.0.0.0/24', '2001:db8::/32', '2001:db8::/48', '1000'],
    },
    {
      name: 'with a link that goes down',
      message: link(0),
      left: ['10.0.0.0/8', '10.0.0.0/24', '2001:db8::/32', '1000'],
    },
    {
      name: 'with a link that goes away',
      message: gone(link(up)),
      left: ['10.0.0.0/8', '10.0.0.0/24', '2001:db8::/32', '1000'],
    },
    {
      name: 'with its source',
      message: addressGone('192.0.2.1'),
      left: ['10.0.0.0/16', '10.0.0.0/24', '2001:db8::/32', '2001:db8::/48', '1000'],
    },
    {
      name: 'of an IPv6 route only its source',
      message: addressGone('2001:db8::1'),
      left: ['10.0.0.0/8', '10.0.0.0/16', '10.0.0.0/24', '2001:db8::/32', '2001:db8::/48', '1000'],
      sources: 1,
    },
  ];
  for (const {
    name,
    message,
    left,
    sources = left.filter((to) => to === '10.0.0.0/8' || to === '2001:db8::/32').length,
  } of table) {
    const mirror = heard(kernelWith(has('192.0.2.1'), has('192.0.2.2'), has('2001:db8::1')), ...all);
    hear(mirror, message);
    t.same(contents(mirror), left, name);
    t.equal([...mirror.routes.values()].filter(({ source }) => source !== undefined).length, sources);
  }
  const mirror = heard(kernelWith(has('192.0.2.1'), has('2001:db8::1')), ...all, addressGone('192.0.2.1'));
  t.same(
    contents(mirror),
    ['10.0.0.0/24', '2001:db8::/32', '2001:db8::/48', '1000'],
    'with the last IPv4 address',
  );
  const twice = heard(kernelWith(has('192.0.2.1'), has('192.0.2.1', { prefixLength: 32 })), ...all);
  t.ok(hear(twice, addressGone('192.0.2.1')));
  t.equal(contents(twice).length, 6, 'not where the address is still there');
  t.end();
});

t.test('a dump', (t) => {
  const mirror = heard(kernelWith(), route('10.0.0.0/8'), route('10.0.0.0/16'), rule(1000), rule(1001));
  const dump = [
    link(up),
    route('10.0.0.0/16'),
    route('10.0.0.0/24'),
    route('0.0.0.0/0', { protocol: 4 }),
    rule(1001),
    rule(1002),
  ];
  hearDump(mirror, dump, noNews());
  t.same(contents(mirror), ['10.0.0.0/16', '10.0.0.0/24', '1001', '1002'], 'is all there is');
  t.end();
});

t.test('news that come while the tables are being dumped', (t) => {
  const mirror = heard(kernelWith(), route('10.0.0.0/8'));
  const since = noNews();
  const came = [
    gone(route('10.0.0.0/8')),
    route('10.0.0.0/16', { interfaceIndex: 3 }),
    { ...route('10.0.0.0/24', { protocol: 4 }), replaces: true },
    gone(route('10.1.0.0/24', { protocol: 4 })),
    gone(rule(1000)),
    link(0),
    link(up),
  ];
  for (const message of came) hear(mirror, message, since);
  const elsewhere = { interfaceIndex: 3 };
  const dump = [
    link(up),
    link(up, 3),
    route('10.0.0.0/8', elsewhere),
    route('10.0.0.0/24', elsewhere),
    route('10.1.0.0/24', elsewhere),
    route('10.2.0.0/24'),
    rule(1000),
  ];
  hearDump(mirror, dump, since);
  t.same(contents(mirror), ['10.0.0.0/16', '10.1.0.0/24'], 'are newer than the dump');
  t.end();
});
