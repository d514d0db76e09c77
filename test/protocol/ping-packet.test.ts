import fc from 'fast-check';
import t from 'tap';
import { families } from '../../src/protocol/address.ts';
import { decodeEchoReply, encodeEchoRequest } from '../../src/protocol/ping-packet.ts';

const payload = Buffer.from('hello world');

t.test('a request as it goes out', async (t) => {
  const echo = { identifier: 0x1234, sequence: 0x0001, payload };
  // RFC 1071 by hand: 0800+1234+0001+6865+6c6c+6f20+776f+726c+6400 = 2ac01, folded ac03, inverted 53fc
  t.equal(hex(encodeEchoRequest('ipv4', echo)), '080053fc1234000168656c6c6f20776f726c64');
  t.equal(
    hex(encodeEchoRequest('ipv6', echo)),
    '800000001234000168656c6c6f20776f726c64',
    'the kernel fills in the checksum',
  );
});

t.test('replies, and what is none', async (t) => {
  const reply = Buffer.from('00005bfc1234000168656c6c6f20776f726c64', 'hex');
  const echo = { identifier: 0x1234, sequence: 1, payload: new Uint8Array(payload) };
  const withoutType = (octets: string): Buffer => Buffer.from(octets, 'hex');
  t.match(plain(decodeEchoReply('ipv4', reply)), { ok: true, echo });
  t.strictSame(decodeEchoReply('ipv4', reply.subarray(0, 7)), { ok: false, reason: 'too_short' });
  t.strictSame(decodeEchoReply('ipv4', withoutType('080053fc12340001')), {
    ok: false,
    reason: 'no_echo_reply',
  });
  t.strictSame(decodeEchoReply('ipv4', withoutType('0001edc912340001')), {
    ok: false,
    reason: 'no_echo_reply',
  });
  t.strictSame(decodeEchoReply('ipv6', reply), { ok: false, reason: 'no_echo_reply' });
  reply[12] = 0;
  t.strictSame(decodeEchoReply('ipv4', reply), { ok: false, reason: 'bad_checksum' });
  t.match(decodeEchoReply('ipv6', withoutType('8100ffff00020003')), {
    ok: true,
    echo: { identifier: 2, sequence: 3 },
  });
});

t.test('what is sent comes back, whatever it is; nothing is ever thrown', async (t) => {
  const u16 = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(
      fc.constantFrom(...families),
      u16,
      u16,
      fc.uint8Array({ maxLength: 64 }),
      (family, identifier, sequence, payload) => {
        const bytes = encodeEchoRequest(family, { identifier, sequence, payload });
        // The type of a reply; over IPv4 its checksum is that much larger.
        bytes[0] = family === 'ipv4' ? 0 : 129;
        const view = new DataView(bytes.buffer);
        const sum = view.getUint16(2) + 0x0800;
        view.setUint16(2, (sum & 0xffff) + (sum >> 16));
        const decoded = decodeEchoReply(family, bytes);
        t.same(decoded.ok && plain(decoded), { ok: true, echo: { identifier, sequence, payload } });
      },
    ),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.constantFrom(...families), fc.uint8Array({ maxLength: 80 }), (family, bytes) => {
      decodeEchoReply(family, bytes);
    }),
  );
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** With a payload that compares: a view becomes octets of its own. */
function plain(decoded: ReturnType<typeof decodeEchoReply>): unknown {
  return decoded.ok
    ? { ok: true, echo: { ...decoded.echo, payload: new Uint8Array(decoded.echo.payload) } }
    : decoded;
}
