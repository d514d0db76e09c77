import t, { type Test } from 'tap';
import { Kernel } from '../../src/net/kernel.ts';
import { loadNative, slot } from '../../src/net/native.ts';
import { foldChecksum, sumWords } from '../../src/protocol/bytes.ts';
import { inNamespace, shell } from '../bench/in-namespace.ts';
import { registerNamespace, removeNamespaces } from '../bench/leftovers.ts';
import { TrackerStage, often } from '../daemon/tracker-stage.ts';

/** Trackers that look at the network: at a host at the other end of two cables. */

const [cable, spare] = ['hvt-one', 'hvt-two'];

/** What the kernel makes of the peer's MAC address on the first cable. */
const linkLocal = 'fe80::ff:fe00:201';

/** Behind the peer; the route there leads through the first cable. */
const target = '203.0.113.9';

/** @returns what runs shell commands at the other end */
function buildNetwork(t: Test): (commands: string) => string {
  const peer = registerNamespace('peer');
  t.teardown(() => {
    for (const name of [cable, spare]) shell(`ip link delete ${name} || true`);
    removeNamespaces([peer]);
  });
  const at = (commands: string): string => shell(`ip netns exec ${peer} sh -ec '${commands}'`);
  shell(`ip netns add ${peer}`);
  for (const run of [shell, at])
    run(
      `for name in all default; do echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad; done; ip link set lo up`,
    );
  for (const [index, name] of [cable, spare].entries()) {
    const mac = (host: number): string => `02:00:00:00:0${host}:0${index + 1}`;
    shell(
      `ip link add ${name} address ${mac(1)} type veth peer name ${name} address ${mac(2)} netns ${peer}`,
    );
    for (const [host, run] of [shell, at].entries())
      run(`
        ip link set ${name} up
        ip address add ${index === 0 ? '192.0.2' : '198.51.100'}.${host + 1}/24 dev ${name}
        ip address add 2001:db8:${index + 1}::${host + 1}/64 dev ${name}`);
  }
  shell(`ip route add ${target} via 192.0.2.2`);
  at(`ip address add ${target}/32 dev lo; echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts`);
  return at;
}

function testPing(): void {
  t.test('ping: IPv4, IPv6, link-local, through an interface; each hears its own answers', async (t) => {
    const at = buildNetwork(t);
    const stage = new TrackerStage(t);
    const unbound = { kind: 'ping', interface: undefined } as const;
    stage.track(
      often({ ...unbound, address: '192.0.2.2' }, { name: 'ipv4' }),
      often({ ...unbound, address: '192.0.2.2' }, { name: 'ipv4 again' }),
      often({ ...unbound, address: target }, { name: 'routed' }),
      often({ ...unbound, address: '2001:db8:1::2' }, { name: 'ipv6' }),
      often({ kind: 'ping', address: linkLocal, interface: cable }, { name: 'link-local' }),
      often({ kind: 'ping', address: '198.51.100.2', interface: spare }, { name: 'bound' }),
      often({ ...unbound, address: '127.0.0.1' }, { name: 'ourselves' }),
    );
    await stage.trackers.allKnown();
    for (const { name, state, detail } of stage.trackers.status) t.equal(state, 'pass', `${name}: ${detail}`);
    t.match(stage.only.detail, /^192\.0\.2\.2 answered in [0-9.]+ ms$/);
    const mute = (family: number, on: number): string =>
      family === 4
        ? `echo ${on} >/proc/sys/net/ipv4/icmp_echo_ignore_all`
        : `echo ${on} >/proc/sys/net/ipv6/icmp/echo_ignore_all`;
    stage.track(
      often({ ...unbound, address: '192.0.2.2' }, { name: 'ipv4', timeoutMs: 100 }),
      often({ ...unbound, address: '2001:db8:1::2' }, { name: 'ipv6', timeoutMs: 100, fall: 3 }),
    );
    for (const [name, family] of [
      ['ipv4', 4],
      ['ipv6', 6],
    ] as const) {
      at(mute(family, 1));
      t.match(await stage.reaches('fail', name), { detail: 'no result within 0.1 s', contributes: 30 });
      at(mute(family, 0));
      await stage.reaches('pass', name);
    }
  });

  t.test('ping: an answer from somebody else is none', async (t) => {
    const at = buildNetwork(t);
    const stage = new TrackerStage(t);
    // To a multicast group everybody answers, and nobody with the group as the source.
    stage.track(
      often(
        { kind: 'ping', address: '224.0.0.1', interface: cable },
        { name: 'ipv4', timeoutMs: 200, fall: 2 },
      ),
      often(
        { kind: 'ping', address: 'ff02::1', interface: cable },
        { name: 'ipv6', timeoutMs: 200, fall: 2 },
      ),
    );
    await stage.trackers.allKnown();
    t.strictSame(
      stage.trackers.status.map(({ state }) => state),
      ['fail', 'fail'],
    );
    stage.trackers.close();
    const counted = (counter: string): number =>
      Number(at(`awk "/^${counter}/ { print \\$2 }" /proc/net/snmp6`).trim());
    t.ok(counted('Icmp6OutEchoReplies') >= 2, 'though there were some');
    const [names = '', values = ''] = at('grep ^Icmp: /proc/net/snmp').split('\n');
    const column = names.split(' ').indexOf('OutEchoReps');
    t.ok(Number(values.split(' ')[column]) >= 2, 'in both families');
  });

  t.test('ping: nobody makes up an answer who has not seen the request', async (t) => {
    shell(`ip link set lo up; echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all`);
    t.teardown(() => shell(`echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_all`));
    const native = loadNative();
    const fd = native.openRaw(4, 1, 'lo', 65536);
    t.teardown(() => native.close(fd));
    // ret #0xffff: everything that comes by
    native.attachFilter(fd, Uint8Array.of(0x06, 0, 0, 0, 0xff, 0xff, 0, 0));
    const slab = new Uint8Array(slot.data + 64);
    const view = new DataView(slab.buffer);
    const localhost = Uint8Array.of(127, 0, 0, 1);
    const answer = (request: Uint8Array, change: (reply: Uint8Array) => void, type = 0): void => {
      const reply = request.slice();
      reply[0] = type;
      reply.fill(0, 2, 4);
      change(reply);
      new DataView(reply.buffer).setUint16(2, foldChecksum(sumWords(reply)));
      native.send(fd, reply, localhost, new Uint8Array(), 0);
    };
    const forgeries: readonly ((reply: Uint8Array) => void)[] = [
      (reply) => (reply[4] = ~(reply[4] ?? 0)), // another identifier
      (reply) => (reply[7] = ~(reply[7] ?? 0)), // another sequence
      (reply) => (reply[20] = ~(reply[20] ?? 0)), // another payload
      (reply) => (reply[1] = 1), // no such code
    ];
    let requests = 0;
    native.watch(fd, () => {
      while (native.receive(fd, slab, slab.length) > 0) {
        const request = slab.slice(slot.data, slot.data + view.getUint32(slot.length, true));
        if (request[0] !== 8) continue;
        const forgery = forgeries[requests];
        requests += 1;
        answer(request, forgery ?? ((reply) => reply));
      }
    });
    const stage = new TrackerStage(t);
    stage.track(often({ kind: 'ping', address: '127.0.0.1', interface: undefined }, { timeoutMs: 100 }));
    await stage.reaches('fail');
    await stage.reaches('pass');
    t.equal(requests, forgeries.length + 1, 'the first honest answer counts, and none before');
    stage.trackers.close();
  });

  t.test('ping: no way to the target is a failure; what forbids to look is an error', async (t) => {
    const at = buildNetwork(t);
    at('echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore');
    const stage = new TrackerStage(t);
    stage.track(
      often({ kind: 'ping', address: '203.0.113.77', interface: undefined }, { name: 'no route' }),
      often({ kind: 'ping', address: '2001:db8:9::1', interface: undefined }, { name: 'no route 6' }),
      often({ kind: 'ping', address: '192.0.2.2', interface: 'hvt-none' }, { name: 'no interface' }),
      often({ kind: 'ping', address: target, interface: spare }, { name: 'another way', timeoutMs: 300 }),
      often({ kind: 'ping', address: '192.0.2.255', interface: undefined }, { name: 'broadcast' }),
      often({ kind: 'ping', address: '192.0.2.2', interface: undefined }),
    );
    await stage.trackers.allKnown();
    t.strictSame(
      stage.trackers.status.map(({ name, state, detail }) => [name, state, detail]),
      [
        ['no route', 'fail', 'there is no way to 203.0.113.77 (ENETUNREACH)'],
        ['no route 6', 'fail', 'there is no way to 2001:db8:9::1 (ENETUNREACH)'],
        ['no interface', 'fail', 'there is no way to 192.0.2.2 through hvt-none (ENODEV)'],
        ['another way', 'fail', 'no result within 0.3 s'],
        ['broadcast', 'error', 'not allowed to ping 192.0.2.255: a firewall rule of this host forbids it'],
        ['it', 'pass', stage.trackers.status.at(-1)?.detail ?? ''],
      ],
    );
    stage.track(often({ kind: 'ping', address: '192.0.2.2', interface: undefined }));
    shell(
      `nft 'add table ip t; add chain ip t out { type filter hook output priority 0; }; add rule ip t out icmp type echo-request drop'`,
    );
    t.match(await stage.reaches('error'), { detail: /a firewall rule of this host forbids it$/ });
    shell(`nft 'delete table ip t'`);
    await stage.reaches('pass');
    // The interface goes away and comes back as another one.
    stage.track(often({ kind: 'ping', address: '198.51.100.2', interface: spare }, { timeoutMs: 500 }));
    await stage.reaches('pass');
    shell(`ip link delete ${spare}`);
    t.match(await stage.reaches('fail'), { detail: /ENODEV|ENETUNREACH/ });
    shell(
      `ip link add ${spare} type veth peer name hvt-end; ip link set hvt-end up; ip link set ${spare} up`,
    );
    shell(`ip address add 198.51.100.2/24 dev ${spare}`);
    await stage.reaches('pass');
  });
}

function testRest(): void {
  t.test('tcp: nobody answers', async (t) => {
    const at = buildNetwork(t);
    at(
      `nft "add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in tcp dport 22 drop"`,
    );
    const stage = new TrackerStage(t);
    stage.track(
      often({ kind: 'tcp', host: '192.0.2.2', port: 22 }, { timeoutMs: 200, fall: 2 }),
      often({ kind: 'tcp', host: '2001:db8:1::2', port: 23 }, { name: 'closed' }),
      often({ kind: 'tcp', host: '203.0.113.77', port: 22 }, { name: 'no route' }),
    );
    t.match(await stage.reaches('fail', 'no route'), { detail: '203.0.113.77:22: ENETUNREACH' });
    await stage.trackers.allKnown();
    t.match(
      stage.trackers.status.find(({ name }) => name === 'closed'),
      { detail: '[2001:db8:1::2]:23: ECONNREFUSED' },
    );
    t.match(stage.only, { state: 'fail', detail: 'no result within 0.2 s' });
  });

  t.test('interface: carrier, admin state, gone, back', async (t) => {
    const at = buildNetwork(t);
    const listener: { stage?: TrackerStage } = {};
    const kernel = await Kernel.open({
      native: loadNative(),
      onChange: () => listener.stage?.trackers.refresh(),
      onRestored: () => t.fail('nothing was claimed'),
      onTrouble: ({ type }) => t.fail(type),
    });
    t.teardown(() => kernel.close());
    const stage = new TrackerStage(t, kernel);
    listener.stage = stage;
    stage.track({ name: 'it', kind: 'interface', interface: cable, demote: 'fault' });
    t.equal(stage.only.state, 'pass', 'known at once');
    const startedAt = performance.now();
    at(`ip link set ${cable} down`);
    t.match(await stage.reaches('fail'), { detail: `${cable} has no carrier`, contributes: 'fault' });
    t.ok(performance.now() - startedAt < 1000, 'told by the kernel, not asked for');
    at(`ip link set ${cable} up`);
    await stage.reaches('pass');
    shell(`ip link set ${cable} down`);
    t.match(await stage.reaches('fail'), { detail: `${cable} is set down` });
    shell(`ip link delete ${cable}`);
    shell(
      `ip link add ${cable} type veth peer name hvt-end; ip link set hvt-end up; ip link set ${cable} up`,
    );
    t.match(await stage.reaches('pass'), { detail: `${cable} is up` });
    shell(`ip link delete ${cable}`);
    t.match(await stage.reaches('fail'), { detail: `there is no interface ${cable}` });
  });
}

inNamespace(import.meta.url, () => {
  testPing();
  testRest();
});
