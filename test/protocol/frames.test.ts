import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { formatAddress, parseMac } from '../../src/protocol/address.ts';
import { foldChecksum, sumPseudoHeader, sumWords } from '../../src/protocol/bytes.ts';
import { gratuitousArp, unsolicitedNeighborAdvertisement } from '../../src/protocol/frames.ts';
import { holds } from './holds.ts';
import { type Vector, datagramIn, frameOf, vectorNamed, vectors } from './vectors.ts';

function mac(text: string | undefined): Uint8Array {
  const bytes = parseMac(text ?? '');
  if (bytes === undefined) throw new Error(`not a MAC: ${text}`);
  return bytes;
}

function arpOf(vector: Vector): { op: number; sha: string; spa: string } {
  const { arp } = vector.decoded;
  if (arp === undefined) throw new Error(`${vector.name} is no ARP`);
  return arp;
}

function naOf(vector: Vector): NonNullable<Vector['decoded']['na']> {
  const { na } = vector.decoded;
  if (na === undefined) throw new Error(`${vector.name} is no Neighbor Advertisement`);
  return na;
}

/** Where the ICMPv6 message begins in an NA frame, and its parts. */
const icmpv6At = 14 + 40;
const checksumAt = icmpv6At + 2;
const flagsAt = icmpv6At + 4;

t.test('gratuitous ARP is what keepalived and FRR send, octet for octet', async (t) => {
  for (const name of ['ka-garp', 'ka-vmac-garp', 'frr-garp']) {
    const vector = vectorNamed(name);
    const { sha, spa } = arpOf(vector);
    t.strictSame(gratuitousArp(mac(sha), spa), frameOf(vector), name);
  }
});

t.test('unsolicited NA is what keepalived (forwarding on) and FRR send, octet for octet', async (t) => {
  for (const name of ['ka-vmac-una-forwarding', 'ka-vmac-una-forwarding-link-local', 'frr-una']) {
    const vector = vectorNamed(name);
    const { tlla, target } = naOf(vector);
    t.strictSame(unsolicitedNeighborAdvertisement(mac(tlla), target), frameOf(vector), name);
  }
});

t.test(
  'where keepalived clears the Router flag with forwarding off, ours is set (RFC 9568 6.4.1): nothing else differs',
  async (t) => {
    for (const name of ['ka-una-link-local', 'ka-una-global', 'ka-vmac-una']) {
      const theirs = frameOf(vectorNamed(name));
      const { tlla, target } = naOf(vectorNamed(name));
      const ours = unsolicitedNeighborAdvertisement(mac(tlla), target);
      t.equal(theirs[flagsAt], 0x20, `${name}: O alone`);
      t.equal(ours[flagsAt], 0xa0, `${name}: ours has R and O`);
      const differing = [...ours.keys()].filter((index) => ours[index] !== theirs[index]);
      const allowed = [checksumAt, checksumAt + 1, flagsAt];
      t.strictSame(
        differing.filter((index) => !allowed.includes(index)),
        [],
        `${name}: only the flag and the checksum differ`,
      );
      t.ok(differing.includes(flagsAt));
    }
  },
);

t.test('what a correct router must not send cannot be made', async (t) => {
  const wrong = vectors.filter(({ name }) => /WRONG|no-router-flag/.test(name));
  t.equal(wrong.length, 4, 'counter-examples in the vectors');
  for (const vector of wrong) {
    const { arp, na } = vector.decoded;
    if (arp !== undefined) {
      // A reply, from a MAC that is not the virtual router's: replies are the kernel's business, ours are requests.
      t.equal(arp.op, 2, vector.name);
      const ours = gratuitousArp(mac(arp.sha), arp.spa);
      t.equal(new DataView(ours.buffer).getUint16(20), 1, 'ours is a request');
      t.strictNotSame(ours, frameOf(vector));
    } else {
      const { tlla, target, router, solicited } = na ?? naOf(vector);
      t.strictSame({ router, solicited }, { router: false, solicited: true }, vector.name);
      const ours = unsolicitedNeighborAdvertisement(mac(tlla), target);
      t.equal(ours[flagsAt], 0xa0, 'ours has R set and S clear');
      t.strictNotSame(ours, frameOf(vector));
    }
  }
});

t.test('properties', async (t) => {
  const macs = fc.uint8Array({ minLength: 6, maxLength: 6 });
  holds(
    t,
    'gratuitous ARP of any MAC and address',
    fc.property(macs, fc.uint8Array({ minLength: 4, maxLength: 4 }), (from, ip) => {
      const frame = gratuitousArp(from, formatAddress(ip));
      assert.equal(frame.length, 42);
      assert.deepEqual(frame.subarray(6, 12), from, 'Ethernet source');
      assert.deepEqual(frame.subarray(22, 28), from, 'sender hardware address');
      assert.deepEqual(frame.subarray(28, 32), ip, 'sender protocol address');
      assert.deepEqual(frame.subarray(38, 42), ip, 'target protocol address');
    }),
  );
  holds(
    t,
    'unsolicited NA of any MAC and address',
    fc.property(macs, fc.uint8Array({ minLength: 16, maxLength: 16 }), (from, ip) => {
      const frame = unsolicitedNeighborAdvertisement(from, formatAddress(ip));
      assert.equal(frame.length, 86);
      const { hopLimit, protocol, payload, source, destination } = datagramIn(frame);
      assert.deepEqual(
        { hopLimit, protocol, destination },
        { hopLimit: 255, protocol: 58, destination: 'ff02::1' },
      );
      assert.equal(source, formatAddress(ip));
      assert.deepEqual(payload.subarray(8, 24), ip, 'target');
      assert.deepEqual(payload.subarray(26, 32), from, 'target link-layer address');
      const pseudoHeader = sumPseudoHeader(
        frame.subarray(22, 38),
        frame.subarray(38, 54),
        58,
        payload.length,
      );
      assert.equal(foldChecksum(sumWords(payload, pseudoHeader)), 0, 'checksum');
    }),
  );
});
