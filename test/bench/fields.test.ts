import t from 'tap';
import { vectors } from '../protocol/vectors.ts';
import { addressBytes, craftAdvert } from './craft.ts';
import { isAnnouncementOf, readFrame } from './fields.ts';
import { encodePcap, PcapReader } from './pcap.ts';

/** The judges are held against frames of keepalived, FRR and Linux that somebody else has read. */
t.test('the field reader reads captured frames as the vectors say', async (t) => {
  for (const { name, frame_hex, decoded } of vectors) {
    const seen = readFrame(Buffer.from(frame_hex, 'hex'));
    const hopLimit = decoded.ttl ?? decoded.hop_limit;
    const header = {
      source: decoded.ip_src,
      destination: decoded.ip_dst,
      hopLimit,
      ethernetSource: decoded.eth_src,
    };
    if (decoded.kind === 'vrrp' && decoded.vrrp !== undefined) {
      const { version, vrid, priority, count, addresses } = decoded.vrrp;
      t.match(seen, { kind: 'advert', ...header, version, vrid, priority, count, addresses }, name);
    } else if (decoded.arp !== undefined) {
      const { op, sha, spa } = decoded.arp;
      t.match(seen, { kind: 'arp', operation: op, senderMac: sha, senderAddress: spa }, name);
      t.equal(isAnnouncementOf(seen, spa), name.endsWith('garp'), name);
    } else if (decoded.na !== undefined) {
      const { router, solicited, override, target, tlla } = decoded.na;
      t.match(seen, {
        kind: 'neighbor-advertisement',
        ...header,
        router,
        solicited,
        override,
        target,
        targetMac: tlla,
      });
      t.equal(isAnnouncementOf(seen, target), !solicited, name);
    } else {
      t.equal(seen.kind, 'other', name);
    }
  }
});

t.test('a frame cut short is no advertisement', async (t) => {
  const frame = Buffer.from(vectors[0]?.frame_hex ?? '', 'hex');
  for (let length = 0; length < 14 + 20 + 8; length++)
    t.equal(readFrame(frame.subarray(0, length)).kind, 'other', `${length} octets`);
});

t.test('a crafted advertisement has the octets that keepalived and FRR send', async (t) => {
  const crafted = vectors.filter(({ decoded }) => decoded.kind === 'vrrp' && decoded.vrrp?.version === 3);
  t.ok(crafted.length > 10);
  for (const { name, frame_hex } of crafted) {
    const frame = Buffer.from(frame_hex, 'hex');
    const seen = readFrame(frame);
    if (seen.kind !== 'advert') throw new Error(`${name}: not an advertisement`);
    const octets = frame.subarray(frame.length - seen.length);
    const unchecked = craftAdvert(seen, seen);
    t.equal(Buffer.from(unchecked).toString('hex'), octets.toString('hex'), `${name}, checksum given`);
    if (name.includes('old-checksum')) continue;
    const checked = craftAdvert({ ...seen, checksum: 'pseudo-header' }, seen);
    t.equal(Buffer.from(checked).toString('hex'), octets.toString('hex'), `${name}, checksum computed`);
  }
});

t.test('addresses become octets', async (t) => {
  t.strictSame([...addressBytes('203.0.113.1')], [203, 0, 113, 1]);
  t.equal(Buffer.from(addressBytes('fe80::5')).toString('hex'), 'fe800000000000000000000000000005');
  t.equal(
    Buffer.from(addressBytes('2001:db8:15:7::100')).toString('hex'),
    '20010db8001500070000000000000100',
  );
  t.equal(Buffer.from(addressBytes('::')).toString('hex'), '00'.repeat(16));
});

t.test('frames survive a pcap stream, however it is cut', async (t) => {
  const frames = vectors.map(({ frame_hex }, index) => ({
    at: 1_795_190_477_271.5 + index,
    bytes: Uint8Array.from(Buffer.from(frame_hex, 'hex')),
  }));
  const stream = Buffer.from(encodePcap(frames));
  const reader = new PcapReader();
  const read = Array.from({ length: Math.ceil(stream.length / 7) }, (_, index) =>
    reader.read(stream.subarray(index * 7, index * 7 + 7)),
  ).flat();
  t.strictSame(
    read.map(({ bytes }) => bytes),
    frames.map(({ bytes }) => bytes),
  );
  t.ok(read.every(({ at }, index) => Math.abs(at - (frames[index]?.at ?? 0)) < 0.001));
});
