import fc from 'fast-check';
import assert from 'node:assert/strict';
import t from 'tap';
import { type Mirror, hear } from '../../src/net/mirror.ts';
import type { Command } from '../../src/net/netlink-attributes.ts';
import type { RouteMessage } from '../../src/net/routing-messages.ts';
import { decodeMessages, encodeMessage } from '../../src/net/rtnetlink-messages.ts';
import { routeItem, ruleItem, wantedFromRoute, wantedFromRule } from '../../src/net/wanted-routing.ts';
import { type WantedRoute, type WantedRule, decide, newWant } from '../../src/net/wants.ts';
import { holds } from '../protocol/holds.ts';
import { kernelWith } from './kernels.ts';

const ipv4: WantedRoute = {
  family: 'ipv4',
  to: '0.0.0.0/0',
  via: '192.0.2.254',
  interface: 'eth0',
  source: '192.0.2.1',
  table: 100,
  metric: 5,
  onlink: false,
};

/** As if the kernel had carried it out, and said so. */
function carryOut(mirror: Mirror, command: Command): void {
  for (const message of decodeMessages(encodeMessage(command, 1)).messages) hear(mirror, message);
}

function kernelWithRoute(change: Partial<RouteMessage> = {}): Mirror {
  const mirror = kernelWith();
  carryOut(mirror, routeItem(ipv4).add(mirror));
  for (const [key, route] of mirror.routes) mirror.routes.set(key, { ...route, ...change });
  return mirror;
}

t.test('what is to be done about a route', (t) => {
  const down = kernelWith();
  down.links.set(2, { index: 2, name: 'eth0', mac: '', up: false, adminUp: false, mtu: 1500 });
  const nowhere = kernelWith();
  nowhere.indexes.clear();
  const leave = { type: 'leave' };
  const add = { type: 'add', instead: undefined };
  const replace = { type: 'add', instead: { ours: true, works: false } };
  const table: readonly { name: string; wanted?: Partial<WantedRoute>; mirror: Mirror; decision: object }[] =
    [
      { name: 'it is there', mirror: kernelWithRoute(), decision: leave },
      { name: 'it is missing', mirror: kernelWith(), decision: add },
      {
        name: 'one with another metric is there',
        wanted: { metric: 6 },
        mirror: kernelWithRoute(),
        decision: add,
      },
      {
        name: 'one in another table is there',
        wanted: { table: 101 },
        mirror: kernelWithRoute(),
        decision: add,
      },
      {
        name: 'by another gateway',
        wanted: { via: '192.0.2.253' },
        mirror: kernelWithRoute(),
        decision: replace,
      },
      {
        name: 'by a gateway, to be direct',
        wanted: { via: undefined },
        mirror: kernelWithRoute(),
        decision: replace,
      },
      { name: 'over another interface', mirror: kernelWithRoute({ interfaceIndex: 3 }), decision: replace },
      {
        name: 'over any interface',
        wanted: { interface: undefined },
        mirror: kernelWithRoute({ interfaceIndex: 3 }),
        decision: leave,
      },
      { name: 'it has lost its source', mirror: kernelWithRoute({ source: undefined }), decision: replace },
      { name: 'to be on the link', wanted: { onlink: true }, mirror: kernelWithRoute(), decision: replace },
      { name: 'a blackhole', mirror: kernelWithRoute({ type: 6 }), decision: replace },
      {
        name: 'no such interface',
        mirror: nowhere,
        decision: { type: 'impossible', obstacle: { code: 'ENODEV' } },
      },
      { name: 'it is down', mirror: down, decision: { type: 'impossible', obstacle: { code: 'ENETDOWN' } } },
      {
        name: 'it may be down: the kernel is asked',
        wanted: { interface: undefined },
        mirror: down,
        decision: add,
      },
    ];
  for (const { name, wanted, mirror, decision } of table) {
    t.match(decide(newWant(routeItem({ ...ipv4, ...wanted })), mirror, 0), decision, name);
  }
  t.end();
});

t.test('what is to be done about a rule', (t) => {
  const rule: WantedRule = { family: 'ipv4', iif: 'nowhere', table: 100, preference: 1000 };
  const mirror = kernelWith();
  t.same(decide(newWant(ruleItem(rule)), mirror, 0), { type: 'add', instead: undefined });
  carryOut(mirror, ruleItem(rule).add(mirror));
  t.same(decide(newWant(ruleItem(rule)), mirror, 0), { type: 'leave' });
  for (const other of [{ table: 101 }, { preference: 1001 }, { oif: 'eth0' }, { from: '10.0.0.0/8' }]) {
    t.match(decide(newWant(ruleItem({ ...rule, ...other })), mirror, 0), { type: 'add', instead: undefined });
  }
  t.end();
});

t.test('words', (t) => {
  t.equal(routeItem(ipv4).target, '0.0.0.0/0 via 192.0.2.254 dev eth0 src 192.0.2.1 table 100 metric 5');
  t.equal(
    routeItem({ family: 'ipv6', to: '::/0', via: 'fe80::1', interface: 'eth0', table: 254, onlink: true })
      .target,
    '::/0 via fe80::1 dev eth0 table 254 onlink',
  );
  const rule: WantedRule = { family: 'ipv6', table: 100, preference: 1000 };
  t.equal(ruleItem(rule).target, 'ipv6 from all table 100 preference 1000');
  t.equal(
    ruleItem({
      ...rule,
      from: '2001:db8::/32',
      to: '::1/128',
      fwmark: { value: 16, mask: 255 },
      iif: 'a',
      oif: 'b',
    }).target,
    'ipv6 from 2001:db8::/32 to ::1/128 fwmark 0x10/0xff iif a oif b table 100 preference 1000',
  );
  t.end();
});

const u32 = fc.nat({ max: 0xffffffff });
const interfaceName = fc.constantFrom('eth0', undefined);

t.test('what was added is found, and found to be what was wanted', (t) => {
  const wantedRoutes = fc.record(
    {
      family: fc.constant('ipv6' as const),
      to: fc.constantFrom('::/0', '2001:db8::/32'),
      via: fc.constantFrom('fe80::1', '2001:db8::1', undefined),
      interface: interfaceName,
      source: fc.constantFrom('2001:db8::2', undefined),
      table: u32,
      metric: fc.constantFrom(0, 1, 1024, undefined),
      onlink: fc.boolean(),
    },
    { noNullPrototype: true },
  );
  holds(
    t,
    'routes',
    fc.property(wantedRoutes, (wanted) => {
      const mirror = kernelWith();
      const item = routeItem(wanted);
      carryOut(mirror, item.add(mirror));
      const found = item.find(mirror);
      assert(found?.ours === true && found.works);
      const [route] = mirror.routes.values();
      assert(route !== undefined);
      assert.deepEqual(wantedFromRoute(route, mirror), { ...wanted, metric: wanted.metric ?? 0 });
      assert.equal(routeItem(wantedFromRoute(route, mirror)).key, item.key);
      carryOut(mirror, found.remove());
      assert.equal(item.find(mirror), undefined);
    }),
  );
  const wantedRules = fc.record(
    {
      family: fc.constant('ipv4' as const),
      from: fc.constantFrom('10.0.0.0/8', undefined),
      to: fc.constantFrom('10.0.0.0/8', '192.0.2.1/32', undefined),
      fwmark: fc.option(
        fc.record({ value: u32, mask: fc.integer({ min: 1, max: 0xffffffff }) }, { noNullPrototype: true }),
        { nil: undefined },
      ),
      iif: interfaceName,
      oif: interfaceName,
      table: u32,
      preference: u32,
    },
    { noNullPrototype: true },
  );
  holds(
    t,
    'rules',
    fc.property(wantedRules, (wanted) => {
      const mirror = kernelWith();
      const item = ruleItem(wanted);
      carryOut(mirror, item.add(mirror));
      const found = item.find(mirror);
      assert(found?.ours === true && found.works);
      const [rule] = mirror.rules.values();
      assert(rule !== undefined);
      assert.deepEqual(wantedFromRule(rule), wanted);
      carryOut(mirror, found.remove());
      assert.equal(item.find(mirror), undefined);
    }),
  );
  t.end();
});
