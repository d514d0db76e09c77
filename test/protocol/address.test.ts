import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import {
  addressBytes,
  canonicalAddress,
  compareAddresses,
  familyOf,
  formatAddress,
  formatMac,
  isLinkLocal,
  parseAddress,
  parseMac,
  virtualLinkLocal,
} from '../../src/protocol/address.ts';
import { holds } from './holds.ts';

/** Written, canonical (RFC 5952 for IPv6). */
const addresses = [
  ['0.0.0.0', '0.0.0.0'],
  ['192.0.2.1', '192.0.2.1'],
  ['255.255.255.255', '255.255.255.255'],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['2001:0DB8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'], // one zero word is not shortened (4.2.2)
  ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'], // the longer run (4.2.3)
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], // the first of two equal runs (4.2.3)
  ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
  ['0:0:3:4:5:6:7:8', '::3:4:5:6:7:8'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4:5:6:c000:201'],
  ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ['::192.0.2.1', '::c000:201'],
  ['FE80::200:5EFF:FE00:233', 'fe80::200:5eff:fe00:233'],
] as const;

t.test('an address has one canonical form', async (t) => {
  for (const [written, canonical] of addresses) {
    t.equal(canonicalAddress(written), canonical, written);
    t.equal(formatAddress(addressBytes(canonical)), canonical, `${canonical} and back`);
    t.equal(familyOf(canonical), written.includes(':') ? 'ipv6' : 'ipv4');
  }
});

t.test('what is no plain address is none', async (t) => {
  const wrong = [
    '',
    'fw1',
    '192.0.2',
    '192.0.2.1.1',
    '192.0.2.256',
    '192.0.2.01', // octal to some programs
    '192.0.2.-1',
    '192.0.2.1/24',
    ' 192.0.2.1',
    '0xc0.0.2.1',
    '3221225985',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:192.0.2.1',
    '::192.0.2',
    '192.0.2.1::',
    '::192.0.2.1:1',
    '12345::',
    'g::',
    'fe80::1%eth0',
    '2001:db8::/64',
    '[::1]',
  ];
  for (const text of wrong) {
    t.equal(parseAddress(text), undefined, text === '' ? 'the empty string' : text);
    t.equal(canonicalAddress(text), undefined);
  }
  t.throws(() => addressBytes('fw1'), { message: 'not an IP address: fw1' });
  t.throws(() => formatAddress(new Uint8Array(5)), { message: 'an IP address has 4 or 16 octets, not 5' });
});

t.test('addresses compare as unsigned numbers in network order', async (t) => {
  const ascending = [
    ['192.0.2.1', '192.0.2.2'],
    ['192.0.2.9', '192.0.2.10'], // not as text
    ['9.255.255.255', '10.0.0.0'],
    ['127.255.255.255', '128.0.0.0'], // not signed
    ['1.0.0.2', '2.0.0.1'], // not in host order
    ['fe80::9', 'fe80::10'],
    ['fe80::ffff', 'fe80::1:0'],
    ['7fff::', '8000::'],
  ] as const;
  for (const [lower, higher] of ascending) {
    t.ok(compareAddresses(lower, higher) < 0, `${lower} is below ${higher}`);
    t.ok(compareAddresses(higher, lower) > 0);
    t.equal(compareAddresses(higher, higher), 0);
  }
});

t.test('fe80::/10 is link-local', async (t) => {
  for (const inside of ['fe80::', 'fe80::1', 'fe90::1', 'febf:ffff::1']) t.ok(isLinkLocal(inside), inside);
  for (const outside of [
    'fe7f::1',
    'fec0::1',
    'ff02::1',
    '2001:db8::1',
    '::',
    '254.128.0.1',
    '169.254.0.1',
  ]) {
    t.notOk(isLinkLocal(outside), outside);
  }
});

t.test('the virtual link-local address is the EUI-64 of the virtual MAC', async (t) => {
  t.equal(virtualLinkLocal(1), 'fe80::200:5eff:fe00:201');
  t.equal(virtualLinkLocal(255), 'fe80::200:5eff:fe00:2ff');
  for (let vrid = 1; vrid <= 255; vrid += 1) {
    const address = virtualLinkLocal(vrid);
    // 00:00:5e:00:02:VRID with ff:fe in its middle and the universal bit turned (RFC 4291 appendix A).
    const eui64 = [0x02, 0, 0x5e, 0xff, 0xfe, 0, 0x02, vrid];
    if (formatAddress(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...eui64)) !== address) t.fail(address);
  }
});

t.test('MAC addresses', async (t) => {
  t.strictSame(parseMac('00:00:5E:00:01:33'), Uint8Array.of(0, 0, 0x5e, 0, 1, 0x33));
  t.equal(formatMac(Uint8Array.of(0, 0, 0x5e, 0, 1, 0x33)), '00:00:5e:00:01:33');
  for (const wrong of [
    '',
    '00:00:5e:00:01',
    '00:00:5e:00:01:33:44',
    '0:0:5e:0:1:33',
    '00-00-5e-00-01-33',
    'g0:00:5e:00:01:33',
  ]) {
    t.equal(parseMac(wrong), undefined, wrong === '' ? 'the empty string' : wrong);
  }
});

t.test('properties', async (t) => {
  const octets = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    // Mostly zero, so that there are runs to shorten.
    fc
      .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
      .map((list) => Uint8Array.from(list)),
  );
  holds(
    t,
    'text and octets are one',
    fc.property(octets, (bytes) => {
      const text = formatAddress(bytes);
      assert.deepEqual(parseAddress(text), bytes);
      assert.equal(canonicalAddress(text), text);
      // Two other programs' opinions: the resolver's and the URL parser's.
      assert.equal(isIP(text), bytes.length === 4 ? 4 : 6);
      if (bytes.length === 16) assert.equal(new URL(`http://[${text}]/`).hostname, `[${text}]`);
    }),
  );
  const nearlyAddress = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'0123456789af:::...'), maxLength: 24 }),
    fc.ipV4(),
    fc.ipV6(),
  );
  holds(
    t,
    'judged as node:net judges it',
    fc.property(nearlyAddress, (text) => {
      assert.equal(parseAddress(text) !== undefined, isIP(text) !== 0, `'${text}' as node:net judges it`);
    }),
    500,
  );
  holds(
    t,
    'ordered as unsigned numbers',
    fc.property(octets, octets, (left, right) => {
      fc.pre(left.length === right.length);
      const [a, b] = [left, right].map((bytes) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
      const expected = a === b ? 0 : (a ?? 0n) < (b ?? 0n) ? -1 : 1;
      assert.equal(Math.sign(compareAddresses(formatAddress(left), formatAddress(right))), expected);
    }),
  );
});
