import fc from 'fast-check';
import t from 'tap';
import { formatDuration, parseDuration } from '../../src/config/duration.ts';
import { eitherOf, nearest } from '../../src/config/suggest.ts';
import { firewallMark } from '../../src/config/net-kinds.ts';
import { parsePrefix } from '../../src/config/prefix.ts';
import { parseHostAddress, parseVirtualAddress } from '../../src/config/virtual-address.ts';
import { formatAddress } from '../../src/protocol/address.ts';

void t.test('durations', async (t) => {
  const rows: [string | number, number | undefined][] = [
    ['10ms', 10],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['1h', 3_600_000],
    [30, 30_000],
    ['30', 30_000],
    [0, 0],
    // Products that a double does not hold exactly.
    ['0.07s', 70],
    [0.07, 70],
    [40.95, 40_950],
    ['0.29s', 290],
    ['1.1m', 66_000],
    ['0.5ms', 0.5],
    ['1 s', undefined],
    ['1d', undefined],
    ['-1s', undefined],
    [-1, undefined],
    ['.5s', undefined],
    ['1e3', undefined],
    ['', undefined],
    ['s', undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
  ];
  for (const [written, ms] of rows) t.equal(parseDuration(written), ms, String(written));
});

void t.test(
  'every hundredth of a second an advertisement can say is exact, in all its spellings',
  async (t) => {
    const wrong = Array.from({ length: 4095 }, (_, index) => (index + 1) * 10).filter(
      (ms) =>
        parseDuration(`${ms}ms`) !== ms ||
        parseDuration(`${ms / 1000}s`) !== ms ||
        parseDuration(ms / 1000) !== ms ||
        parseDuration(formatDuration(ms)) !== ms,
    );
    t.strictSame(wrong, []);
  },
);

void t.test('virtual addresses', async (t) => {
  const good = [
    '203.0.113.1/24',
    '203.0.113.254/24',
    '10.0.0.0/31',
    '10.0.0.1/31',
    '10.0.0.0/32',
    '10.0.0.255/32',
    '10.0.0.255/16',
    '10.0.1.0/16',
    '203.0.113.1/0',
    '2001:db8::1/64',
    '2001:db8::/127',
    '2001:db8::/128',
    '2001:db8::ffff:ffff:ffff:ffff/64',
    'fe80::1/64',
  ];
  for (const text of good) {
    const [address, length] = text.split('/');
    t.match(parseVirtualAddress(text), { address, prefixLength: Number(length) }, text);
  }
  const bad: [string, RegExp][] = [
    ['203.0.113.0/24', /is a network address/],
    ['128.0.0.0/1', /is a network address/],
    ['10.0.0.4/30', /is a network address/],
    ['203.0.113.255/24', /is the broadcast address of its network/],
    ['10.0.0.7/30', /is the broadcast address of its network/],
    ['127.255.255.255/1', /is a loopback address/],
    ['255.255.255.255/32', /is the broadcast address/],
    ['255.255.255.255/0', /is the broadcast address/],
    ['224.0.0.1/32', /is a multicast address/],
    ['239.255.255.255/32', /is a multicast address/],
    ['127.0.0.1/8', /is a loopback address/],
    ['0.0.0.0/0', /is the unspecified address/],
    ['::/128', /is the unspecified address/],
    ['::1/128', /is the loopback address/],
    ['ff02::12/128', /is a multicast address/],
    ['2001:db8::/64', /is a Subnet-Router anycast address/],
    ['2001:db8::4/126', /is a Subnet-Router anycast address/],
    ['::ffff:10.0.0.1/128', /is an IPv4-mapped address/],
    ['10.0.0.1', /has no prefix length/],
    ['10.0.0.1/', /has no prefix length from 0 to 32/],
    ['10.0.0.1/024', /has no prefix length from 0 to 32/],
    ['10.0.0.1/33', /has no prefix length from 0 to 32/],
    ['2001:db8::1/129', /has no prefix length from 0 to 128/],
    ['10.0.0.1/24/24', /has no prefix length from 0 to 32/],
    ['10.0.0.1/-1', /has no prefix length from 0 to 32/],
    ['10.0.0/24', /is no IP address/],
    ['eth0', /is no IP address/],
    ['', /is no IP address/],
    ['fe80::1%eth0/64', /has a zone/],
  ];
  for (const [text, reason] of bad) {
    const refusal = parseVirtualAddress(text);
    t.match('what' in refusal ? refusal.what : 'accepted', reason, text);
  }
});

void t.test('an IPv4 address is refused by /LEN exactly when its host bits are all 0 or all 1', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0x01000000, max: 0x7effffff }),
      fc.integer({ min: 0, max: 32 }),
      (value, length) => {
        const text = [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
        const size = 2 ** (32 - length);
        const host = value % size;
        const refused = length <= 30 && (host === 0 || host === size - 1);
        return 'what' in parseVirtualAddress(`${text}/${length}`) === refused;
      },
    ),
  );
});

void t.test('networks', async (t) => {
  const good = [
    '0.0.0.0/0',
    '10.0.0.0/8',
    '10.1.2.3/32',
    '203.0.113.128/25',
    '::/0',
    '2001:db8::/32',
    '2001:db8::1/128',
  ];
  for (const text of good) {
    const [address, length] = text.split('/');
    t.match(parsePrefix(text), { address, prefixLength: Number(length) }, text);
  }
  const bad: [string, RegExp][] = [
    ['10.0.0.1/8', /has host bits/],
    ['203.0.113.1/0', /has host bits/],
    ['2001:db8::1/127', /has host bits/],
    ['10.0.0.0', /has no prefix length/],
    ['10.0.0.0/33', /has no prefix length from 0 to 32/],
    ['fe80::%eth0/64', /has a zone/],
    ['default', /is no IP address/],
  ];
  for (const [text, reason] of bad) {
    const refusal = parsePrefix(text);
    t.match('what' in refusal ? refusal.what : 'accepted', reason, text);
  }
});

void t.test(
  'a network is refused exactly when a bit after its prefix is set, with what was meant',
  async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(bytes, fc.nat(128), (octets, bits) => {
        const length = Math.min(bits, octets.length * 8);
        const binary = [...octets].map((octet) => octet.toString(2).padStart(8, '0')).join('');
        const text = `${formatAddress(octets)}/${length}`;
        const parsed = parsePrefix(text);
        if (!binary.slice(length).includes('1')) return !('what' in parsed);
        const [, meant = ''] = 'what' in parsed ? (/^write ([^,]+),/.exec(parsed.fix) ?? []) : [];
        return !('what' in parsePrefix(meant)) && meant.endsWith(`/${length}`);
      }),
    );
  },
);

void t.test('addresses of hosts', async (t) => {
  t.equal(parseHostAddress('2001:DB8:0::1'), '2001:db8::1');
  t.equal(parseHostAddress('203.0.113.0'), '203.0.113.0', 'whether it is a network is not known here');
  const bad: [string, RegExp][] = [
    ['203.0.113.1/24', /has a prefix length/],
    ['fe80::1%eth0', /has a zone/],
    ['gateway', /is no IP address/],
    ['0.0.0.0', /is the unspecified address/],
    ['::1', /is the loopback address/],
    ['ff02::1', /is a multicast address/],
    ['::ffff:192.0.2.1', /is an IPv4-mapped address/],
  ];
  for (const [text, reason] of bad) {
    const refusal = parseHostAddress(text);
    t.match(typeof refusal === 'string' ? 'accepted' : refusal.what, reason, text);
  }
});

void t.test('firewall marks', async (t) => {
  const rows: [string | number, { value: number; mask: number } | undefined][] = [
    [1, { value: 1, mask: 0xffff_ffff }],
    ['0x1', { value: 1, mask: 0xffff_ffff }],
    ['0x80000000/0xf0000000', { value: 0x8000_0000, mask: 0xf000_0000 }],
    ['0/0xff', { value: 0, mask: 255 }],
    [0xffff_ffff, { value: 0xffff_ffff, mask: 0xffff_ffff }],
    ['1/2', undefined],
    ['1/0', undefined],
    ['010', undefined],
    ['0x100000000', undefined],
    [2 ** 32, undefined],
    [-1, undefined],
    [1.5, undefined],
    ['', undefined],
  ];
  for (const [text, mark] of rows)
    t.strictSame(firewallMark().schema.safeParse(text).data, mark, String(text));
});

void t.test('the nearest word', async (t) => {
  const words = ['interface', 'interval', 'vrid', 'priority', 'addresses', 'runtime_directory'];
  t.equal(nearest('intreface', words), 'interface', 'two letters swapped');
  t.equal(nearest('vird', words), 'vrid');
  t.equal(nearest('Priority', words), 'priority');
  t.equal(nearest('address', words), 'addresses');
  t.equal(nearest('runtime-directory', words), 'runtime_directory');
  t.equal(nearest('colour', words), undefined);
  t.equal(nearest('', words), undefined);
  t.equal(nearest('interfaces', words, 0), undefined);
  t.equal(nearest('x'.repeat(100_000), words), undefined);
  t.equal(eitherOf(['a']), 'a');
  t.equal(eitherOf(['a', 'b', 'c']), 'a, b or c');
});
