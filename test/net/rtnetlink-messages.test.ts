import fc from 'fast-check';
import { AttrStream, formatMessage, parseHeader, parseMessages } from 'netlink/dist/structs.js';
import {
  formatAddressMessage,
  formatLinkMessage,
  parseAddressMessage,
  parseLinkMessage,
} from 'netlink/dist/rt/structs.js';
import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import t from 'tap';
import {
  type AddressMessage,
  type Message,
  addAddress,
  decodeMessages,
  deleteAddress,
  dumpAddresses,
  dumpLinks,
  encodeMessage,
  setPromoteSecondaries,
} from '../../src/net/rtnetlink-messages.ts';
import { type Family, addressBytes, formatAddress } from '../../src/protocol/address.ts';
import { holds } from '../protocol/holds.ts';

// The judge is the codec of the npm package `netlink`, written by somebody else.

const news = { sequence: 0, partOfDump: false, dumpInterrupted: false };

const ipv4: AddressMessage = {
  interfaceIndex: 3,
  family: 'ipv4',
  address: '192.0.2.9',
  peer: '192.0.2.9',
  prefixLength: 24,
  scope: 0,
  flags: 0x80,
  label: 'va0:v',
  protocol: 112,
};
const ipv6: AddressMessage = {
  interfaceIndex: 3,
  family: 'ipv6',
  address: '2001:db8::9',
  peer: '2001:db8::9',
  prefixLength: 128,
  scope: 0,
  flags: 0xa2,
  label: undefined,
  protocol: 112,
};

/** As Linux 6.18 sent them, on a little-endian machine. */
const captured: readonly { name: string; bytes: string; message: Message }[] = [
  {
    name: 'RTM_NEWADDR, IPv4 with label and protocol',
    bytes:
      '580000001400000007000000884e0000021880000300000008000100c000020908000200c00002090a0003007661303a76000000' +
      '05000b0070000000080008008000000014000600ffffffffffffffff586a0300586a0300',
    message: { type: 'address', gone: false, address: ipv4, ...news, sequence: 7 },
  },
  {
    name: 'RTM_NEWADDR, IPv6 deprecated, as the work queue sends it',
    bytes:
      '500000001400000000000000000000000a80a200030000001400010020010db8000000000000000000000009' +
      '1400060000000000ffffffff586a0300586a030008000800a200000005000b0070000000',
    message: { type: 'address', gone: false, address: ipv6, ...news },
  },
  {
    name: 'RTM_DELADDR',
    bytes:
      '58000000150000000a000000884e0000021880000300000008000100c000020908000200c00002090a0003007661303a76000000' +
      '05000b0070000000080008008000000014000600ffffffffffffffff586a0300586a0300',
    message: { type: 'address', gone: true, address: ipv4, ...news, sequence: 10 },
  },
  {
    name: 'an acknowledgement',
    bytes: '240000000200000107000000884e00000000000044000000140005060700000000000000',
    message: { type: 'answer', errno: 0, detail: undefined, ...news, sequence: 7 },
  },
  {
    name: "a refusal in the kernel's words",
    bytes:
      '480000000200000308000000884e0000efffffff44000000140005060800000000000000' +
      '23000100697076343a204164647265737320616c72656164792061737369676e65640000',
    message: { type: 'answer', errno: 17, detail: 'ipv4: Address already assigned', ...news, sequence: 8 },
  },
  {
    name: 'the end of a dump',
    bytes: '14000000030002000b000000884e000000000000',
    message: { type: 'answer', errno: 0, detail: undefined, ...news, sequence: 11, partOfDump: true },
  },
];

t.test(
  'decodes what the kernel sends',
  { skip: endianness() !== 'LE' && 'captured on another kind of machine' },
  (t) => {
    for (const { name, bytes, message } of captured) {
      t.strictSame(decodeMessages(Buffer.from(bytes, 'hex')), { messages: [message], malformed: 0 }, name);
    }
    const all = decodeMessages(Buffer.from(captured.map(({ bytes }) => bytes).join(''), 'hex'));
    t.strictSame(
      all.messages,
      captured.map(({ message }) => message),
      'all in one datagram',
    );
    t.end();
  },
);

t.test('a refusal that carries the whole request', (t) => {
  const bytes = Buffer.from(captured[4]?.bytes ?? '', 'hex');
  const capped = 0x100;
  const request = encodeMessage(addAddress(ipv4), 8);
  const view = new DataView(request.buffer);
  const host = endianness() === 'LE';
  const head = bytes.subarray(0, 20);
  const whole = Buffer.concat([head, request, bytes.subarray(36)]);
  new DataView(whole.buffer, whole.byteOffset).setUint32(0, whole.length, host);
  whole.writeUInt16LE(whole.readUInt16LE(6) & ~capped, 6);
  t.equal(view.getUint32(0, host), request.length);
  const { messages } = decodeMessages(whole);
  t.match(messages, [{ type: 'answer', errno: 17, detail: 'ipv4: Address already assigned' }]);
  t.end();
});

const u32 = fc.nat({ max: 0xffffffff });
const octet = fc.nat({ max: 255 });

function addresses(family: Family): fc.Arbitrary<string> {
  const length = family === 'ipv4' ? 4 : 16;
  return fc.uint8Array({ minLength: length, maxLength: length }).map(formatAddress);
}

const addressMessages: fc.Arbitrary<AddressMessage> = fc
  .constantFrom<Family>('ipv4', 'ipv6')
  .chain((family) =>
    fc.record(
      {
        interfaceIndex: u32,
        family: fc.constant(family),
        address: addresses(family),
        peer: addresses(family),
        prefixLength: octet,
        scope: octet,
        flags: u32,
        label: fc.option(fc.stringMatching(/^[a-z0-9:.]{0,15}$/), { nil: undefined }),
        protocol: fc.option(octet, { nil: undefined }),
      },
      { noNullPrototype: true },
    ),
  );

t.test('addresses', (t) => {
  holds(
    t,
    'come back as they were encoded',
    fc.property(addressMessages, u32, (address, sequence) => {
      assert.deepEqual(decodeMessages(encodeMessage(addAddress(address), sequence)), {
        messages: [{ type: 'address', gone: false, address, ...news, sequence }],
        malformed: 0,
      });
      const { messages } = decodeMessages(encodeMessage(deleteAddress(address), sequence));
      assert.deepEqual(messages, [{ type: 'address', gone: true, address, ...news, sequence }]);
    }),
  );
  holds(
    t,
    'are encoded as the judge understands them',
    fc.property(addressMessages, u32, (address, seq) => {
      const [message, ...more] = parseMessages(Buffer.from(encodeMessage(addAddress(address), seq)));
      if (message === undefined) throw new Error('the judge sees no message');
      assert.deepEqual(
        [message.type, message.flags, message.seq, message.port, more],
        [20, 0x605, seq, 0, []],
      );
      const { data, attrs } = parseAddressMessage(message.data);
      const { family, prefixlen, scope, index } = data;
      const expected = [
        address.family === 'ipv4' ? 2 : 10,
        address.prefixLength,
        address.scope,
        address.interfaceIndex,
      ];
      assert.deepEqual([family, prefixlen, scope, index], expected);
      assert.equal(attrs.local?.compare(addressBytes(address.address)), 0);
      assert.equal(attrs.address?.compare(addressBytes(address.peer)), 0);
      assert.equal(attrs.label, address.label);
      const deprecated = (address.flags & 0x20) !== 0;
      assert.deepEqual(attrs.cacheInfo?.ifaPrefered, deprecated ? 0 : undefined);
      assert.deepEqual(attrs.cacheInfo?.ifaValid, deprecated ? 0xffffffff : undefined);
    }),
  );
  holds(
    t,
    'are understood as the judge encodes them',
    fc.property(addressMessages, u32, (address, seq) => {
      const stream = new AttrStream();
      formatAddressMessage(
        {
          kind: 'address',
          data: {
            family: address.family === 'ipv4' ? 2 : 10,
            prefixlen: address.prefixLength,
            scope: address.scope,
            index: address.interfaceIndex,
          },
          attrs: {
            local: Buffer.from(addressBytes(address.address)),
            address: Buffer.from(addressBytes(address.peer)),
            ...(address.label !== undefined && { label: address.label }),
            flags: { nodad: true, __unknown: 0x40000 },
          },
        },
        stream,
      );
      const bytes = Buffer.concat(formatMessage({ type: 20, flags: 0, seq, port: 7, data: stream.bufs }));
      const expected = { ...address, flags: 0x40002, protocol: undefined };
      assert.deepEqual(decodeMessages(bytes).messages, [
        { type: 'address', gone: false, address: expected, ...news, sequence: seq },
      ]);
    }),
  );
  t.end();
});

t.test('the judge does not see who configured an address', (t) => {
  const [message] = parseMessages(Buffer.from(encodeMessage(addAddress(ipv4), 1)));
  const { attrs } = parseAddressMessage(message?.data ?? Buffer.alloc(0));
  t.notMatch(
    JSON.stringify(attrs),
    /112|proto/i,
    'which is why its codec is not ours: docs/decisions/netlink-transport.md',
  );
  t.end();
});

t.test('links', (t) => {
  const link = fc.record({
    index: fc.integer({ min: 1, max: 0x7fffffff }),
    up: fc.boolean(),
    mac: fc.uint8Array({ minLength: 6, maxLength: 6 }),
    name: fc.stringMatching(/^[a-z0-9.]{1,15}$/),
    mtu: u32,
    operstate: octet,
  });
  holds(
    t,
    'are understood as the judge encodes them',
    fc.property(link, fc.boolean(), ({ index, up, mac, name, mtu, operstate }, gone) => {
      const stream = new AttrStream();
      formatLinkMessage(
        {
          kind: 'link',
          data: { family: 0, index, flags: up ? { up: true, lowerUp: true } : {} },
          attrs: { address: Buffer.from(mac), ifname: name, mtu, operstate },
        },
        stream,
      );
      const type = gone ? 17 : 16;
      const bytes = Buffer.concat(formatMessage({ type, flags: 0, seq: 0, port: 0, data: stream.bufs }));
      const text = Buffer.from(mac)
        .toString('hex')
        .replace(/..(?=.)/g, '$&:');
      const expected = { index, flags: up ? 0x10001 : 0, name, mac: text, mtu, operState: operstate };
      assert.deepEqual(decodeMessages(bytes).messages, [
        { type: 'link', gone, link: { ...expected, promoteSecondaries: undefined }, ...news },
      ]);
    }),
  );

  const bridgePort = Buffer.alloc(16);
  bridgePort[0] = 7; // AF_BRIDGE
  const bytes = Buffer.concat(formatMessage({ type: 17, flags: 0, seq: 0, port: 0, data: bridgePort }));
  t.match(
    decodeMessages(bytes).messages,
    [{ type: 'other' }],
    "a bridge's word about a port is no word about the link",
  );
  t.end();
});

t.test('requests, as the judge understands them', (t) => {
  const head = (bytes: Uint8Array): unknown => {
    const { length, type, flags, seq } = parseHeader(Buffer.from(bytes)).x;
    return { whole: length === bytes.length, type, flags, seq };
  };
  const dumpOfLinks = encodeMessage(dumpLinks(), 5);
  t.same(head(dumpOfLinks), { whole: true, type: 18, flags: 0x301, seq: 5 });
  t.match(parseLinkMessage(Buffer.from(dumpOfLinks.subarray(16))), { data: { index: 0 } });
  const dumpOfAddresses = encodeMessage(dumpAddresses(), 6);
  t.same(head(dumpOfAddresses), { whole: true, type: 22, flags: 0x301, seq: 6 });
  const some = encodeMessage(dumpAddresses({ family: 'ipv6', interfaceIndex: 9 }), 6);
  t.match(parseAddressMessage(Buffer.from(some.subarray(16))), {
    data: { family: 10, index: 9, prefixlen: 0 },
  });
  const promotion = encodeMessage(setPromoteSecondaries(4, true), 7);
  t.same(head(promotion), { whole: true, type: 19, flags: 0x5, seq: 7 });
  const { data, attrs } = parseLinkMessage(Buffer.from(promotion.subarray(16)));
  t.equal(data.index, 4);
  t.ok(attrs.afSpec?.has(2), 'for IPv4');
  t.end();
});

t.test('what makes no sense', (t) => {
  holds(
    t,
    'is counted, whatever it is',
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const { messages, malformed } = decodeMessages(bytes);
      return bytes.length === 0 || messages.length + malformed > 0;
    }),
    2000,
  );
  const messages = Buffer.concat([encodeMessage(addAddress(ipv4), 1), encodeMessage(addAddress(ipv6), 2)]);
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
  for (let length = 1; length < messages.length; length += 1) {
    const whole = encodeMessage(addAddress(ipv4), 1).length;
    const { messages: read, malformed } = decodeMessages(messages.subarray(0, length));
    t.equal(malformed, length === whole ? 0 : 1, `cut off after ${length} octets`);
    t.equal(read.length, length < whole ? 0 : 1);
  }
  t.end();
});
