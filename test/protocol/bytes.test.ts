import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { addressBytes } from '../../src/protocol/address.ts';
import { foldChecksum, sumPseudoHeader, sumWords } from '../../src/protocol/bytes.ts';
import { holds } from './holds.ts';

t.test('the Internet checksum', async (t) => {
  // RFC 1071 section 3: these octets add up to ddf2.
  const example = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  t.equal(foldChecksum(sumWords(example)), ~0xddf2 & 0xffff);
  t.equal(foldChecksum(sumWords(Uint8Array.of())), 0xffff, 'of nothing');
  t.equal(foldChecksum(sumWords(Uint8Array.of(0xff, 0xff))), 0, 'of all ones');
  t.equal(
    sumWords(Uint8Array.of(0x12, 0x34, 0x56)),
    0x1234 + 0x5600,
    'an odd last octet is the high half of a word',
  );
  t.equal(foldChecksum(0x1fffe), 0, 'the carry of a carry is added too');
  t.equal(foldChecksum(0xffff * 0x10001), 0, 'more than 32 bits fold as well');
});

t.test('a pseudo-header counts both addresses, the protocol and the length', async (t) => {
  const sum = sumPseudoHeader(addressBytes('192.0.2.1'), addressBytes('224.0.0.18'), 112, 12);
  t.equal(sum, 0xc000 + 0x0201 + 0xe000 + 0x0012 + 112 + 12);
  const six = sumPseudoHeader(addressBytes('fe80::1'), addressBytes('ff02::12'), 112, 40);
  t.equal(six, 0xfe80 + 1 + 0xff02 + 0x12 + 112 + 40);
});

t.test('properties', async (t) => {
  const even = fc.uint8Array({ maxLength: 2048 }).map((bytes) => bytes.subarray(0, bytes.length & ~1));
  holds(
    t,
    'parts add up to the whole',
    fc.property(even, even, (left, right) => {
      const whole = Uint8Array.from([...left, ...right]);
      assert.equal(sumWords(right, sumWords(left)), sumWords(whole), 'parts add up to the whole');
    }),
  );
  holds(
    t,
    'a message with its checksum sums to zero',
    fc.property(even, (bytes) => {
      const checksum = foldChecksum(sumWords(bytes));
      const sealed = Uint8Array.from([...bytes, checksum >> 8, checksum & 0xff]);
      assert.equal(foldChecksum(sumWords(sealed)), 0, 'a message with its checksum sums to zero');
    }),
  );
});
