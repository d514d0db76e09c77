import t, { type Test } from 'tap';
import type { Holdings, WantedRoute, WantedRule } from '../../src/net/kernel.ts';
import type { Native } from '../../src/net/native.ts';
import { align, littleEndian, viewOf } from '../../src/net/netlink-attributes.ts';
import { inNamespace, shell } from '../bench/in-namespace.ts';
import { native, open, pair, wanted } from './watched-kernel.ts';

function route(to: string, more: Partial<WantedRoute>): WantedRoute {
  return { family: to.includes(':') ? 'ipv6' : 'ipv4', to, table: 254, onlink: false, ...more };
}

function rule(more: Partial<WantedRule>): WantedRule {
  return { family: 'ipv4', table: 100, preference: 1000, ...more };
}

function holdings(more: Partial<Holdings>): Holdings {
  return { addresses: [], routes: [], rules: [], ...more };
}

/** Lines of `ip route` or `ip rule` that carry our mark, without it. */
function ours(command: string): string[] {
  const lines = shell(command).split('\n');
  return lines.flatMap((line) => (line.includes('proto 112') ? [line.replace(' proto 112', '').trim()] : []));
}

function routes(family: '-4' | '-6' = '-4'): string[] {
  return ours(`ip -d ${family} route show table all`).map((line) =>
    line.replace(/^unicast /, '').replace(' table main', ''),
  );
}

const changes = new Map([
  [20, '+address'],
  [21, '-address'],
  [24, '+route'],
  [25, '-route'],
  [32, '+rule'],
  [33, '-rule'],
]);

/** The addon, and what each datagram changes: `2 +address, 1 +route`. */
function listening(): { addon: Native; datagrams: string[] } {
  const datagrams: string[] = [];
  const send: Native['send'] = (fd, bytes, ...rest) => {
    const parts: { change: string; times: number }[] = [];
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; at += align(view.getUint32(at, littleEndian))) {
      const change = changes.get(view.getUint16(at + 4, littleEndian));
      const last = parts.at(-1);
      if (change !== undefined && change === last?.change) last.times += 1;
      else if (change !== undefined) parts.push({ change, times: 1 });
    }
    if (parts.length > 0) datagrams.push(parts.map(({ times, change }) => `${times} ${change}`).join(', '));
    return native.send(fd, bytes, ...rest);
  };
  return { addon: { ...native, send }, datagrams };
}

/** A host with an uplink, its addresses, routes and rules, as one with two providers would have them. */
function uplink(t: Test, name: string): Holdings {
  pair(t, name);
  return {
    addresses: [wanted(name, '192.0.2.1/24'), wanted(name, '2001:db8::1/64')],
    routes: [
      route('0.0.0.0/0', { via: '192.0.2.254', source: '192.0.2.1', table: 100 }),
      route('198.51.100.0/24', { via: '203.0.113.9', interface: name, onlink: true, metric: 50 }),
      route('203.0.113.0/24', { interface: name, table: 1000 }),
      route('::/0', { via: '2001:db8::fe', source: '2001:db8::1', table: 100 }),
      route('2001:db8:1::/48', { via: '2001:db8:ffff::1', interface: name, onlink: true, metric: 50 }),
      route('2001:db8:2::/48', { via: 'fe80::1', interface: name, table: 1000 }),
    ],
    rules: [
      rule({ from: '192.0.2.0/24' }),
      rule({ to: '198.51.100.0/24', iif: 'nowhere', oif: name, table: 1000, preference: 1001 }),
      rule({ fwmark: { value: 0x10, mask: 0xff }, preference: 1002 }),
      rule({ fwmark: { value: 0, mask: 0xff00 }, preference: 1002 }),
      rule({ family: 'ipv6', from: '2001:db8::/64' }),
    ],
  };
}

const all = (outcomes: Holdings): object => ({
  addresses: outcomes.addresses.map((wanted) => ({ wanted, ok: true })),
  routes: outcomes.routes.map((wanted) => ({ wanted, ok: true })),
  rules: outcomes.rules.map((wanted) => ({ wanted, ok: true })),
});

inNamespace(import.meta.url, () => {
  shell('ip link set lo up');

  t.test('claims and releases', async (t) => {
    const mine = uplink(t, 'hvr-claim');
    const { addon, datagrams } = listening();
    const { kernel, heard } = await open(t, addon);
    t.same(await kernel.claimAll('edge', mine), all(mine));
    t.same(routes('-4'), [
      'default via 192.0.2.254 dev hvr-claim table 100 scope global src 192.0.2.1',
      '203.0.113.0/24 dev hvr-claim table 1000 scope link',
      '198.51.100.0/24 via 203.0.113.9 dev hvr-claim scope global metric 50 onlink',
    ]);
    t.same(routes('-6').sort(), [
      '2001:db8:1::/48 via 2001:db8:ffff::1 dev hvr-claim scope global metric 50 onlink pref medium',
      '2001:db8:2::/48 via fe80::1 dev hvr-claim table 1000 scope global metric 1024 pref medium',
      'default via 2001:db8::fe dev hvr-claim table 100 scope global src 2001:db8::1 metric 1024 pref medium',
    ]);
    t.same(ours('ip rule'), [
      '1000:	from 192.0.2.0/24 lookup 100',
      '1001:	from all to 198.51.100.0/24 iif nowhere [detached] oif hvr-claim lookup 1000',
      '1002:	from all fwmark 0x10/0xff lookup 100',
      '1002:	from all fwmark 0/0xff00 lookup 100',
    ]);
    t.same(ours('ip -6 rule'), ['1000:	from 2001:db8::/64 lookup 100']);
    t.ok(
      mine.routes.every((each) => kernel.presentRoute(each)),
      'known to be there at once',
    );
    t.ok(mine.rules.every((each) => kernel.presentRule(each)));
    t.same(datagrams.splice(0), ['2 +address, 6 +route, 5 +rule'], 'in one datagram');

    t.same(await kernel.claimAll('edge', mine), all(mine));
    t.same(datagrams, [], 'safe to repeat');
    await kernel.claimAll('lan', holdings({ routes: mine.routes.slice(0, 1) }));
    await kernel.claimAll('edge', { ...mine, routes: [], rules: mine.rules.slice(0, 1) });
    t.same(datagrams.splice(0), ['4 -rule, 5 -route'], 'a claim replaces the last one');
    t.same(
      [routes('-4').length, routes('-6').length, ours('ip rule').length, ours('ip -6 rule').length],
      [1, 0, 1, 0],
      'but for what somebody else wants still',
    );
    await kernel.release('lan');
    t.notOk(kernel.presentRoute(route('0.0.0.0/0', { table: 100 })));
    await kernel.claimAll('edge', mine);
    datagrams.length = 0;
    await kernel.release('edge');
    t.same(datagrams, ['5 -rule, 6 -route, 2 -address'], 'the other way round');
    t.same([...routes('-4'), ...routes('-6'), ...ours('ip rule'), ...ours('ip -6 rule')], []);
    t.ok(heard.every(({ type }) => type === 'change'));
  });

  t.test('several claims in one turn of the loop', async (t) => {
    const mine = uplink(t, 'hvr-turn');
    const { addon, datagrams } = listening();
    const { kernel } = await open(t, addon);
    const routing = kernel.claimAll('group', { ...mine, addresses: [] });
    const addresses = kernel.claim('group/wan', mine.addresses);
    t.same(
      { ...(await routing), addresses: await addresses },
      all(mine),
      'routes find their addresses, whoever claimed first',
    );
    await Promise.all([kernel.release('group/wan'), kernel.release('group')]);
    t.same(datagrams, ['2 +address, 6 +route, 5 +rule', '5 -rule, 6 -route, 2 -address']);
  });

  t.test('what is claimed anew otherwise is changed', async (t) => {
    pair(t, 'hvr-change');
    const { kernel, heard } = await open(t);
    const addresses = [wanted('hvr-change', '192.0.2.1/24'), wanted('hvr-change', '2001:db8::1/64')];
    for (const [to, first, second] of [
      ['0.0.0.0/0', '192.0.2.253', '192.0.2.254'],
      ['::/0', '2001:db8::fd', '2001:db8::fe'],
    ] as const) {
      const before = route(to, { via: first, table: 100 });
      const after = route(to, { via: second, table: 100 });
      await kernel.claimAll('edge', holdings({ addresses, routes: [before] }));
      t.ok(kernel.presentRoute(before));
      t.notOk(kernel.presentRoute(after));
      await kernel.claimAll('edge', holdings({ addresses, routes: [after] }));
      t.match(routes(to === '::/0' ? '-6' : '-4'), [`via ${second} dev hvr-change`]);
    }
    t.ok(heard.every(({ type }) => type === 'change'));
    await kernel.release('edge');
  });

  t.test('what another program removes is back before anybody is told', async (t) => {
    const mine = uplink(t, 'hvr-back');
    const seen: boolean[] = [];
    const { kernel, until, routingRestored, restored, troubles } = await open(t, native, () => {
      seen.push([...routes('-4'), ...routes('-6'), ...ours('ip rule'), ...ours('ip -6 rule')].length === 11);
    });
    await kernel.claimAll('edge', mine);
    seen.length = 0;
    shell('ip route flush table 100; ip -6 route flush table 1000; ip route del 198.51.100.0/24');
    await until(() => routingRestored().length === 3);
    t.same(routingRestored(), [
      '0.0.0.0/0 via 192.0.2.254 src 192.0.2.1 table 100',
      '198.51.100.0/24 via 203.0.113.9 dev hvr-back table 254 metric 50 onlink',
      '2001:db8:2::/48 via fe80::1 dev hvr-back table 1000',
    ]);
    shell('ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default');
    await until(() => routingRestored().length === 7);
    t.equal(routingRestored().at(-1), 'ipv4 from all fwmark 0x0/0xff00 table 100 preference 1002');
    t.ok(seen.length > 0 && seen.every(Boolean), 'somebody was told, when it was back already');
    t.same(restored(), []);

    seen.length = 0;
    shell('ip addr flush dev hvr-back');
    await until(() => routingRestored().length === 11);
    t.same(restored(), ['192.0.2.1', '2001:db8::1']);
    t.match(
      routingRestored().slice(7),
      [/^0.0.0.0\/0/, /^198/, /^203/, /^::/],
      'and what went without a word, or lost its source',
    );
    t.match(routes('-6'), [/default via .* src 2001:db8::1 /]);
    t.ok(seen.length > 0 && seen.every(Boolean));
    t.same(troubles(), []);
    await kernel.release('edge');
  });

  t.test('only a source goes', async (t) => {
    pair(t, 'hvr-source');
    shell('ip addr add 192.0.2.7/24 dev hvr-source; ip addr add 2001:db8::7/64 dev hvr-source nodad');
    const { kernel, until, routingRestored, restored, troubles } = await open(t);
    const addresses = [wanted('lo', '198.51.100.1/32'), wanted('lo', '2001:db8:ffff::1/128')];
    const sourced = [
      route('203.0.113.0/24', { via: '192.0.2.254', source: '198.51.100.1' }),
      route('::/0', { via: '2001:db8::fe', source: '2001:db8:ffff::1', table: 100 }),
      route('0.0.0.0/0', { via: '192.0.2.254', source: '198.51.100.1', table: 100 }),
    ];
    t.ok(
      (await kernel.claimAll('edge', holdings({ addresses, routes: sourced }))).routes.every(({ ok }) => ok),
    );
    shell('ip addr del 198.51.100.1/32 dev lo; ip addr del 2001:db8:ffff::1/128 dev lo');
    await until(() => restored().length === 2 && sourced.every((each) => kernel.presentRoute(each)));
    t.equal(routingRestored().length, 2, 'an IPv4 route outside of the main table survives it');
    t.match(routes('-4'), [/^default .* src 198.51.100.1/, /^203.0.113.0.* src 198.51.100.1/]);
    t.match(routes('-6'), [/src 2001:db8:ffff::1/]);
    t.same(troubles(), []);
    await kernel.release('edge');
  });

  t.test('an interface goes down and up, and is made anew', async (t) => {
    const { kernel, until, routingRestored, troubles } = await open(t);
    const mine = uplink(t, 'hvr-down');
    await kernel.claimAll('edge', mine);
    shell('ip link set hvr-down down');
    await until(() => mine.routes.every((each) => !kernel.presentRoute(each)));
    t.same([...routes('-4'), ...routes('-6')], [], 'the kernel has none of them');
    t.ok(
      mine.rules.every((each) => kernel.presentRule(each)),
      'rules know no links',
    );
    const [refused] = (await kernel.claimAll('edge', mine)).routes.slice(1);
    t.match(refused, {
      ok: false,
      error: {
        code: 'ENETDOWN',
        message:
          /^add route 198.51.100.0\/24 via .* metric 50 onlink: ENETDOWN \(the interface is set down\)$/,
      },
    });
    shell('ip link set hvr-down up');
    await until(() => mine.routes.every((each) => kernel.presentRoute(each)));
    t.equal(routes('-4').length + routes('-6').length, 6);
    shell('ip link del hvr-down');
    await until(() => kernel.link('hvr-down') === undefined);
    t.notOk(mine.routes.some((each) => kernel.presentRoute(each)));
    pair(t, 'hvr-down');
    await until(() => routingRestored().length === 12);
    t.ok(mine.routes.every((each) => kernel.presentRoute(each)));
    t.equal(routes('-4').length + routes('-6').length, 6);
    t.notOk(troubles().some((trouble) => trouble.type !== 'refused'));
    await kernel.release('edge');
  });

  t.test('a link that goes down and up before we hear of it', async (t) => {
    const mine = uplink(t, 'hvr-flap');
    const { kernel, until, routingRestored } = await open(t);
    await kernel.claimAll('edge', mine);
    shell('ip link set hvr-flap down; ip link set hvr-flap up');
    await until(() => routingRestored().length >= 6);
    t.equal(routes('-4').length + routes('-6').length, 6);
    t.ok(mine.routes.every((each) => kernel.presentRoute(each)));
    await kernel.release('edge');
  });

  t.test('while the tables are being read', async (t) => {
    const mine = uplink(t, 'hvr-look');
    const first = await open(t);
    await first.kernel.claimAll('edge', mine);
    first.kernel.close();
    const getRule = 34;
    let flaps = 1;
    const send: Native['send'] = (fd, bytes, ...rest) => {
      // The routes have been read, those of IPv4 at least.
      if (bytes.subarray(4, 6).includes(getRule) && flaps > 0) {
        flaps -= 1;
        shell('ip link set hvr-look down; ip link set hvr-look up');
      }
      return native.send(fd, bytes, ...rest);
    };
    const { kernel } = await open(t, { ...native, send });
    t.notOk(
      mine.routes.some((each) => kernel.presentRoute(each)),
      'what goes meanwhile without a word is not believed to be there',
    );
    t.ok((await kernel.claimAll('edge', mine)).routes.every(({ ok }) => ok));
    t.equal(routes('-4').length + routes('-6').length, 6);
    await kernel.release('edge');
  });

  t.test("somebody else's routes", async (t) => {
    pair(t, 'hvr-alien');
    shell(`ip addr add 192.0.2.7/24 dev hvr-alien; ip addr add 2001:db8::7/64 dev hvr-alien nodad
           ip route add default via 192.0.2.200 table 100; ip -6 route add default via 2001:db8::200 table 1000`);
    const { kernel, until, routingRestored, troubles } = await open(t);
    const mine = [
      route('0.0.0.0/0', { via: '192.0.2.254', table: 100 }),
      route('::/0', { via: '2001:db8::fe', table: 1000 }),
    ];
    const words =
      /another program has a route there with the same metric: remove it, or give this one another metric/;
    t.match((await kernel.claimAll('edge', holdings({ routes: mine }))).routes, [
      { ok: false, error: { code: 'EEXIST', message: words } },
      { ok: false, error: { code: 'EEXIST', message: words } },
    ]);
    t.notOk(mine.some((each) => kernel.presentRoute(each)));
    shell('ip route del default table 100; ip -6 route del default table 1000');
    await until(() => routingRestored().length === 2);
    t.ok(
      mine.every((each) => kernel.presentRoute(each)),
      'put in when they have gone',
    );
    t.same(troubles(), []);
    shell(`ip route replace default via 192.0.2.200 table 100
           ip -6 route replace default via 2001:db8::200 table 1000`);
    await until(() => troubles().length === 2);
    t.match(troubles(), [
      { type: 'refused', target: '0.0.0.0/0 via 192.0.2.254 table 100', error: { code: 'EEXIST' } },
      { type: 'refused', error: { code: 'EEXIST' } },
    ]);
    t.notOk(
      mine.some((each) => kernel.presentRoute(each)),
      'replaced: the kernel does not say that ours has gone',
    );
    await kernel.release('edge');
    t.match(shell('ip route show table 100'), /via 192.0.2.200/, 'and theirs stays');
    shell('ip route append default via 192.0.2.201 table 100');
    await kernel.claimAll('edge', holdings({ routes: mine }));
    shell('ip route flush table 100; ip -6 route flush table 1000');
    await until(() => mine.every((each) => kernel.presentRoute(each)));
    await kernel.release('edge');
  });

  t.test("somebody else's rules", async (t) => {
    shell('ip rule add from 192.0.2.0/24 lookup 100 pref 1000');
    t.teardown(() => shell('ip rule del from 192.0.2.0/24 lookup 100 pref 1000 2>/dev/null || true'));
    const { kernel, troubles } = await open(t);
    const mine = [rule({ from: '192.0.2.0/24' })];
    const [outcome] = (await kernel.claimAll('edge', holdings({ rules: mine }))).rules;
    // Linux has compared the protocols too since it knows them: there can be one of each.
    t.ok(outcome?.ok);
    await kernel.release('edge');
    t.same(ours('ip rule'), []);
    t.match(shell('ip rule'), /from 192.0.2.0\/24 lookup 100/);
    t.same(troubles(), []);
    await kernel.release('edge');
  });

  t.test('rules of which the kernel would take one for the other', async (t) => {
    const { kernel } = await open(t);
    const narrow = rule({ from: '192.0.2.0/24', iif: 'lo' });
    const broad = rule({ from: '192.0.2.0/24' });
    await kernel.claimAll('edge', holdings({ rules: [narrow, broad] }));
    await kernel.claimAll('edge', holdings({ rules: [narrow] }));
    t.same(ours('ip rule'), ['1000:	from 192.0.2.0/24 iif lo lookup 100']);
    await kernel.claimAll('edge', holdings({ rules: [narrow, broad] }));
    await kernel.release('edge');
    t.same(ours('ip rule'), []);
  });

  t.test('a gateway that nothing leads to yet', async (t) => {
    pair(t, 'hvr-gate');
    const { kernel, until, routingRestored, troubles } = await open(t);
    const mine = [
      route('198.51.100.0/24', { via: '192.0.2.254' }),
      route('2001:db8:1::/48', { via: '2001:db8::fe' }),
      route('203.0.113.0/24', { via: '10.0.0.1' }),
    ];
    const refused = (await kernel.claimAll('edge', holdings({ routes: mine }))).routes;
    t.match(refused, [
      { ok: false, error: { code: 'ENETUNREACH', message: /Nexthop has invalid gateway/ } },
      {
        ok: false,
        error: { code: 'EHOSTUNREACH', message: /no interface of this host leads to the gateway/ },
      },
      { ok: false, error: { code: 'ENETUNREACH' } },
    ]);
    shell('ip addr add 192.0.2.7/24 dev hvr-gate; ip addr add 2001:db8::7/64 dev hvr-gate nodad');
    await until(() => routingRestored().length === 2);
    // Of this nobody sends word to us.
    shell('ip route add 10.0.0.1/32 dev hvr-gate');
    await until(() => routingRestored().length === 3);
    t.ok(mine.every((each) => kernel.presentRoute(each)));
    t.same(troubles(), [], 'the claim had said so');
    await kernel.release('edge');
  });

  t.test('a program that does not stop', async (t) => {
    const { kernel, until, routingRestored, troubles } = await open(t);
    const mine = rule({ from: '192.0.2.0/24' });
    await kernel.claimAll('edge', holdings({ rules: [mine] }));
    for (let round = 1; troubles().length === 0; round += 1) {
      shell('ip rule del pref 1000');
      await until(() => routingRestored().length === round || troubles().length > 0);
    }
    t.match(troubles(), [
      { type: 'fought-over', target: 'ipv4 from 192.0.2.0/24 table 100 preference 1000', pauseMs: 1000 },
    ]);
    t.same(ours('ip rule'), [], 'then left alone');
    await until(() => kernel.presentRule(mine));
    t.equal(troubles().length, 1, 'and put back after the pause');
    await kernel.release('edge');
  });

  t.test('what a killed daemon left behind', async (t) => {
    const mine = uplink(t, 'hvr-adopt');
    shell(`ip addr add 203.0.113.7/24 dev hvr-adopt; ip route add 10.0.0.0/8 via 203.0.113.1
           ip rule add from 10.0.0.0/8 lookup 100 pref 1000`);
    t.teardown(() => shell('ip rule del from 10.0.0.0/8 pref 1000'));
    const first = await open(t);
    await first.kernel.claimAll('edge', mine);
    first.kernel.close();
    const { kernel, heard } = await open(t);
    t.equal(kernel.ownedRoutes().length, 6);
    t.equal(kernel.ownedRules().length, 5);
    const adopted = holdings({ routes: mine.routes.slice(0, 2), rules: mine.rules.slice(0, 3) });
    t.same(await kernel.claimAll('edge', adopted), all(adopted), 'is adopted');
    t.same(heard, [], 'as it is');
    t.same(
      kernel.ownedRules(),
      mine.rules.slice(3).map((each) => ({
        ...rule({}),
        from: undefined,
        to: undefined,
        fwmark: undefined,
        iif: undefined,
        oif: undefined,
        ...each,
      })),
    );
    t.same(
      kernel
        .ownedRoutes()
        .map(({ to }) => to)
        .sort(),
      ['2001:db8:1::/48', '2001:db8:2::/48', '203.0.113.0/24', '::/0'],
    );
    const left = kernel.ownedRoutes();
    await kernel.remove(kernel.ownedAddresses(), left, kernel.ownedRules());
    t.same([...kernel.ownedAddresses(), ...kernel.ownedRoutes(), ...kernel.ownedRules()], []);
    t.same(routes('-6'), [], 'or removed');
    t.match(
      shell('ip route; ip rule'),
      /10.0.0.0\/8 via 203.0.113.1[^]*from 10.0.0.0\/8/,
      "somebody else's stay",
    );
    await kernel.remove([], left);
    await kernel.release('edge');
  });

  t.test('a full table of somebody else', async (t) => {
    pair(t, 'hvr-full');
    shell('ip addr add 192.0.2.7/24 dev hvr-full');
    let received = 0;
    const receive: Native['receive'] = (...call) => {
      const filled = native.receive(...call);
      received += Math.max(filled, 0);
      return filled;
    };
    const { kernel, until, routingRestored } = await open(t, { ...native, receive });
    const mine = [
      route('0.0.0.0/0', { via: '192.0.2.254' }),
      route('10.0.0.0/20', { via: '192.0.2.254', table: 100 }),
    ];
    await kernel.claimAll('edge', holdings({ routes: mine }));
    received = 0;
    shell(`for change in 'add 1' 'replace 2' 'del 2'; do
             for i in $(seq 0 4999); do
               echo route \${change% *} 10.$((i / 256)).$((i % 256)).0/24 via 192.0.2.\${change#* }
             done
           done | ip -batch -
           ip route flush table 100`);
    await until(() => routingRestored().length === 1);
    t.equal(kernel.counters.overruns, 0);
    t.ok(received < 10, `${received} datagrams`);
    await kernel.release('edge');
  });
});
