import fc from 'fast-check';
import t from 'tap';
import { advertisementFilter } from '../../src/net/filter.ts';
import type { Family } from '../../src/protocol/address.ts';
import { runFilter } from './bpf.ts';
import { type IpPacket, advertisement, filterView } from './packets.ts';

const families = ['ipv4', 'ipv6'] as const;

function packet(family: Family, change: Partial<IpPacket> = {}): IpPacket {
  return {
    family,
    source: family === 'ipv4' ? '192.0.2.1' : 'fe80::1',
    destination: family === 'ipv4' ? '224.0.0.18' : 'ff02::12',
    hopLimit: 255,
    payload: advertisement(family, 51),
    ...change,
  };
}

/** Which of the two programs passes the packet. */
function verdict(sent: IpPacket, vrids: readonly number[]): 'accept' | 'reject' | 'both' | 'neither' {
  const { accept, reject } = advertisementFilter({ family: sent.family, vrids });
  const { shown, header } = filterView(sent);
  const accepted = runFilter(accept, shown, header) >= shown.length && shown.length > 0;
  const rejected = runFilter(reject, shown, header) > 0;
  if (accepted && rejected) return 'both';
  if (accepted) return 'accept';
  return rejected ? 'reject' : 'neither';
}

/** Octet `index` replaced. */
function altered(payload: Uint8Array, index: number, octet: number): Uint8Array {
  const copy = Uint8Array.from(payload);
  copy[index] = octet;
  return copy;
}

for (const family of families) {
  const size = family === 'ipv4' ? 4 : 16;
  const good = advertisement(family, 51);
  const vrids = [7, 51, 255];
  const table: readonly { name: string; change: Partial<IpPacket>; expected: 'accept' | 'reject' }[] = [
    { name: 'an Advertisement', change: {}, expected: 'accept' },
    {
      name: 'one with 255 addresses',
      change: { payload: advertisement(family, 255, 255) },
      expected: 'accept',
    },
    { name: 'reserved bits set', change: { payload: altered(good, 4, 0xf0) }, expected: 'accept' },
    { name: 'interval of 1 cs', change: { payload: altered(good, 5, 1) }, expected: 'accept' },
    { name: 'priority 0', change: { payload: altered(good, 2, 0) }, expected: 'accept' },
    { name: 'hop limit 254', change: { hopLimit: 254 }, expected: 'reject' },
    { name: 'hop limit 0', change: { hopLimit: 0 }, expected: 'reject' },
    { name: 'VRRPv2', change: { payload: altered(good, 0, 0x21) }, expected: 'reject' },
    { name: 'another type', change: { payload: altered(good, 0, 0x32) }, expected: 'reject' },
    { name: 'another VRID', change: { payload: altered(good, 1, 52) }, expected: 'reject' },
    { name: 'interval 0', change: { payload: altered(good, 5, 0) }, expected: 'reject' },
    {
      name: 'interval 0, reserved bits set',
      change: { payload: altered(altered(good, 5, 0), 4, 0xf0) },
      expected: 'reject',
    },
    { name: 'no address', change: { payload: advertisement(family, 51, 0) }, expected: 'reject' },
    { name: 'count too large', change: { payload: altered(good, 3, 2) }, expected: 'reject' },
    {
      name: 'count too small',
      change: { payload: altered(advertisement(family, 51, 2), 3, 1) },
      expected: 'reject',
    },
    {
      name: 'one octet more',
      change: { payload: Buffer.concat([good, Uint8Array.of(0)]) },
      expected: 'reject',
    },
    { name: 'one octet less', change: { payload: good.subarray(0, 7 + size) }, expected: 'reject' },
    { name: 'header only', change: { payload: good.subarray(0, 8) }, expected: 'reject' },
    { name: 'one octet', change: { payload: good.subarray(0, 1) }, expected: 'reject' },
    { name: 'nothing', change: { payload: new Uint8Array() }, expected: 'reject' },
  ];
  t.test(`${family}: what is accepted`, (t) => {
    for (const { name, change, expected } of table)
      t.equal(verdict(packet(family, change), vrids), expected, name);
    t.end();
  });

  t.test(`${family}: every VRID of every list, and no other`, (t) => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 255 })),
        fc.integer({ min: 0, max: 255 }),
        (list, vrid) => {
          const expected = list.includes(vrid) ? 'accept' : 'reject';
          return verdict(packet(family, { payload: advertisement(family, vrid) }), list) === expected;
        },
      ),
    );
    t.end();
  });

  t.test(`${family}: all 255 VRIDs fit`, (t) => {
    const all = Array.from({ length: 255 }, (_, index) => index + 1);
    const rejected = all.filter(
      (vrid) => verdict(packet(family, { payload: advertisement(family, vrid) }), all) !== 'accept',
    );
    t.same(rejected, []);
    t.equal(verdict(packet(family, { payload: advertisement(family, 0) }), all), 'reject');
    t.end();
  });

  t.test(`${family}: whatever comes, one of the two passes it and not the other`, (t) => {
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 120 }),
      fc
        .tuple(
          fc.integer({ min: 0, max: 6 }),
          fc.integer({ min: 0, max: 11 }),
          fc.integer({ min: 0, max: 255 }),
        )
        .map(([count, index, octet]) => altered(advertisement(family, 51, count), index, octet)),
    );
    const options = fc.integer({ min: 0, max: 10 }).map((words) => new Uint8Array(words * 4).fill(1));
    fc.assert(
      fc.property(payload, options, fc.constantFrom(0, 1, 254, 255), (payload, options, hopLimit) =>
        ['accept', 'reject'].includes(verdict(packet(family, { payload, options, hopLimit }), vrids)),
      ),
      { numRuns: 1000 },
    );
    t.end();
  });
}

t.test('IPv4 options do not move the Advertisement away', (t) => {
  for (const words of [1, 5, 10]) {
    const options = new Uint8Array(words * 4).fill(1);
    t.equal(verdict(packet('ipv4', { options }), [51]), 'accept', `${words * 4} octets of options`);
    t.equal(verdict(packet('ipv4', { options }), [52]), 'reject');
  }
  t.end();
});

t.test('an IPv4 packet of any octets at all is passed by exactly one', (t) => {
  const { accept, reject } = advertisementFilter({ family: 'ipv4', vrids: [51] });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), (shown) => {
      const accepted = runFilter(accept, shown, shown) > 0;
      return accepted !== runFilter(reject, shown, shown) > 0;
    }),
    { numRuns: 2000 },
  );
  t.end();
});

t.test('a VRID outside 1 to 255 is our own mistake', (t) => {
  for (const vrid of [0, 256, 1.5, Number.NaN]) {
    t.throws(() => advertisementFilter({ family: 'ipv4', vrids: [vrid] }), { name: 'AssertionError' });
  }
  t.end();
});
