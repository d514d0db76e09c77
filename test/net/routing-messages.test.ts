import fc from 'fast-check';
import {
  formatRouteMessage,
  formatRuleMessage,
  parseRouteMessage,
  parseRuleMessage,
} from 'netlink/dist/rt/structs.js';
import { AttrStream, formatMessage, parseMessages } from 'netlink/dist/structs.js';
import assert from 'node:assert/strict';
import t from 'tap';
import type { Command } from '../../src/net/netlink-attributes.ts';
import {
  type RouteMessage,
  type RuleMessage,
  addRoute,
  addRule,
  deleteRoute,
  deleteRule,
  dumpRoutes,
  dumpRules,
} from '../../src/net/routing-messages.ts';
import { type MessageBody, decodeMessages, encodeMessage } from '../../src/net/rtnetlink-messages.ts';
import { type Family, addressBytes, formatAddress } from '../../src/protocol/address.ts';
import { holds } from '../protocol/holds.ts';

// The judge is the codec of the npm package `netlink`, written by somebody else. What the kernel makes of the messages, and `ip`
// of that, is in test/kernel/routing.test.ts.

const u32 = fc.nat({ max: 0xffffffff });
const octet = fc.nat({ max: 255 });
const name = fc.stringMatching(/^[a-z0-9.]{1,15}$/);

const number = (family: Family): number => (family === 'ipv4' ? 2 : 10);

function optional<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

function addresses(family: Family): fc.Arbitrary<string> {
  const length = family === 'ipv4' ? 4 : 16;
  return fc.uint8Array({ minLength: length, maxLength: length }).map(formatAddress);
}

/** Of length 0 only the one that is everything. */
function prefixes(family: Family): fc.Arbitrary<string> {
  const [longest, everything] = family === 'ipv4' ? [32, '0.0.0.0/0'] : [128, '::/0'];
  return fc.oneof(
    fc.constant(everything),
    fc
      .tuple(addresses(family), fc.integer({ min: 1, max: longest }))
      .map(([address, length]) => `${address}/${length}`),
  );
}

const families = fc.constantFrom<Family>('ipv4', 'ipv6');

const routes: fc.Arbitrary<RouteMessage> = families.chain((family) =>
  fc.record(
    {
      family: fc.constant(family),
      to: prefixes(family),
      table: u32,
      metric: u32,
      via: optional(addresses(family)),
      interfaceIndex: optional(u32),
      source: optional(addresses(family)),
      onlink: fc.boolean(),
      type: octet,
      protocol: octet,
    },
    { noNullPrototype: true },
  ),
);

const rules: fc.Arbitrary<RuleMessage> = families.chain((family) =>
  fc.record(
    {
      family: fc.constant(family),
      from: prefixes(family),
      to: prefixes(family),
      mark: u32,
      mask: u32,
      iif: optional(name),
      oif: optional(name),
      table: u32,
      preference: u32,
      protocol: octet,
    },
    { noNullPrototype: true },
  ),
);

function decoded(command: Command): MessageBody | undefined {
  const { messages, malformed } = decodeMessages(encodeMessage(command, 7));
  assert.equal(malformed, 0);
  const [message, ...more] = messages;
  assert.deepEqual(more, []);
  if (message === undefined) return undefined;
  const { sequence, partOfDump, dumpInterrupted, ...body } = message;
  assert.deepEqual([sequence, partOfDump, dumpInterrupted], [7, false, false]);
  return body;
}

/** As the judge takes a message apart. */
function judged(command: Command): { type: number; flags: number; data: Buffer } {
  const [message, ...more] = parseMessages(Buffer.from(encodeMessage(command, 7)));
  if (message === undefined || more.length > 0) throw new Error('the judge does not see one message');
  return message;
}

function lengthOf(prefix: string): number {
  return Number(prefix.split('/')[1]);
}

function octets(address: string | undefined): Buffer | undefined {
  return address === undefined ? undefined : Buffer.from(addressBytes(address));
}

/** Of length 0: none. */
function prefixOctets(prefix: string): Buffer | undefined {
  return lengthOf(prefix) === 0 ? undefined : octets(prefix.split('/')[0]);
}

function fromJudge(type: number, flags: number, stream: AttrStream): MessageBody | undefined {
  const bytes = Buffer.concat(formatMessage({ type, flags, seq: 7, port: 9, data: stream.bufs }));
  return decodeMessages(bytes).messages[0];
}

t.test('routes', (t) => {
  holds(
    t,
    'come back as they were encoded',
    fc.property(routes, (route) => {
      assert.deepEqual(decoded(addRoute(route)), { type: 'route', gone: false, replaces: false, route });
      const withoutSource = { ...route, source: undefined };
      const body = { type: 'route', gone: true, replaces: false, route: withoutSource };
      assert.deepEqual(decoded(deleteRoute(route)), body, 'which may have lost its source');
    }),
  );
  holds(
    t,
    'are encoded as the judge understands them',
    fc.property(routes, (route) => {
      const { family, to, table, metric, via, interfaceIndex, source, onlink, protocol } = route;
      const add = judged(addRoute(route));
      assert.deepEqual([add.type, add.flags], [24, 0x605]);
      const { data, attrs } = parseRouteMessage(add.data);
      assert.deepEqual(
        [data.family, data.dstLen, data.srcLen, data.tos, data.table],
        [number(family), lengthOf(to), 0, 0, table < 256 ? table : 0],
      );
      assert.equal(add.data[5], protocol);
      assert.equal(add.data[6], via === undefined ? 253 : 0, 'a gateway is further away than its link');
      assert.equal(data.flags?.__unknown, onlink ? 4 : undefined);
      const { dst, oif, gateway, priority, prefsrc, table: whole } = attrs;
      assert.deepEqual(
        { dst, oif, gateway, priority, prefsrc, whole },
        {
          dst: prefixOctets(to),
          oif: interfaceIndex,
          gateway: octets(via),
          priority: metric,
          prefsrc: octets(source),
          whole: table,
        },
      );
      const remove = judged(deleteRoute(route));
      assert.deepEqual([remove.type, remove.flags, remove.data[6]], [25, 0x5, 255], 'of whatever scope');
      assert.equal(parseRouteMessage(remove.data).attrs.prefsrc, undefined);
    }),
  );
  holds(
    t,
    'are understood as the judge encodes them',
    fc.property(routes, fc.boolean(), fc.boolean(), (route, gone, replaces) => {
      const { family, to, table, metric, via, interfaceIndex, source, onlink } = route;
      const stream = new AttrStream();
      const [dst, gateway, prefsrc] = [prefixOctets(to), octets(via), octets(source)];
      formatRouteMessage(
        {
          kind: 'route',
          data: {
            family: number(family),
            dstLen: lengthOf(to),
            table: table < 256 ? table : 252,
            protocol: 'STATIC',
            type: 'UNICAST',
            flags: onlink ? { __unknown: 4 } : {},
          },
          attrs: {
            table,
            priority: metric,
            ...(dst && { dst }),
            ...(gateway && { gateway }),
            ...(prefsrc && { prefsrc }),
            ...(interfaceIndex !== undefined && { oif: interfaceIndex }),
          },
        },
        stream,
      );
      const type = gone ? 25 : 24;
      const message = fromJudge(type, replaces ? 0x100 : 0, stream);
      assert.deepEqual(message, {
        type: 'route',
        gone,
        replaces: replaces && !gone,
        route: { ...route, protocol: 4, type: 1 },
        sequence: 7,
        partOfDump: false,
        dumpInterrupted: false,
      });
    }),
  );
  t.end();
});

t.test('rules', (t) => {
  holds(
    t,
    'come back as they were encoded',
    fc.property(rules, (rule) => {
      assert.deepEqual(decoded(addRule(rule)), { type: 'rule', gone: false, rule });
      assert.deepEqual(decoded(deleteRule(rule)), { type: 'rule', gone: true, rule });
    }),
  );
  holds(
    t,
    'are encoded as the judge understands them',
    fc.property(rules, (rule) => {
      const { family, from, to, mark, mask, iif, oif, table, preference, protocol } = rule;
      const add = judged(addRule(rule));
      assert.deepEqual([add.type, add.flags], [32, 0x605]);
      const remove = judged(deleteRule(rule));
      assert.deepEqual([remove.type, remove.flags], [33, 0x5]);
      assert.deepEqual(remove.data, add.data);
      const { data, attrs } = parseRuleMessage(add.data);
      assert.deepEqual(
        [data.family, data.dstLen, data.srcLen, data.tos, data.table, data.action],
        [number(family), lengthOf(to), lengthOf(from), 0, table < 256 ? table : 0, 'toTbl'],
      );
      const marked = mark !== 0 || mask !== 0;
      const { dst, src, iifname, oifname, priority, fwmark, fwmask, table: whole } = attrs;
      assert.deepEqual(
        { dst, src, iifname, oifname, priority, fwmark, fwmask, whole, protocol: attrs.protocol },
        {
          dst: prefixOctets(to),
          src: prefixOctets(from),
          iifname: iif,
          oifname: oif,
          priority: preference,
          fwmark: marked ? mark : undefined,
          fwmask: marked ? mask : undefined,
          whole: table,
          protocol,
        },
      );
    }),
  );
  holds(
    t,
    'are understood as the judge encodes them',
    fc.property(rules, fc.boolean(), (rule, gone) => {
      const { family, from, to, mark, mask, iif, oif, table, preference, protocol } = rule;
      const stream = new AttrStream();
      const [dst, src] = [prefixOctets(to), prefixOctets(from)];
      formatRuleMessage(
        {
          kind: 'rule',
          data: {
            family: number(family),
            dstLen: lengthOf(to),
            srcLen: lengthOf(from),
            table: table < 256 ? table : 252,
            action: 'toTbl',
            flags: { iifDetached: true },
          },
          attrs: {
            table,
            priority: preference,
            protocol,
            fwmark: mark,
            fwmask: mask,
            ...(dst && { dst }),
            ...(src && { src }),
            ...(iif !== undefined && { iifname: iif }),
            ...(oif !== undefined && { oifname: oif }),
          },
        },
        stream,
      );
      const message = fromJudge(gone ? 33 : 32, 0, stream);
      const frame = { sequence: 7, partOfDump: false, dumpInterrupted: false };
      assert.deepEqual(message, { type: 'rule', gone, rule, ...frame });
    }),
  );
  t.end();
});

t.test('dumps, as the judge understands them', (t) => {
  const some = judged(dumpRoutes('ipv6', 112));
  t.same([some.type, some.flags], [26, 0x301]);
  t.match(parseRouteMessage(some.data), {
    data: { family: 10, dstLen: 0, table: 0 },
    attrs: { table: undefined },
  });
  t.equal(some.data[5], 112);
  const one = judged(dumpRoutes('ipv4', 112, 1000));
  t.match(parseRouteMessage(one.data), { data: { family: 2, table: 0 }, attrs: { table: 1000 } });
  const all = judged(dumpRules('ipv4'));
  t.same([all.type, all.flags], [34, 0x301]);
  t.match(parseRuleMessage(all.data), { data: { family: 2, table: 0 }, attrs: {} });
  t.end();
});

const route: RouteMessage = {
  family: 'ipv4',
  to: '198.51.100.0/24',
  table: 100,
  metric: 5,
  via: '192.0.2.254',
  interfaceIndex: 3,
  source: '192.0.2.1',
  onlink: false,
  type: 1,
  protocol: 112,
};
const rule: RuleMessage = {
  family: 'ipv6',
  from: '2001:db8::/64',
  to: '::/0',
  mark: 0,
  mask: 0,
  iif: 'eth0',
  oif: undefined,
  table: 100,
  preference: 1000,
  protocol: 112,
};

/** The first octets of the message changed. */
function changed(command: Command, change: Readonly<Record<number, number>>): MessageBody | undefined {
  const body = Uint8Array.from(command.body);
  for (const [at, value] of Object.entries(change)) body[Number(at)] = value;
  return decodeMessages(encodeMessage({ ...command, body }, 7)).messages[0];
}

t.test('what could not be ours', (t) => {
  const other = { type: 'other' };
  t.match(changed(addRoute(route), { 0: 28 }), other, 'an MPLS label');
  t.match(changed(addRoute(route), { 2: 8 }), other, 'a route for some sources');
  t.match(changed(addRoute(route), { 3: 8 }), other, 'or for a type of service');
  t.match(changed(addRoute(route), { 9: 2 }), other, 'a cached exception');
  t.match(
    changed(addRoute(route), { 7: 6 }),
    { type: 'route', route: { type: 6 } },
    'but a blackhole replaces',
  );
  t.match(changed(addRule(rule), { 0: 28 }), other);
  t.match(changed(addRule(rule), { 3: 8 }), other, 'a rule for a type of service');
  t.match(changed(addRule(rule), { 7: 6 }), other, 'one that leads to no table');
  t.match(changed(addRule(rule), { 8: 2 }), other, 'or is for everybody else');
  t.end();
});

t.test('several next hops are none', (t) => {
  const stream = new AttrStream();
  formatRouteMessage(
    {
      kind: 'route',
      data: { family: 2, table: 100, protocol: 'STATIC', type: 'UNICAST' },
      attrs: { table: 100, multipath: Buffer.from('080000000300000008000000040000000', 'hex') },
    },
    stream,
  );
  t.match(fromJudge(24, 0, stream), {
    type: 'route',
    route: { to: '0.0.0.0/0', via: undefined, interfaceIndex: undefined },
  });
  t.end();
});

t.test('what makes no sense', (t) => {
  t.notOk(changed(addRoute(route), { 0: 10 }), 'an IPv4 address in an IPv6 route');
  t.notOk(changed(addRule(rule), { 0: 2 }));
  const whole = [
    addRoute(route),
    deleteRoute({ ...route, family: 'ipv6', to: '::/0', via: undefined }),
    addRule(rule),
  ];
  const messages = Buffer.concat(whole.map((command, index) => encodeMessage(command, index)));
  holds(
    t,
    'never throws: octets of good messages changed',
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: messages.length - 1 }), octet), { minLength: 1 }),
      (changes) => {
        const bytes = Buffer.from(messages);
        for (const [at, value] of changes) bytes[at] = value;
        decodeMessages(bytes);
      },
    ),
    2000,
  );
  for (const command of whole) {
    holds(
      t,
      'whatever is in the body is read, left or counted',
      fc.property(fc.uint8Array({ maxLength: 80 }), (body) => {
        const { messages, malformed } = decodeMessages(encodeMessage({ ...command, body }, 1));
        return messages.length + malformed === 1;
      }),
      1000,
    );
  }
  t.end();
});
