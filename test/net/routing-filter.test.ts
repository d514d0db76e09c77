import fc from 'fast-check';
import { endianness } from 'node:os';
import t from 'tap';
import { type Command, flag } from '../../src/net/netlink-attributes.ts';
import { routingFilter } from '../../src/net/routing-filter.ts';
import { type RouteMessage, addRoute, addRule, deleteRoute } from '../../src/net/routing-messages.ts';
import { addAddress, encodeMessage } from '../../src/net/rtnetlink-messages.ts';
import type { Family } from '../../src/protocol/address.ts';
import { holds } from '../protocol/holds.ts';
import { runFilter } from './bpf.ts';

// That the kernel takes the program, and nothing more comes through than it says, is in test/kernel/routing.test.ts.

if (endianness() !== 'LE') t.bailout('the interpreter reads programs of little-endian machines');

function passes(program: Uint8Array, command: Command): boolean {
  return runFilter(program, encodeMessage(command, 1), new Uint8Array(0)) > 0;
}

const foreign: RouteMessage = {
  family: 'ipv4',
  to: '198.51.100.0/24',
  table: 254,
  metric: 0,
  via: '192.0.2.254',
  interfaceIndex: 3,
  source: undefined,
  onlink: false,
  type: 1,
  protocol: 186,
};

t.test('whatever it listens to', (t) => {
  for (const program of [routingFilter([]), routingFilter([{ family: 'ipv6', to: '::/0', table: 254 }])]) {
    t.ok(passes(program, addRoute({ ...foreign, protocol: 112 })), 'what is ours');
    t.ok(passes(program, deleteRoute({ ...foreign, protocol: 112 })));
    t.notOk(passes(program, addRoute(foreign)), "not somebody else's");
    t.notOk(passes(program, deleteRoute(foreign)));
    t.ok(passes(program, { ...addRoute(foreign), flags: flag.multi }), 'unless it was asked for');
    const address = { interfaceIndex: 3, address: '192.0.2.1', peer: '192.0.2.1', prefixLength: 24 };
    const rest = { family: 'ipv4', scope: 0, flags: 0, label: undefined, protocol: undefined } as const;
    t.ok(passes(program, addAddress({ ...address, ...rest })), 'news of addresses');
    const rule = { from: '0.0.0.0/0', to: '0.0.0.0/0', mark: 0, mask: 0, iif: undefined, oif: undefined };
    t.ok(
      passes(program, addRule({ ...rule, family: 'ipv4', table: 254, preference: 1, protocol: 3 })),
      'of rules',
    );
    t.ok(passes(program, { type: 2, flags: 0, body: new Uint8Array(20) }), 'answers');
    t.ok(passes(program, { type: 3, flags: flag.multi, body: new Uint8Array(4) }));
  }
  t.end();
});

t.test('what may stand in the place of a wanted route', (t) => {
  const table = fc.constantFrom(1, 100, 252, 254, 256, 1000, 0xffffffff);
  const route = fc.constantFrom<Family>('ipv4', 'ipv6').chain((family) =>
    fc.record({
      family: fc.constant(family),
      to: fc.constantFrom(
        ...(family === 'ipv4'
          ? ['0.0.0.0/0', '10.0.0.0/8', '11.0.0.0/8']
          : ['::/0', '2001:db8::/32', '::1/128']),
      ),
      table,
    }),
  );
  const head = ({ family, to, table }: Pick<RouteMessage, 'family' | 'to' | 'table'>): string =>
    `${family} ${to.split('/')[1] ?? ''} ${table < 256 ? table : 252}`;
  holds(
    t,
    'passes: of the same family and length, in the same table as far as the head of the message tells',
    fc.property(fc.array(route, { maxLength: 30 }), route, fc.boolean(), (wanted, heard, gone) => {
      const { body, ...rest } = (gone ? deleteRoute : addRoute)({ ...foreign, via: undefined, ...heard });
      const asKernel = Uint8Array.from(body);
      asKernel[4] = heard.table < 256 ? heard.table : 252;
      const expected = wanted.some((each) => head(each) === head(heard));
      return passes(routingFilter(wanted), { ...rest, body: asKernel }) === expected;
    }),
    1000,
  );
  t.end();
});
