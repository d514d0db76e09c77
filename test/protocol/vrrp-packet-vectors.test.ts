import t from 'tap';
import {
  type Checksum,
  type Decoded,
  type DiscardReason,
  decodeAdvertisement,
  encodeAdvertisement,
  listsLinkLocalFirst,
} from '../../src/protocol/vrrp-packet.ts';
import { type Vector, datagramIn, frameOf, vectorNamed, vectors } from './vectors.ts';

/** What becomes of the captured frames that are not plain multicast VRRPv3. */
const discarded: Readonly<Record<string, DiscardReason>> = {
  // keepalived's old_unicast_checksum: the pseudo-header has a destination that the packet has not.
  'ka-unicast-v3-ipv4-old-checksum': 'bad_checksum',
  'ka-unicast-v3-ipv4-ttl64': 'bad_hop_limit',
  'ka-unicast-v3-ipv6': 'bad_hop_limit',
  'ka-unicast-v3-ipv6-prio0': 'bad_hop_limit',
};

function decodeVector(vector: Vector): Decoded {
  const { payload, ...context } = datagramIn(frameOf(vector));
  return decodeAdvertisement(payload, context);
}

t.test('captured VRRPv3 frames decode and re-encode', async (t) => {
  const frames = vectors.filter(({ decoded }) => decoded.kind === 'vrrp' && decoded.vrrp?.version === 3);
  t.equal(frames.length, 32);
  for (const vector of frames) {
    const { name, decoded } = vector;
    const { vrrp } = decoded;
    const reason = discarded[name];
    if (vrrp === undefined) throw new Error(`${name} holds no VRRP`);
    if (reason !== undefined) {
      t.strictSame(decodeVector(vector), { ok: false, reason }, `${name}: ${reason}`);
      continue;
    }
    const { payload, ...context } = datagramIn(frameOf(vector));
    // Neither keepalived nor FRR, as Debian 12 has them, can send the message-only form.
    const checksum: Checksum = 'pseudo_header';
    t.ok(vrrp.checksum_rule.includes(`${context.family}_pseudo_header`), `${name}: checksum rule`);
    const advertisement = {
      vrid: vrrp.vrid,
      priority: vrrp.priority,
      intervalMs: (vrrp.max_advert_int_cs ?? 0) * 10,
      addresses: vrrp.addresses,
    };
    t.strictSame(decodeVector(vector), { ok: true, advertisement, checksum }, `${name}: decoded`);
    t.strictSame(encodeAdvertisement(advertisement, context, checksum), payload, `${name}: re-encoded`);
  }
});

t.test('the message-only form of a captured frame (synthetic: no program here sends it)', async (t) => {
  const { payload, ...context } = datagramIn(frameOf(vectorNamed('ka-v3-ipv4')));
  const synthetic = Uint8Array.from(payload);
  new DataView(synthetic.buffer).setUint16(6, 0xa7fc);
  const decoded = decodeAdvertisement(synthetic, context);
  t.match(decoded, { ok: true, checksum: 'rfc9568' });
  if (decoded.ok) {
    t.strictSame(encodeAdvertisement(decoded.advertisement, context, 'rfc9568'), synthetic);
    t.strictSame(encodeAdvertisement(decoded.advertisement, context, 'pseudo_header'), payload);
  }
});

t.test('captured VRRPv2 frames are not for us', async (t) => {
  for (const vector of vectors) {
    const { kind, vrrp } = vector.decoded;
    if (vrrp?.version !== 2) continue;
    const { payload, protocol, ...context } = datagramIn(frameOf(vector));
    if (kind === 'vrrp') {
      t.strictSame(decodeAdvertisement(payload, context), { ok: false, reason: 'bad_version' }, vector.name);
    } else {
      // IPsec AH: protocol 51 never reaches a socket of protocol 112. What is inside (24 octets on) is version 2 all the same.
      t.equal(protocol, 51, vector.name);
      t.strictSame(decodeAdvertisement(payload, context), { ok: false, reason: 'bad_version' });
      t.strictSame(decodeAdvertisement(payload.subarray(24), context), { ok: false, reason: 'bad_version' });
    }
  }
});

t.test('FRR lists a global IPv6 address first: heard all the same, and it shows', async (t) => {
  const first = (name: string): boolean | undefined => {
    const decoded = decodeVector(vectorNamed(name));
    return decoded.ok ? listsLinkLocalFirst(decoded.advertisement) : undefined;
  };
  t.equal(first('frr-v3-ipv6-global-only'), false);
  t.equal(first('frr-v3-ipv6-two-vips-25cs'), false);
  t.equal(first('interop-frr-v3-ipv6-ll-first'), true);
  t.equal(first('ka-v3-ipv6'), true);
  t.equal(
    listsLinkLocalFirst({ vrid: 1, priority: 1, intervalMs: 1000, addresses: [] }),
    false,
    'an empty list',
  );
});
