import t from 'tap';
import { type Native, slot } from '../../src/net/native.ts';
import { Netlink } from '../../src/net/netlink.ts';
import { addAddress } from '../../src/net/rtnetlink-messages.ts';
import { messageFor } from '../../src/net/wanted-addresses.ts';
import { inNamespace, shell } from '../bench/in-namespace.ts';
import { native, open, pair, wanted } from './watched-kernel.ts';

/** What `ip` sees: `192.0.2.1/24` and the words behind it, in the order of the text. */
function configured(name: string): Map<string, string> {
  const lines = shell(`ip -o addr show dev ${name}`).split('\n');
  const found = lines.flatMap((line) => {
    const [, address, words] = / inet6? (\S+) (.*?)\\/.exec(line) ?? [];
    return address === undefined || words === undefined ? [] : [[address, words.trim()] as const];
  });
  return new Map(found.sort());
}

inNamespace(import.meta.url, () => {
  shell('ip link set lo up');

  t.test('links are known as they come, change and go', async (t) => {
    const { kernel, until } = await open(t);
    t.match(kernel.link('lo'), { index: 1, up: true, adminUp: true, mtu: 65536 });
    t.equal(kernel.link('hvk-link'), undefined);
    pair(t, 'hvk-link', 'address 02:00:00:00:00:01');
    await until(() => kernel.link('hvk-link')?.up === true);
    t.match(kernel.link('hvk-link'), { mac: '02:00:00:00:00:01', mtu: 1500, adminUp: true });
    shell('ip link set hvk-link-peer down');
    await until(() => kernel.link('hvk-link')?.up === false);
    t.equal(
      kernel.link('hvk-link')?.adminUp,
      true,
      'without carrier, but up as far as the administrator is concerned',
    );
    shell('ip link set hvk-link-peer up; ip link set hvk-link address 02:00:00:00:00:02 mtu 1400');
    await until(() => kernel.link('hvk-link')?.mtu === 1400 && kernel.link('hvk-link')?.up === true);
    t.equal(kernel.link('hvk-link')?.mac, '02:00:00:00:00:02');
    shell('ip link set hvk-link down; ip link set hvk-link name hvk-other');
    await until(() => kernel.link('hvk-other') !== undefined);
    t.equal(kernel.link('hvk-link'), undefined, 'renamed');
    t.match(kernel.link('hvk-other'), { up: false, adminUp: false });
    shell('ip link del hvk-other');
    await until(() => kernel.link('hvk-other') === undefined);
    t.same(
      [...kernel.links()].map(({ name }) => name),
      ['lo'],
    );
  });

  t.test('what happens while the tables are being read', async (t) => {
    pair(t, 'hvk-race');
    shell('ip addr add 192.0.2.1/24 dev hvk-race');
    const getAddress = 22;
    const send: Native['send'] = (fd, bytes, ...rest) => {
      const sent = native.send(fd, bytes, ...rest);
      // The first part of a dump is made when it is asked for: it has what is now removed, and lacks what is added.
      if (bytes.subarray(4, 6).includes(getAddress)) {
        shell('ip addr del 192.0.2.1/24 dev hvk-race; ip addr add 192.0.2.2/24 dev hvk-race');
      }
      return sent;
    };
    const { kernel } = await open(t, { ...native, send });
    t.same(
      kernel.addresses('hvk-race').map(({ address }) => address),
      ['192.0.2.2'],
    );
  });

  t.test('a port that leaves a bridge is still there', async (t) => {
    pair(t, 'hvk-port');
    shell('ip link add hvk-bridge type bridge; ip link set hvk-port master hvk-bridge');
    t.teardown(() => shell('ip link del hvk-bridge'));
    const { kernel, until } = await open(t);
    shell('ip addr add 192.0.2.1/24 dev hvk-port');
    await until(() => kernel.addresses('hvk-port').length === 1);
    shell('ip link set hvk-port nomaster; ip link set hvk-port mtu 1300');
    await until(() => kernel.link('hvk-port')?.mtu === 1300);
    t.equal(kernel.link('hvk-port')?.up, true);
    t.equal(kernel.addresses('hvk-port').length, 1, 'and so are its addresses');
  });

  t.test('claims and releases', async (t) => {
    pair(t, 'hvk-claim');
    const { kernel } = await open(t);
    const addresses = [
      wanted('hvk-claim', '192.0.2.1/24', { label: 'hvk-claim:vip' }),
      wanted('hvk-claim', '198.51.100.1/32', { scope: 'link' }),
      wanted('hvk-claim', '2001:db8::1/64'),
      wanted('hvk-claim', '2001:db8::2/128'),
      wanted('hvk-claim', 'fe80::200:5eff:fe00:201/64'),
    ];
    t.same(
      await kernel.claim('edge', addresses),
      addresses.map((wanted) => ({ wanted, ok: true })),
    );
    const there = configured('hvk-claim');
    t.equal(there.get('192.0.2.1/24'), 'scope global hvk-claim:vip');
    t.equal(there.get('198.51.100.1/32'), 'scope link hvk-claim');
    t.match(there.get('2001:db8::1/64'), /^scope global nodad\s*$/);
    t.match(there.get('2001:db8::2/128'), /nodad deprecated/, 'never a source address of our own');
    t.match(there.get('fe80::200:5eff:fe00:201/64'), /^scope link nodad/);
    t.ok(
      addresses.every((each) => kernel.present(each)),
      'and is known to be there at once',
    );
    t.ok(
      kernel.addresses('hvk-claim').every(({ ours }) => ours),
      'with our mark on it',
    );
    t.same(
      await kernel.claim('edge', addresses),
      addresses.map((wanted) => ({ wanted, ok: true })),
      'safe to repeat',
    );

    await kernel.claim('edge', addresses.slice(0, 2));
    await kernel.release('nobody');
    t.same(
      [...configured('hvk-claim').keys()],
      ['192.0.2.1/24', '198.51.100.1/32'],
      'a claim replaces the last one',
    );
    await kernel.claim('lan', addresses.slice(1, 3));
    await kernel.release('edge');
    t.same(
      [...configured('hvk-claim').keys()],
      ['198.51.100.1/32', '2001:db8::1/64'],
      'somebody else wants it still',
    );
    await kernel.release('lan');
    t.same([...configured('hvk-claim').keys()], []);
    t.notOk(kernel.present(wanted('hvk-claim', '192.0.2.1/24')));
    await kernel.release('lan');
  });

  t.test('a label or scope that is claimed anew is changed', async (t) => {
    pair(t, 'hvk-label');
    const { kernel } = await open(t);
    await kernel.claim('edge', [wanted('hvk-label', '192.0.2.1/24', { label: 'hvk-label:a' })]);
    await kernel.claim('edge', [wanted('hvk-label', '192.0.2.1/24', { scope: 'site' })]);
    t.same([...configured('hvk-label')], [['192.0.2.1/24', 'scope site hvk-label']]);
    await kernel.claim('edge', [wanted('hvk-label', '192.0.2.1/24', { label: 'hvk-label:b' })]);
    t.same([...configured('hvk-label')], [['192.0.2.1/24', 'scope global hvk-label:b']]);
  });

  t.test('an address given up while it is being claimed', async (t) => {
    pair(t, 'hvk-haste');
    const { kernel } = await open(t);
    const addresses = Array.from({ length: 100 }, (_, index) =>
      wanted('hvk-haste', `2001:db8::${index + 1}/64`),
    );
    const claim = kernel.claim('edge', addresses);
    await kernel.release('edge');
    t.ok((await claim).every((outcome) => !outcome.ok && outcome.error.code === 'ECANCELED'));
    t.equal(configured('hvk-haste').size, 0);
    const release = kernel.claim('edge', addresses).then(() => kernel.release('edge'));
    await release;
    t.equal(configured('hvk-haste').size, 0, 'or at once afterwards');
    const released = kernel.release('edge');
    t.ok(
      (await kernel.claim('edge', addresses)).every(({ ok }) => ok),
      'or claimed while it is being given up',
    );
    await released;
    t.equal(configured('hvk-haste').size, 100);
  });

  t.test("somebody else's address", async (t) => {
    pair(t, 'hvk-alien');
    shell('ip addr add 192.0.2.1/24 dev hvk-alien; ip addr add 2001:db8::1/56 dev hvk-alien nodad');
    const { kernel, until, restored, troubles } = await open(t);
    const addresses = [wanted('hvk-alien', '192.0.2.1/24'), wanted('hvk-alien', '2001:db8::1/64')];
    const outcomes = await kernel.claim('edge', addresses);
    t.match(outcomes, [
      {
        ok: false,
        error: { code: 'EEXIST', operation: 'add address', target: '192.0.2.1/24 on hvk-alien' },
      },
      { ok: false, error: { code: 'EEXIST', message: /2001:db8::1\/64 on hvk-alien: EEXIST/ } },
    ]);
    t.notOk(kernel.present(wanted('hvk-alien', '192.0.2.1/24')));
    shell('ip addr del 192.0.2.1/24 dev hvk-alien; ip addr del 2001:db8::1/56 dev hvk-alien');
    await until(() => restored().length === 2);
    t.ok(
      addresses.every((each) => kernel.present(each)),
      'put in when it has gone',
    );
    await kernel.release('edge');
    shell('ip addr add 192.0.2.1/24 dev hvk-alien');
    await kernel.claim('edge', addresses);
    await kernel.release('edge');
    t.same([...configured('hvk-alien').keys()], ['192.0.2.1/24'], 'and never removed by us');
    t.same(troubles(), []);
  });

  t.test('an interface that is not there yet, or is made anew', async (t) => {
    const { kernel, until, restored } = await open(t);
    const addresses = [wanted('hvk-late', '192.0.2.1/24'), wanted('hvk-late', '2001:db8::1/64')];
    t.match(await kernel.claim('edge', addresses), [
      {
        ok: false,
        error: {
          code: 'ENODEV',
          message: /192\.0\.2\.1\/24 on hvk-late: ENODEV \(there is no such interface\)/,
        },
      },
      { ok: false },
    ]);
    pair(t, 'hvk-late');
    await until(() => restored().length === 2);
    const index = kernel.link('hvk-late')?.index;
    t.ok(addresses.every((each) => kernel.present(each)));
    shell('ip link del hvk-late');
    await until(() => kernel.link('hvk-late') === undefined);
    t.notOk(kernel.present(wanted('hvk-late', '192.0.2.1/24')));
    pair(t, 'hvk-late');
    await until(() => restored().length === 4);
    t.not(kernel.link('hvk-late')?.index, index);
    t.equal(configured('hvk-late').size, 2);
  });

  t.test('an interface goes down, with its IPv6 addresses, and up', async (t) => {
    pair(t, 'hvk-down');
    const { kernel, until, restored } = await open(t);
    const addresses = [wanted('hvk-down', '192.0.2.1/24'), wanted('hvk-down', '2001:db8::1/64')];
    await kernel.claim('edge', addresses);
    shell('ip link set hvk-down down');
    await until(() => restored().length > 0);
    t.same(restored(), ['2001:db8::1'], 'the kernel takes only IPv6 addresses away');
    shell('ip link set hvk-down up');
    await until(() => kernel.link('hvk-down')?.up === true);
    t.ok(addresses.every((each) => kernel.present(each)));
    t.match(
      shell('ip -6 route show table all dev hvk-down'),
      /^local 2001:db8::1 table local/m,
      'and answers',
    );
    shell('sysctl -qw net.ipv6.conf.hvk-down.disable_ipv6=1');
    await until(() => !kernel.present(wanted('hvk-down', '2001:db8::1/64')));
    shell('sysctl -qw net.ipv6.conf.hvk-down.disable_ipv6=0; ip link set hvk-down mtu 1400');
    await until(() => restored().length === 2);
    t.ok(kernel.present(wanted('hvk-down', '2001:db8::1/64')));
  });

  t.test('what another program removes is back before anybody is told', async (t) => {
    pair(t, 'hvk-back');
    const seen: number[] = [];
    const { kernel, until, restored } = await open(t, native, () => seen.push(configured('hvk-back').size));
    await kernel.claim('edge', [wanted('hvk-back', '192.0.2.1/24'), wanted('hvk-back', '2001:db8::1/64')]);
    seen.length = 0;
    shell('ip addr flush dev hvk-back');
    await until(() => restored().length === 2);
    t.same(restored(), ['192.0.2.1', '2001:db8::1'], 'each said once');
    t.ok(seen.length > 0, 'somebody was told');
    t.ok(
      seen.every((size) => size === 2),
      'when it was back already',
    );
  });

  t.test('a program that does not stop', async (t) => {
    pair(t, 'hvk-fight');
    const mine = wanted('hvk-fight', '192.0.2.1/24');
    const { kernel, until, restored, troubles } = await open(t);
    await kernel.claim('edge', [mine]);
    for (let round = 1; troubles().length === 0; round += 1) {
      shell('ip addr del 192.0.2.1/24 dev hvk-fight');
      await until(() => restored().length === round || troubles().length > 0);
    }
    t.equal(restored().length, 20, 'put back some times');
    t.match(troubles(), [{ type: 'fought-over', target: '192.0.2.1/24 on hvk-fight', pauseMs: 1000 }]);
    t.equal(configured('hvk-fight').size, 0, 'then left alone');
    await until(() => restored().length === 21);
    t.ok(kernel.present(mine), 'and put back after the pause');
    t.equal(troubles().length, 1);
  });

  t.test('what a killed daemon left behind', async (t) => {
    pair(t, 'hvk-adopt');
    shell('ip addr add 203.0.113.7/24 dev hvk-adopt');
    const first = await open(t);
    await first.kernel.claim('edge', [
      wanted('hvk-adopt', '192.0.2.1/24'),
      wanted('hvk-adopt', '2001:db8::1/64'),
    ]);
    first.kernel.close();
    const { kernel, heard } = await open(t);
    t.same(
      kernel
        .ownedAddresses()
        .map(({ address }) => address)
        .sort(),
      ['192.0.2.1', '2001:db8::1'],
    );
    t.match(await kernel.claim('edge', [wanted('hvk-adopt', '192.0.2.1/24')]), [{ ok: true }], 'is adopted');
    t.same(heard, [], 'as it is');
    t.same(
      kernel.ownedAddresses().map(({ address }) => address),
      ['2001:db8::1'],
    );
    await kernel.remove(kernel.ownedAddresses());
    t.same(kernel.ownedAddresses(), []);
    t.same([...configured('hvk-adopt').keys()], ['192.0.2.1/24', '203.0.113.7/24'], 'or removed');
    await kernel.remove(kernel.addresses('hvk-adopt').filter(({ ours }) => !ours));
    t.equal(configured('hvk-adopt').size, 2, "somebody else's is not");
  });

  t.test('an address that duplicate address detection has disabled', async (t) => {
    pair(t, 'hvk-dad');
    shell('ip addr add 2001:db8::1/64 dev hvk-dad-peer nodad');
    const { kernel, until } = await open(t);
    const mine = wanted('hvk-dad', '2001:db8::1/64');
    const message = { ...messageFor(mine, kernel.link('hvk-dad')?.index ?? 0), flags: 0 };
    const netlink = new Netlink(native, [], { onMessages: Boolean, onRead: Boolean, onLost: Boolean });
    netlink.open();
    t.teardown(() => netlink.close());
    const add = { command: addAddress(message), operation: 'add address', target: 'without NODAD' };
    t.same(await netlink.batch([add]), [{ result: 'done' }]);
    await until(() => kernel.addresses('hvk-dad')[0]?.dadFailed === true);
    t.notOk(kernel.present(mine), 'is no address');
    t.match(await kernel.claim('edge', [mine]), [{ ok: true }]);
    t.ok(kernel.present(mine), 'until it is put in anew');
    t.match([...configured('hvk-dad').values()], [/nodad\s*$/]);
  });

  t.test("the addresses of others that the kernel removes with a subnet's first", async (t) => {
    pair(t, 'hvk-first');
    const { kernel, until, restored } = await open(t);
    const promote = (): string => shell('sysctl -n net.ipv4.conf.hvk-first.promote_secondaries').trim();
    t.equal(promote(), '0', 'which the kernel does here');
    await kernel.claim('edge', [wanted('hvk-first', '192.0.2.1/24'), wanted('hvk-first', '192.0.2.2/24')]);
    await kernel.claim('lan', [wanted('hvk-first', '192.0.2.3/24')]);
    shell('ip addr add 192.0.2.77/24 dev hvk-first valid_lft 4000 preferred_lft 3000');
    await until(() => kernel.addresses('hvk-first').length === 4);
    await kernel.release('edge');
    t.same([...configured('hvk-first').keys()], ['192.0.2.3/24', '192.0.2.77/24'], 'stay');
    t.same(restored(), [], 'and never went');
    t.equal(promote(), '0', 'and the sysctl is what it was');
    await kernel.release('lan');
    t.same([...configured('hvk-first').keys()], ['192.0.2.77/24']);
    shell('sysctl -qw net.ipv4.conf.hvk-first.promote_secondaries=1');
    await kernel.claim('edge', [wanted('hvk-first', '198.51.100.1/24')]);
    shell('ip addr add 198.51.100.77/24 dev hvk-first');
    await until(() => kernel.addresses('hvk-first').length === 3);
    await kernel.release('edge');
    t.equal(configured('hvk-first').size, 2);
    t.equal(promote(), '1');
  });

  t.test('255 addresses, of which the loop gets its turns', async (t) => {
    pair(t, 'hvk-many');
    const setLink = 19;
    let promotions = 0;
    const send: Native['send'] = (fd, bytes, ...rest) => {
      promotions += Number(bytes.subarray(4, 6).includes(setLink));
      return native.send(fd, bytes, ...rest);
    };
    const { kernel, restored } = await open(t, { ...native, send });
    for (const template of ['10.0.0.#/16', '2001:db8::#/64']) {
      const addresses = Array.from({ length: 255 }, (_, index) =>
        wanted('hvk-many', template.replace('#', String(index + 1))),
      );
      let turns = 0;
      let turning = setImmediate(function turn() {
        turns += 1;
        turning = setImmediate(turn);
      });
      const outcomes = await kernel.claim('edge', addresses);
      clearImmediate(turning);
      t.equal(outcomes.filter(({ ok }) => ok).length, 255);
      t.equal(configured('hvk-many').size, 255);
      t.ok(addresses.every((each) => kernel.present(each)));
      t.ok(turns >= 15, `${turns} turns`);
      await kernel.release('edge');
      t.equal(configured('hvk-many').size, 0);
    }
    t.same(restored(), []);
    t.equal(promotions, 0, 'the first of the subnet goes last');
  });

  t.test('more news than the socket holds', async (t) => {
    pair(t, 'hvk-flood');
    pair(t, 'hvk-calm');
    const { kernel, until, restored, troubles } = await open(t);
    await kernel.claim('edge', [wanted('hvk-calm', '192.0.2.1/24')]);
    const flood = `for i in $(seq 2000); do
        address=10.$((i / 256)).$((i % 256)).1/32
        for verb in add del add; do echo addr $verb $address dev hvk-flood; done
      done | ip -batch -`;
    const claim = kernel.claim('lan', [
      wanted('hvk-calm', '198.51.100.1/24'),
      wanted('hvk-calm', '2001:db8::1/64'),
    ]);
    shell(`ip addr del 192.0.2.1/24 dev hvk-calm; ${flood}`);
    t.match(await claim, [{ ok: true }, { ok: true }], 'nobody waits for an answer that was lost');
    t.ok(kernel.counters.overruns >= 1, `${kernel.counters.overruns} overruns`);
    t.equal(kernel.addresses('hvk-flood').length, 2000, 'and what was lost is known');
    t.same(
      [...configured('hvk-calm').keys()],
      ['192.0.2.1/24', '198.51.100.1/24', '2001:db8::1/64'],
      'and put right',
    );
    await until(() => restored().length === 1);
    t.same(troubles(), []);
    t.match(kernel.counters, { malformed: 0, foreign: 0 });
  });

  t.test('news that make no sense', async (t) => {
    pair(t, 'hvk-sense');
    let garbled = 0;
    const receive: Native['receive'] = (fd, slab, slotBytes) => {
      const filled = native.receive(fd, slab, slotBytes);
      if (filled > 0 && garbled > 0) {
        garbled -= 1;
        slab.fill(0xff, slot.data, slot.data + 4);
      }
      return filled;
    };
    const { kernel, until, restored, troubles } = await open(t, { ...native, receive });
    await kernel.claim('edge', [wanted('hvk-sense', '192.0.2.1/24')]);
    garbled = 3;
    shell('ip addr del 192.0.2.1/24 dev hvk-sense; ip addr add 192.0.2.7/24 dev hvk-sense');
    await until(() => restored().length === 1);
    t.same(
      kernel
        .addresses('hvk-sense')
        .map(({ address }) => address)
        .sort(),
      ['192.0.2.1', '192.0.2.7'],
      'are looked up',
    );
    t.match(kernel.counters, { overruns: 0, malformed: 3 });
    t.same(troubles(), []);
  });

  t.test('blindness', async (t) => {
    pair(t, 'hvk-blind');
    let broken = false;
    const { kernel, until, restored, troubles } = await open(t, {
      ...native,
      receive: (...call) => (broken ? -105 : native.receive(...call)),
      openNetlink: (...call) => (broken ? -23 : native.openNetlink(...call)),
    });
    const [first, second] = [wanted('hvk-blind', '192.0.2.1/24'), wanted('hvk-blind', '192.0.2.2/24')];
    await kernel.claim('edge', [first]);
    broken = true;
    const claim = kernel.claim('lan', [second]);
    shell('ip addr del 192.0.2.1/24 dev hvk-blind');
    const error = { code: 'ENFILE', operation: 'open' };
    t.match(await claim, [{ ok: false, error }], 'nobody waits');
    t.match(troubles(), [{ type: 'blind', error }]);
    t.match(await kernel.claim('lan', [second]), [{ ok: false, error }]);
    broken = false;
    await until(() => restored().length > 0 && kernel.present(second));
    t.ok(kernel.present(first), 'and it passes by itself');
    t.equal(configured('hvk-blind').size, 2);
    t.equal(troubles().length, 1);
  });

  t.test('a kernel that is closed', async (t) => {
    pair(t, 'hvk-close');
    const { kernel, restored } = await open(t);
    const claim = kernel.claim('edge', [wanted('hvk-close', '192.0.2.1/24')]);
    kernel.close();
    t.match(await claim, [{ ok: false, error: { code: 'ECANCELED' } }]);
    t.match(await kernel.claim('edge', [wanted('hvk-close', '192.0.2.2/24')]), [{ ok: false }]);
    await kernel.release('edge');
    t.same(restored(), []);
  });
});
