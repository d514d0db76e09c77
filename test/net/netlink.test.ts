import fc from 'fast-check';
import { endianness } from 'node:os';
import t, { type Test } from 'tap';
import { type Native, loadNative, slot } from '../../src/net/native.ts';
import { Netlink, type NetlinkHandlers, type Request, readSlab } from '../../src/net/netlink.ts';
import {
  type AddressMessage,
  addAddress,
  deleteAddress,
  dumpAddresses,
  dumpLinks,
  encodeMessage,
  setPromoteSecondaries,
} from '../../src/net/rtnetlink-messages.ts';
import { holds } from '../protocol/holds.ts';

// Over a real socket, without root: what may be asked of the kernel by anybody. The rest is in test/kernel/kernel.test.ts.

const native = loadNative();
const isRoot = process.getuid?.() === 0;
const noSuchInterface = 0x7ffffff0;

const address: AddressMessage = {
  interfaceIndex: noSuchInterface,
  family: 'ipv4',
  address: '192.0.2.1',
  peer: '192.0.2.1',
  prefixLength: 24,
  scope: 0,
  flags: 0,
  label: undefined,
  protocol: 112,
};

const links: Request = { command: dumpLinks(), operation: 'list', target: 'links' };
const addresses: Request = { command: dumpAddresses(), operation: 'list', target: 'addresses' };
const remove: Request = {
  command: deleteAddress(address),
  operation: 'remove address',
  target: '192.0.2.1/24 on nowhere',
};
const promote: Request = {
  command: setPromoteSecondaries(noSuchInterface, true),
  operation: 'set promote_secondaries',
  target: 'nowhere',
};

const littleEndian = endianness() === 'LE';
const size = slot.data + 32 * 1024;

/** The addon, with a hand in what it reads. */
function meddling(meddle: (slab: DataView, filled: number) => number): Native {
  const receive: Native['receive'] = (fd, slab, slotBytes) => {
    const filled = native.receive(fd, slab, slotBytes);
    return filled > 0 ? meddle(new DataView(slab.buffer, slab.byteOffset, slab.byteLength), filled) : filled;
  };
  return { ...native, receive };
}

/** Marks what was read as part of a dump under which the table changed, as often as it says. */
function interrupting(times: number): Native {
  return meddling((slab, filled) => {
    const flags = slot.data + 6;
    times -= 1;
    if (times >= 0) slab.setUint16(flags, slab.getUint16(flags, littleEndian) | 0x10, littleEndian);
    return filled;
  });
}

function opened(t: Test, handlers: Partial<NetlinkHandlers> = {}, addon: Native = native): Netlink {
  const netlink = new Netlink(addon, [1, 5, 9], {
    onMessages: () => undefined,
    onRead: () => undefined,
    onLost: () => t.fail('lost'),
    ...handlers,
  });
  netlink.open();
  t.teardown(() => netlink.close());
  return netlink;
}

t.test('dumps links and addresses', async (t) => {
  const netlink = opened(t);
  const { result, messages } = await netlink.dump(links);
  t.equal(result, 'done');
  t.match(
    messages.find((message) => message.type === 'link' && message.link.name === 'lo'),
    { gone: false, link: { mac: '00:00:00:00:00:00', promoteSecondaries: Boolean }, partOfDump: true },
  );
  t.match(await netlink.dump(addresses), { result: 'done' }, 'one after the other');
  t.strictSame(netlink.counters, { overruns: 0, malformed: 0, foreign: 0 });
});

t.test('refusals say what, on what, and why, each in its place', async (t) => {
  const answers = await opened(t).batch([remove, promote, remove]);
  const refusal = (request: Request, code: string): object => ({
    result: 'refused',
    error: { name: 'KernelError', code, operation: request.operation, target: request.target },
  });
  const codes = isRoot ? ['ENODEV', 'ENODEV', 'ENODEV'] : ['EPERM', 'EPERM', 'EPERM'];
  t.match(answers, [
    refusal(remove, codes[0] ?? ''),
    refusal(promote, codes[1] ?? ''),
    refusal(remove, codes[2] ?? ''),
  ]);
});

t.test('a request that is none is refused as well', async (t) => {
  const netlink = opened(t);
  const nonsense: Request = { ...links, command: { ...links.command, type: 1000 } };
  t.match(await netlink.dump(nonsense), { result: 'refused', error: { code: 'EOPNOTSUPP' } });
  const tooShort: Request = { ...links, command: { ...links.command, body: new Uint8Array(1) } };
  t.match(await netlink.dump(tooShort), { result: 'refused', error: { code: 'EINVAL', message: /\(.+\)/ } });
  const tooMany = new Array<Request>(5000).fill(remove);
  const answers = await netlink.batch(tooMany);
  t.equal(answers.length, 5000);
  t.match(answers.at(-1), { result: 'refused', error: { code: 'EINVAL' } }, 'more than the addon sends');
  t.match(await netlink.dump(links), { result: 'done' }, 'and the socket goes on working');
});

t.test('nobody waits for a socket that is closed', async (t) => {
  const netlink = opened(t);
  const out = [netlink.batch([remove, promote]), netlink.dump(links)] as const;
  netlink.close();
  t.match(await out[0], [{ result: 'lost' }, { result: 'lost' }]);
  t.match(await out[1], { result: 'lost' });
  t.match(await netlink.batch([remove]), [{ result: 'lost' }], 'nor for one that was closed before');
  netlink.open();
  t.match(await netlink.dump(links), { result: 'done' }, 'and it can be opened again');
});

t.test('a dump that was interrupted', async (t) => {
  const whole = await opened(t).dump(links);
  const again = await opened(t, {}, interrupting(1)).dump(links);
  t.equal(again.result, 'done');
  t.equal(again.messages.length, whole.messages.length, 'is asked for again, from the beginning');
  t.match(await opened(t, {}, interrupting(1000)).dump(links), { result: 'lost' }, 'but not for ever');
});

t.test('what cannot be read', async (t) => {
  const table: readonly {
    name: string;
    meddle: (slab: DataView, filled: number) => number;
    counters: object;
  }[] = [
    { name: 'an overrun', meddle: () => -105, counters: { overruns: 1 } },
    {
      name: 'a message longer than its datagram',
      meddle: (slab, filled) => {
        slab.setUint32(slot.data, size, littleEndian);
        return filled;
      },
      counters: { malformed: 1 },
    },
  ];
  for (const { name, meddle, counters } of table) {
    let lost = 0;
    const netlink = opened(t, { onLost: () => (lost += 1) }, meddling(meddle));
    t.match(await netlink.dump(links), { result: 'lost' }, `${name}: nobody waits`);
    t.same([lost, netlink.isOpen], [1, false], `${name}: said once`);
    t.same(netlink.counters, { overruns: 0, malformed: 0, foreign: 0, ...counters });
  }
});

t.test('what was read from the socket', (t) => {
  const size = slot.data + 256;
  const slab = (datagrams: readonly { bytes: Uint8Array; port?: number; length?: number }[]): Uint8Array => {
    const slots = new Uint8Array(size * datagrams.length);
    const view = new DataView(slots.buffer);
    for (const [index, { bytes, port, length }] of datagrams.entries()) {
      view.setUint32(index * size + slot.length, length ?? bytes.length, littleEndian);
      view.setUint32(index * size + slot.source, port ?? 0, littleEndian);
      slots.set(bytes, index * size + slot.data);
    }
    return slots;
  };
  const news = encodeMessage(addAddress(address), 0);

  t.match(
    readSlab(slab([{ bytes: news, port: 4711 }, { bytes: news }]), 2, size),
    { messages: { length: 1 }, malformed: 0, foreign: 1 },
    'only the kernel is believed',
  );
  t.match(
    readSlab(slab([{ bytes: news.subarray(0, 40) }, { bytes: news }]), 2, size),
    { messages: { length: 1 }, malformed: 1, foreign: 0 },
    'what is cut off is counted, and what comes behind it is read',
  );
  t.match(
    readSlab(slab([{ bytes: news }, { bytes: news }]), 1, size),
    { messages: { length: 1 } },
    'as many as filled',
  );
  holds(
    t,
    'nothing in a slab is too strange',
    fc.property(fc.uint8Array({ minLength: size * 2, maxLength: size * 2, size: 'max' }), (bytes) => {
      readSlab(bytes, 2, size);
    }),
  );
  t.end();
});
