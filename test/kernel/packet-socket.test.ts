import t, { type Test } from 'tap';
import type { KernelError } from '../../src/errors.ts';
import { loadNative } from '../../src/net/native.ts';
import { FrameSocket, type Packet, PacketSocket } from '../../src/net/packet-socket.ts';
import { type Family, advertisementGroup, families, vrrpProtocol } from '../../src/protocol/address.ts';
import { inNamespace, shell } from '../bench/in-namespace.ts';
import { type IpPacket, advertisement, ethernetFrame } from '../net/packets.ts';

// A veth pair: the socket under test is on one end, into the other go frames made by hand.
const ours = 'hvn-ours';
const theirs = 'hvn-theirs';

const native = loadNative();

const addresses: Readonly<Record<Family, { ours: string; theirs: string }>> = {
  ipv4: { ours: '192.0.2.1', theirs: '192.0.2.2' },
  ipv6: { ours: 'fe80::1', theirs: 'fe80::2' },
};

function buildNetwork(): void {
  // Both ends are in one namespace, so what one sends comes to the other from an address of the same host.
  shell(`
    ip link add ${ours} type veth peer name ${theirs}
    for name in ${ours} ${theirs}; do ip link set $name addrgenmode none; done
    for name in lo ${ours} ${theirs}; do ip link set $name up; done
    for name in all ${theirs}; do echo 0 >/proc/sys/net/ipv4/conf/$name/rp_filter; done
    echo 1 >/proc/sys/net/ipv4/conf/${theirs}/accept_local
    ip address add ${addresses.ipv4.ours}/24 dev ${ours}
    ip address add ${addresses.ipv6.ours}/64 dev ${ours} nodad
    ip address add ${addresses.ipv6.theirs}/64 dev ${theirs} nodad`);
}

/** A packet and its octets, which outlive the callback. */
type Kept = Omit<Packet, 'bytes'> & { readonly octets: string };

interface Listener {
  readonly socket: PacketSocket;
  readonly accepted: Kept[];
  readonly sampled: Kept[];
  readonly errors: KernelError[];
  /** Resolves once the condition holds, looking again after every packet and error. */
  until(condition: () => boolean): Promise<void>;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function listen(t: Test, family: Family, interfaceName: string = ours, onPacket?: () => void): Listener {
  const accepted: Kept[] = [];
  const sampled: Kept[] = [];
  const errors: KernelError[] = [];
  let check = (): void => undefined;
  const socket = PacketSocket.open({
    native,
    family,
    interfaceName,
    interfaceIndex: native.interfaceIndex(interfaceName),
    protocol: vrrpProtocol,
    group: advertisementGroup[family],
    onPacket: ({ bytes, ...rest }) => {
      (rest.sampled ? sampled : accepted).push({ ...rest, octets: hex(bytes) });
      onPacket?.();
      check();
    },
    onError: (error) => {
      errors.push(error);
      check();
    },
  });
  t.teardown(() => socket.close());
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      check = () => {
        if (condition()) resolve();
      };
      check();
    });
  return { socket, accepted, sampled, errors, until };
}

/** Puts packets on the wire at the other end. */
function injector(t: Test, family: Family): (...changes: Partial<IpPacket>[]) => void {
  const frames = FrameSocket.open(native, native.interfaceIndex(theirs));
  t.teardown(() => frames.close());
  return (...changes) => {
    const plain = {
      family,
      source: addresses[family].theirs,
      destination: advertisementGroup[family],
      hopLimit: 255,
      payload: advertisement(family, 51),
    };
    frames.send(changes.map((change) => ethernetFrame({ ...plain, ...change })));
  };
}

function testFamily(family: Family): void {
  const good = advertisement(family, 51);
  const stranger = { payload: advertisement(family, 52) };

  t.test(`${family}: hears nothing before setVrids, then everything about a packet`, async (t) => {
    const { socket, accepted, sampled, until } = listen(t, family);
    const inject = injector(t, family);
    inject({ payload: advertisement(family, 51, 2) }, stranger);
    socket.setVrids([51]);
    const before = native.now();
    inject({});
    await until(() => accepted.length > 0);
    t.match(accepted, [
      {
        octets: hex(good),
        source: addresses[family].theirs,
        destination: advertisementGroup[family],
        hopLimit: 255,
        interfaceIndex: native.interfaceIndex(ours),
        sampled: false,
      },
    ]);
    const arrivedAt = accepted[0]?.arrivedAt ?? 0;
    // The kernel's clocks are read one after the other: a few microseconds of difference.
    t.ok(arrivedAt > before - 0.1 && arrivedAt <= native.now(), `${arrivedAt - before} ms after it was sent`);
    t.same([accepted.length, sampled.length], [1, 0]);
  });

  t.test(`${family}: what the filter refuses comes as a sample, whole, and only as that`, async (t) => {
    const { socket, accepted, sampled, until } = listen(t, family);
    const inject = injector(t, family);
    socket.setVrids([51]);
    const long = Buffer.concat([advertisement(family, 51, 10), Buffer.alloc(3)]);
    inject({ hopLimit: 254 }, stranger, { payload: Uint8Array.of(0x21) }, { payload: long }, {});
    await until(() => sampled.length === 4 && accepted.length === 1);
    t.same(
      sampled.map(({ hopLimit, octets }) => ({ hopLimit, octets })),
      [
        { hopLimit: 254, octets: hex(good) },
        { hopLimit: 255, octets: hex(stranger.payload) },
        { hopLimit: 255, octets: '21' },
        { hopLimit: 255, octets: hex(long) },
      ],
    );
    t.match(sampled[0], { source: addresses[family].theirs, sampled: true });
    t.equal(socket.unexamined, 0);
  });

  t.test(`${family}: the largest Advertisement arrives whole, something larger is cut off`, async (t) => {
    const { socket, accepted, sampled, until } = listen(t, family);
    const inject = injector(t, family);
    shell(`ip link set ${ours} mtu 9000`);
    shell(`ip link set ${theirs} mtu 9000`);
    socket.setVrids([51]);
    const largest = advertisement(family, 51, 255);
    inject({ payload: largest }, { payload: Buffer.concat([largest, Buffer.alloc(100)]) });
    await until(() => accepted.length === 1 && sampled.length === 1);
    t.equal(accepted[0]?.octets, hex(largest));
    t.ok((sampled[0]?.octets.length ?? 0) > 2 * largest.length, 'still longer than the largest');
  });

  t.test(`${family}: the list of VRIDs may change`, async (t) => {
    const { socket, accepted, sampled, until } = listen(t, family);
    const inject = injector(t, family);
    socket.setVrids([51]);
    inject({});
    await until(() => accepted.length === 1);
    socket.setVrids([52, 53]);
    inject({}, stranger);
    await until(() => accepted.length === 2 && sampled.length === 1);
    t.same(
      [...accepted, ...sampled].map(({ octets }) => octets.slice(2, 4)),
      ['33', '34', '33'],
    );
  });

  t.test(`${family}: drain hands on at once what is queued, with the time it came`, (t) => {
    const { socket, accepted } = listen(t, family);
    const inject = injector(t, family);
    socket.setVrids([51]);
    socket.drain();
    t.equal(accepted.length, 0);
    inject(...new Array<object>(1000).fill({}));
    const injectedAt = native.now();
    while (native.now() < injectedAt + 30);
    socket.drain();
    t.equal(accepted.length, 1000);
    t.equal(socket.lost, 0);
    t.ok(accepted.every(({ arrivedAt }) => arrivedAt < injectedAt + 15));
    t.ok(accepted.every(({ arrivedAt }, index) => arrivedAt >= (accepted[index - 1]?.arrivedAt ?? 0) - 0.1));
    t.end();
  });

  t.test(
    `${family}: a flood of accepted packets: bounded work in a turn of the loop, losses are known`,
    async (t) => {
      let thisTurn = 0;
      let most = 0;
      const { socket, accepted, until } = listen(t, family, ours, () => (thisTurn += 1));
      const inject = injector(t, family);
      const nextTurn = (): void => {
        most = Math.max(most, thisTurn);
        thisTurn = 0;
        turns = setImmediate(nextTurn);
      };
      let turns = setImmediate(nextTurn);
      socket.setVrids([51]);
      inject(...new Array<object>(5000).fill({}));
      await until(() => accepted.length + socket.lost === 5000);
      clearImmediate(turns);
      t.ok(socket.lost > 0, `${socket.lost} lost`);
      t.ok(most <= 256, `${most} packets in one turn`);
    },
  );

  t.test(`${family}: a flood of junk: a few samples, the others counted to the last`, async (t) => {
    const { socket, accepted, sampled, until } = listen(t, family);
    const inject = injector(t, family);
    socket.setVrids([51]);
    inject(...new Array<object>(3000).fill({ hopLimit: 1 }), {});
    await until(() => accepted.length === 1 && sampled.length + socket.unexamined === 3000);
    t.ok(sampled.length <= 64, `${sampled.length} samples`);
    const seen = sampled.length;
    const before = native.now();
    inject({ hopLimit: 2 });
    await until(() => sampled.length > seen);
    t.ok(native.now() - before > 20, 'the next sample waits');
    t.equal(sampled.at(-1)?.hopLimit, 2);
  });

  t.test(
    `${family}: sends with hop limit 255, from the source it is told, and does not hear itself`,
    async (t) => {
      const near = listen(t, family);
      const far = listen(t, family, theirs);
      const inject = injector(t, family);
      for (const { socket } of [near, far]) socket.setVrids([51]);
      const payload = advertisement(family, 51, 3);
      near.socket.send(payload, { source: addresses[family].ours, destination: advertisementGroup[family] });
      await far.until(() => far.accepted.length === 1);
      t.match(far.accepted[0], { octets: hex(payload), source: addresses[family].ours, hopLimit: 255 });
      inject({});
      await near.until(() => near.accepted.length === 1);
      t.equal(near.accepted[0]?.octets, hex(good));
      t.same([near.sampled.length, far.sampled.length], [0, 0]);
    },
  );

  t.test(`${family}: the kernel's refusals are thrown`, (t) => {
    const { socket } = listen(t, family);
    const options = {
      source: family === 'ipv4' ? '192.0.2.77' : 'fe80::77',
      destination: advertisementGroup[family],
    };
    t.throws(() => socket.send(good, options), { name: 'KernelError', target: ours });
    t.throws(() => listen(t, family, 'hvn-none'), {
      name: 'KernelError',
      code: 'ENODEV',
      target: 'hvn-none',
    });
    socket.close();
    socket.close();
    t.throws(() => socket.send(good, options), { name: 'KernelError', code: 'EBADF' });
    socket.drain();
    t.end();
  });

  t.test(`${family}: closed by its own packet, it says no more`, async (t) => {
    const { socket, accepted, until } = listen(t, family, ours, () => socket.close());
    const inject = injector(t, family);
    socket.setVrids([51]);
    inject({}, {}, {});
    await until(() => accepted.length > 0);
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(accepted.length, 1);
  });

  t.test(`${family}: a link that goes down and comes back`, async (t) => {
    const { socket, accepted, errors, until } = listen(t, family);
    const inject = injector(t, family);
    const options = { source: addresses[family].ours, destination: advertisementGroup[family] };
    socket.setVrids([51]);
    shell(`ip link set ${ours} down`);
    t.throws(() => socket.send(good, options), { name: 'KernelError' });
    shell(`ip link set ${ours} up`);
    // The kernel drops IPv6 addresses with the link, and keeps IPv4 ones.
    shell(`ip address replace ${addresses.ipv6.ours}/64 dev ${ours} nodad`);
    inject({});
    await until(() => accepted.length === 1);
    t.same(errors, []);
    socket.send(good, options);
  });
}

function testInNamespace(): void {
  buildNetwork();
  for (const family of families) testFamily(family);

  t.test('ipv4: options are left out', async (t) => {
    const { socket, accepted, sampled, until } = listen(t, 'ipv4');
    const inject = injector(t, 'ipv4');
    socket.setVrids([51]);
    for (const words of [1, 10]) inject({ options: new Uint8Array(4 * words).fill(1) });
    inject({ options: new Uint8Array(8).fill(1), payload: new Uint8Array() });
    await until(() => accepted.length === 2 && sampled.length === 1);
    const plain = hex(advertisement('ipv4', 51));
    t.same(
      [...accepted, ...sampled].map(({ octets }) => octets),
      [plain, plain, ''],
    );
  });

  t.test('frames: more than one batch, none, a wrong one, a missing interface', async (t) => {
    const { socket, accepted, until } = listen(t, 'ipv4');
    socket.setVrids([51]);
    const frames = FrameSocket.open(native, native.interfaceIndex(theirs));
    const frame = ethernetFrame({
      family: 'ipv4',
      source: addresses.ipv4.theirs,
      destination: advertisementGroup.ipv4,
      hopLimit: 255,
      payload: advertisement('ipv4', 51),
    });
    frames.send([]);
    frames.send(new Array<Uint8Array>(130).fill(frame));
    t.throws(() => frames.send([frame, frame.subarray(0, 13)]), { name: 'KernelError', code: 'EINVAL' });
    await until(() => accepted.length >= 130);
    t.equal(accepted.length, 130);
    t.throws(() => FrameSocket.open(native, 4711), {
      name: 'KernelError',
      code: 'ENODEV',
      target: 'interface 4711',
    });
    frames.close();
    frames.close();
    t.throws(() => frames.send([frame]), { name: 'KernelError', code: 'EBADF' });
  });

  t.test('frames: an interface that is removed', (t) => {
    shell('ip link add hvn-gone type veth');
    const frames = FrameSocket.open(native, native.interfaceIndex('hvn-gone'));
    shell('ip link delete hvn-gone');
    t.throws(() => frames.send([new Uint8Array(60)]), { name: 'KernelError', code: 'ENXIO' });
    frames.close();
    t.end();
  });
}

inNamespace(import.meta.url, testInNamespace);
