import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { type Family, addressBytes, advertisementGroup, formatAddress } from '../../src/protocol/address.ts';
import { foldChecksum, sumPseudoHeader } from '../../src/protocol/bytes.ts';
import {
  type Advertisement,
  type Checksum,
  type Decoded,
  type DiscardReason,
  type PacketContext,
  decodeAdvertisement,
  discardReasons,
  encodeAdvertisement,
  multicastContext,
} from '../../src/protocol/vrrp-packet.ts';
import { holds } from './holds.ts';
import { type Message, message, octetsOf } from './messages.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const v4 = multicastContext('ipv4', '192.0.2.1');
const v6 = multicastContext('ipv6', 'fe80::1');

/** Written by hand from RFC 9568 5.2; each row is decoded and encoded. */
const table: readonly {
  name: string;
  bytes: Uint8Array;
  context: PacketContext;
  checksum: Checksum;
  advertisement: Advertisement;
}[] = [
  {
    name: 'IPv4, message-only checksum',
    bytes: hex('31 33 64 01 0064 a802 c0000264'),
    context: v4,
    checksum: 'rfc9568',
    advertisement: { vrid: 51, priority: 100, intervalMs: 1000, addresses: ['192.0.2.100'] },
  },
  {
    name: 'IPv4, checksum with pseudo-header',
    bytes: hex('31 33 64 01 0064 0572 c0000264'),
    context: v4,
    checksum: 'pseudo_header',
    advertisement: { vrid: 51, priority: 100, intervalMs: 1000, addresses: ['192.0.2.100'] },
  },
  {
    name: 'priority 0, shortest interval, smallest VRID',
    bytes: hex('31 01 00 01 0001 0c98 c0000264'),
    context: v4,
    checksum: 'rfc9568',
    advertisement: { vrid: 1, priority: 0, intervalMs: 10, addresses: ['192.0.2.100'] },
  },
  {
    name: 'owner, longest interval, largest VRID, two addresses in their order',
    bytes: hex('31 ff ff 02 0fff 39d1 c00002c8 c0000264'),
    context: v4,
    checksum: 'rfc9568',
    advertisement: { vrid: 255, priority: 255, intervalMs: 40950, addresses: ['192.0.2.200', '192.0.2.100'] },
  },
  {
    name: 'IPv6, link-local first',
    bytes: hex('31 33 64 02 0064 3f97 fe800000000000000000000000000033 20010db8000000000000000000000033'),
    context: v6,
    checksum: 'pseudo_header',
    advertisement: { vrid: 51, priority: 100, intervalMs: 1000, addresses: ['fe80::33', '2001:db8::33'] },
  },
];

t.test('the table, both ways', async (t) => {
  for (const { name, bytes, context, checksum, advertisement } of table) {
    t.strictSame(
      decodeAdvertisement(bytes, { ...context, hopLimit: 255 }),
      { ok: true, advertisement, checksum },
      `${name}: decoded`,
    );
    t.strictSame(encodeAdvertisement(advertisement, context, checksum), bytes, `${name}: encoded`);
  }
});

/** One fault each, in the order of the checks (RFC 9568 7.1, then errata 8299 and 8301). */
const faults: readonly { reason: DiscardReason; hopLimit?: number; wrong?: Partial<Message> }[] = [
  { reason: 'bad_hop_limit', hopLimit: 254 },
  { reason: 'bad_version', wrong: { version: 2 } },
  { reason: 'bad_type', wrong: { type: 2 } },
  { reason: 'bad_length', wrong: { trailer: [0, 0, 0, 0] } },
  { reason: 'bad_checksum', wrong: { checksumError: 1 } },
  { reason: 'no_addresses', wrong: { count: 0, addresses: [] } },
  { reason: 'bad_interval', wrong: { intervalCs: 0 } },
];

function decodeMessage(what: Message, hopLimit = 255): Decoded {
  return decodeAdvertisement(octetsOf(what), { ...what.context, hopLimit });
}

t.test('a fault is named; of two, the one that the RFC checks first', async (t) => {
  const inCodec = discardReasons.slice(0, discardReasons.indexOf('wrong_destination'));
  t.strictSame(
    faults.map(({ reason }) => reason),
    inCodec,
    'every reason of the codec has a row',
  );
  for (const family of ['ipv4', 'ipv6'] as const) {
    t.match(decodeMessage(message({ family })), { ok: true }, `${family}: without a fault`);
    for (const [index, first] of faults.entries()) {
      for (const second of faults.slice(index)) {
        const what = message({ family, ...second.wrong, ...first.wrong });
        const hopLimit = first.hopLimit ?? second.hopLimit;
        const name = first === second ? first.reason : `${first.reason} before ${second.reason}`;
        t.strictSame(
          decodeMessage(what, hopLimit),
          { ok: false, reason: first.reason },
          `${family}: ${name}`,
        );
      }
    }
  }
});

t.test('more of each fault', async (t) => {
  const rows: readonly [name: string, what: Message, reason: DiscardReason, hopLimit?: number][] = [
    ['hop limit 0', message(), 'bad_hop_limit', 0],
    ['hop limit 1', message(), 'bad_hop_limit', 1],
    ['version 0', message({ version: 0 }), 'bad_version'],
    ['version 4', message({ version: 4 }), 'bad_version'],
    ['version 15', message({ version: 15 }), 'bad_version'],
    ['type 0', message({ type: 0 }), 'bad_type'],
    ['type 15', message({ type: 15 }), 'bad_type'],
    ['two addresses announced, one there', message({ count: 2 }), 'bad_length'],
    [
      'one address announced, two there',
      message({ count: 1, addresses: ['192.0.2.1', '192.0.2.2'] }),
      'bad_length',
    ],
    ['255 addresses announced, one there', message({ count: 255 }), 'bad_length'],
    ['no address announced, one there', message({ count: 0 }), 'bad_length'],
    ['one octet too many', message({ trailer: [0] }), 'bad_length'],
    ['padded to the shortest Ethernet frame', message({ trailer: Array<number>(14).fill(0) }), 'bad_length'],
    [
      'an IPv6 list in an IPv4 packet',
      message({ addresses: ['2001:db8::1'], checksum: 'rfc9568' }),
      'bad_length',
    ],
    ['checksum off by one', message({ checksumError: 0xffff }), 'bad_checksum'],
    ['IPv6 without a pseudo-header', message({ family: 'ipv6', checksum: 'rfc9568' }), 'bad_checksum'],
    ['interval 0 behind reserved bits', message({ reserved: 15, intervalCs: 0 }), 'bad_interval'],
  ];
  for (const [name, what, reason, hopLimit] of rows) {
    t.strictSame(decodeMessage(what, hopLimit), { ok: false, reason }, name);
  }
  for (const context of [
    { ...v4, destination: '192.0.2.9' },
    { ...v4, source: '192.0.2.9' },
  ]) {
    const bytes = octetsOf(message({ checksum: 'pseudo_header', context }));
    const elsewhere = decodeAdvertisement(bytes, { ...v4, hopLimit: 255 });
    t.strictSame(elsewhere, { ok: false, reason: 'bad_checksum' }, 'a pseudo-header of other addresses');
  }
  const whole = octetsOf(message());
  for (let length = 0; length < whole.length; length += 1) {
    const cut = decodeAdvertisement(whole.subarray(0, length), { ...v4, hopLimit: 255 });
    t.strictSame(cut, { ok: false, reason: 'bad_length' }, `cut to ${length} octets`);
  }
});

t.test('the reserved bits are ignored (RFC 9568 5.2.6)', async (t) => {
  const plain = decodeMessage(message());
  for (let reserved = 1; reserved <= 15; reserved += 1) {
    t.strictSame(decodeMessage(message({ reserved })), plain, `reserved ${reserved}`);
  }
});

t.test('the longest lists', async (t) => {
  for (const family of ['ipv4', 'ipv6'] as const) {
    const prefix = family === 'ipv4' ? '10.0.0.' : '2001:db8::';
    const addresses = Array.from({ length: 255 }, (_, index) => `${prefix}${index + 1}`).map((address) =>
      formatAddress(addressBytes(address)),
    );
    const context = family === 'ipv4' ? v4 : v6;
    const advertisement = { vrid: 1, priority: 100, intervalMs: 1000, addresses };
    const bytes = encodeAdvertisement(advertisement, context, 'pseudo_header');
    t.equal(bytes.length, 8 + 255 * (family === 'ipv4' ? 4 : 16), `${family}: length`);
    t.match(decodeAdvertisement(bytes, { ...context, hopLimit: 255 }), { ok: true, advertisement });
  }
});

t.test('one damaged bit anywhere is noticed', async (t) => {
  for (const { name, bytes, context } of table) {
    let passed = 0;
    for (const index of bytes.keys()) {
      for (let bit = 0; bit < 8; bit += 1) {
        const damaged = Uint8Array.from(bytes);
        damaged[index] = (damaged[index] ?? 0) ^ (1 << bit);
        if (decodeAdvertisement(damaged, { ...context, hopLimit: 255 }).ok) passed += 1;
      }
    }
    t.equal(passed, 0, name);
  }
});

t.test('context of our own Advertisements', async (t) => {
  t.strictSame(v4, { family: 'ipv4', source: '192.0.2.1', destination: '224.0.0.18' });
  t.strictSame(v6, { family: 'ipv6', source: 'fe80::1', destination: 'ff02::12' });
});

const addressOf = (family: Family): fc.Arbitrary<string> => {
  const length = family === 'ipv4' ? 4 : 16;
  return fc.uint8Array({ minLength: length, maxLength: length }).map(formatAddress);
};
/** Without it fast-check makes objects without a prototype, which equal no ordinary one. */
const plain = { noNullPrototype: true };
const contextOf = (family: Family): fc.Arbitrary<PacketContext> =>
  fc.record(
    {
      family: fc.constant(family),
      source: addressOf(family),
      destination: fc.oneof(fc.constant(advertisementGroup[family]), addressOf(family)),
    },
    plain,
  );

t.test('properties', async (t) => {
  const anyMessage = fc.constantFrom<Family>('ipv4', 'ipv6').chain((family) =>
    fc.record({
      advertisement: fc.record(
        {
          vrid: fc.integer({ min: 1, max: 255 }),
          priority: fc.nat(255),
          intervalMs: fc.integer({ min: 1, max: 4095 }).map((centiseconds) => centiseconds * 10),
          addresses: fc.array(addressOf(family), { minLength: 1, maxLength: 255 }),
        },
        plain,
      ),
      context: contextOf(family),
      checksum: fc.constantFrom<Checksum>(
        ...(family === 'ipv4' ? ['rfc9568' as const] : []),
        'pseudo_header',
      ),
    }),
  );
  holds(
    t,
    'what is encoded decodes to the same',
    fc.property(anyMessage, ({ advertisement, context, checksum }) => {
      const bytes = encodeAdvertisement(advertisement, context, checksum);
      // A pseudo-header that adds up to nothing leaves the two readings the same.
      const { source, destination } = context;
      const sum = sumPseudoHeader(addressBytes(source), addressBytes(destination), 112, bytes.length);
      fc.pre(foldChecksum(sum) !== 0);
      const decoded = decodeAdvertisement(bytes, { ...context, hopLimit: 255 });
      assert.deepEqual(decoded, { ok: true, advertisement, checksum });
    }),
    200,
  );
  holds(
    t,
    'what is encoded is what the plain encoder of the tests writes',
    fc.property(anyMessage, ({ advertisement, context, checksum }) => {
      const { intervalMs, ...fields } = advertisement;
      const { family } = context;
      const expected = message({ family, ...fields, intervalCs: intervalMs / 10, checksum, context });
      assert.deepEqual(encodeAdvertisement(advertisement, context, checksum), octetsOf(expected));
    }),
    200,
  );
  const anyContext = fc
    .constantFrom<Family>('ipv4', 'ipv6')
    .chain((family) =>
      fc.record({ context: contextOf(family), hopLimit: fc.oneof(fc.constant(255), fc.nat(255)) }),
    );
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 2048 }),
    // With the right first octet, and a length that fits the count.
    fc
      .record({ count: fc.nat(80), rest: fc.uint8Array({ minLength: 1300, maxLength: 1300 }) })
      .map(({ count, rest }) => {
        rest.set([0x31, 51, 100, count]);
        return rest.subarray(0, 8 + 4 * count);
      }),
  );
  holds(
    t,
    'no octets whatever make it throw',
    fc.property(anyBytes, anyContext, (bytes, { context, hopLimit }) => {
      const decoded = decodeAdvertisement(bytes, { ...context, hopLimit });
      if (!decoded.ok) assert.ok(discardReasons.includes(decoded.reason));
    }),
    1000,
  );
});
