import assert from 'node:assert/strict';
import { type Family, virtualLinkLocal } from '../../src/protocol/address.ts';
import { step } from '../../src/protocol/vrrp-machine.ts';
import {
  type Advertisement,
  type Checksum,
  type DiscardReason,
  decodeAdvertisement,
  encodeAdvertisement,
  listsLinkLocalFirst,
  multicastContext,
} from '../../src/protocol/vrrp-packet.ts';
import type { ConformanceRow } from './conformance-row.ts';
import { type Message, message, octetsOf } from './messages.ts';
import { deadline, did, heard, inInit, inMaster, play, settings } from './samples.ts';

/** Reference 1.1 and 1.2: the IP header as far as the protocol sees it, and the fields of the message. */

function encoded(
  changes: Partial<Advertisement> = {},
  family: Family = 'ipv4',
  checksum: Checksum = 'rfc9568',
): Uint8Array {
  const { vrid, priority, intervalMs } = settings;
  const addresses = family === 'ipv4' ? settings.addresses : [virtualLinkLocal(vrid), '2001:db8::33'];
  const context = multicastContext(family, family === 'ipv4' ? '192.0.2.2' : 'fe80::2');
  return encodeAdvertisement({ vrid, priority, intervalMs, addresses, ...changes }, context, checksum);
}

export function assertAccepted(changes: Partial<Message>, hopLimit = 255): Advertisement {
  const what = message(changes);
  const decoded = decodeAdvertisement(octetsOf(what), { ...what.context, hopLimit });
  assert(decoded.ok, `discarded: ${decoded.ok ? '' : decoded.reason}`);
  return decoded.advertisement;
}

export function assertDiscarded(changes: Partial<Message>, reason: DiscardReason, hopLimit = 255): void {
  const what = message(changes);
  const decoded = decodeAdvertisement(octetsOf(what), { ...what.context, hopLimit });
  assert.deepEqual(decoded, { ok: false, reason });
}

export const messageRows: readonly ConformanceRow[] = [
  {
    id: 'V3-06',
    section: '5.1.1.3, 7.1',
    level: 'MUST',
    requirement: 'discard received TTL != 255',
    passes: { name: 'TTL 255', check: () => assertAccepted({}) },
    refuses: {
      name: 'every other TTL',
      check: () => {
        for (let ttl = 0; ttl < 255; ttl += 1) assertDiscarded({}, 'bad_hop_limit', ttl);
      },
    },
  },
  {
    id: 'V3-08',
    section: '5.1.2.3, 7.1',
    level: 'MUST',
    requirement: 'discard hop limit != 255',
    passes: { name: 'hop limit 255', check: () => assertAccepted({ family: 'ipv6' }) },
    refuses: {
      name: 'every other hop limit',
      check: () => {
        for (let limit = 0; limit < 255; limit += 1)
          assertDiscarded({ family: 'ipv6' }, 'bad_hop_limit', limit);
      },
    },
  },
  {
    id: 'V3-10',
    section: '7.2',
    level: 'MUST',
    requirement: 'send to 224.0.0.18 / ff02::12 (MAC 01:00:5e:00:00:12 / 33:33:00:00:00:12)',
    passes: {
      name: "the destination that our checksum covers (the MAC is the kernel's)",
      check: () => {
        assert.equal(multicastContext('ipv4', '192.0.2.2').destination, '224.0.0.18');
        assert.equal(multicastContext('ipv6', 'fe80::2').destination, 'ff02::12');
      },
    },
  },
  {
    id: 'V3-13',
    section: '5.2.1',
    level: 'def',
    requirement: 'version field 3',
    passes: {
      name: 'both families begin with 0x31',
      check: () => {
        assert.equal(encoded()[0], 0x31);
        assert.equal(encoded({}, 'ipv6')[0], 0x31);
      },
    },
    refuses: { name: 'version 2', check: () => assertDiscarded({ version: 2 }, 'bad_version') },
  },
  {
    id: 'V3-14',
    section: '5.2.2',
    level: 'MUST',
    requirement: 'unknown type is discarded (only 1 exists)',
    passes: { name: 'type 1', check: () => assertAccepted({ type: 1 }) },
    refuses: {
      name: 'types 0 and 2 to 15',
      check: () => {
        for (let type = 0; type <= 15; type += 1) if (type !== 1) assertDiscarded({ type }, 'bad_type');
      },
    },
  },
  {
    id: 'V3-15',
    section: '5.2.3',
    level: 'def',
    requirement: 'VRID 1..255, no default; VRID scope = interface + address family',
    passes: {
      name: 'the VRID stands in the second octet, and comes back',
      check: () => {
        for (const vrid of [1, 51, 255]) {
          assert.equal(encoded({ vrid })[1], vrid);
          assert.equal(assertAccepted({ vrid }).vrid, vrid);
        }
      },
    },
    refuses: {
      name: 'what one family hears does not move the router of the same VRID of the other',
      check: () => {
        const six = step(inInit({ family: 'ipv6' }), { type: 'startup', resume: false }, 0).router;
        const four = step(inInit(), { type: 'startup', resume: false }, 0).router;
        step(four, heard(200, { arrivedAt: 2000 }), 2000);
        assert.deepEqual(did(step(six, deadline, 3609.375))[0], 'send-advertisement 100');
      },
    },
  },
  {
    id: 'V3-16',
    section: '5.2.4',
    level: 'MUST',
    requirement: 'address owner uses priority 255',
    deviation:
      'a demoted owner says less than 255, at least 1: the operator must be able to move the addresses without reconfiguring',
    passes: {
      name: 'an owner says 255 from the start, and the wire too',
      check: () => {
        const started = step(inInit({ priority: 255 }), { type: 'startup', resume: false }, 0);
        assert.equal(did(started)[0], 'send-advertisement 255');
        assert.equal(encoded({ priority: 255 })[2], 255);
      },
    },
  },
  {
    id: 'V3-17',
    section: '5.2.4',
    level: 'MUST',
    requirement: 'non-owners use 1..254 (default 100)',
    passes: {
      name: 'the configured priority, and less when demoted',
      check: () => {
        assert.equal(did(step(inMaster({ priority: 254 }), deadline, 1000))[0], 'send-advertisement 254');
        assert.equal(did(step(inMaster({ priority: 100 }, 30), deadline, 1000))[0], 'send-advertisement 70');
      },
    },
    refuses: {
      name: 'no demotion makes it 0',
      check: () => {
        for (const demotion of [99, 100, 101, 254, 1000]) {
          assert.equal(did(step(inMaster({}, demotion), deadline, 1000))[0], 'send-advertisement 1');
        }
      },
    },
  },
  {
    id: 'V3-18',
    section: '5.2.4',
    level: 'def',
    requirement: 'priority 0 only means "AR is leaving"',
    passes: {
      name: 'said on shutdown, and by a planned handover',
      check: () => {
        const shutdown = step(inMaster(), { type: 'shutdown', reason: { code: 'shutdown' } }, 500);
        assert.equal(did(shutdown)[0], 'send-advertisement 0');
        assert.deepEqual(did(step(inMaster(), { type: 'leave', then: 'backup' }, 500)), [
          'send-advertisement 0',
        ]);
      },
    },
    refuses: {
      name: 'never said otherwise',
      check: () => {
        const events = [
          deadline,
          heard(0),
          heard(50),
          heard(200),
          { type: 'demotion-changed', demotion: 254 },
          { type: 'settings-changed', settings: { ...settings, priority: 1 } },
          { type: 'resign', reason: { code: 'late_loop', lateMs: 9000 } },
          { type: 'overslept', lateMs: 9000 },
        ] as const;
        for (const event of events) {
          const { actions } = play(inMaster(), [1000, event]);
          const said = actions.filter(
            (action) => action.type === 'send-advertisement' && action.priority === 0,
          );
          assert.deepEqual(said, [], event.type);
        }
      },
    },
  },
  {
    id: 'V3-19',
    section: '5.2.5 (erratum 8299 in 7.1)',
    level: 'MUST',
    requirement: 'ignore advert with count 0',
    passes: { name: 'count 1', check: () => assertAccepted({ addresses: ['192.0.2.100'] }) },
    refuses: {
      name: 'count 0, both families',
      check: () => {
        assertDiscarded({ addresses: [] }, 'no_addresses');
        assertDiscarded({ family: 'ipv6', addresses: [] }, 'no_addresses');
      },
    },
  },
  {
    id: 'V3-20',
    section: '5.2.6',
    level: 'MUST',
    requirement: 'reserve nibble zero on send',
    passes: {
      name: 'at every interval',
      check: () => {
        for (let centiseconds = 1; centiseconds <= 4095; centiseconds += 1) {
          assert.equal((encoded({ intervalMs: centiseconds * 10 })[4] ?? 0) >> 4, 0);
        }
      },
    },
  },
  {
    id: 'V3-21',
    section: '5.2.6',
    level: 'MUST',
    requirement: 'reserve nibble ignored on receive',
    passes: {
      name: 'every nibble is accepted',
      check: () => {
        for (let reserved = 0; reserved <= 15; reserved += 1) assertAccepted({ reserved });
      },
    },
    refuses: {
      name: 'it is no part of the interval',
      check: () => {
        assert.equal(assertAccepted({ reserved: 15, intervalCs: 100 }).intervalMs, 1000);
        assertDiscarded({ reserved: 15, intervalCs: 0 }, 'bad_interval');
      },
    },
  },
  {
    id: 'V3-22',
    section: '5.2.7',
    level: 'def',
    requirement: 'Max Advertise Interval = own Advertisement_Interval in cs, 12 bits',
    passes: {
      name: '0.01 s is 1, 0.25 s is 25, 40.95 s is 4095',
      check: () => {
        for (const [intervalMs, centiseconds] of [
          [10, 1],
          [250, 25],
          [40950, 4095],
        ] as const) {
          const bytes = encoded({ intervalMs });
          assert.equal(new DataView(bytes.buffer).getUint16(4), centiseconds);
          assert.equal(assertAccepted({ intervalCs: centiseconds }).intervalMs, intervalMs);
        }
      },
    },
  },
  {
    id: 'V3-23',
    section: '5.2.8',
    level: 'MUST',
    requirement:
      "IPv4 checksum: one's complement over the VRRP message only, checksum field zero, NO pseudo-header",
    deviation:
      'the reading with a pseudo-header is accepted too, and can be sent: keepalived and FRR know no other, and two masters are worse',
    passes: {
      name: 'sent and accepted',
      check: () => {
        const what = message({ context: multicastContext('ipv4', '192.0.2.2') });
        assert.deepEqual(encoded({}, 'ipv4', 'rfc9568'), octetsOf(what));
        assertAccepted({ checksum: 'rfc9568' });
      },
    },
    refuses: {
      name: 'any other sum',
      check: () => {
        for (const checksumError of [1, 0x100, 0x8000, 0xfffe])
          assertDiscarded({ checksumError }, 'bad_checksum');
      },
    },
  },
  {
    id: 'V3-24',
    section: '5.2.8',
    level: 'MUST',
    requirement:
      'IPv6 checksum: message + RFC 8200 8.1 pseudo-header, upper-layer length = message length, next header 112, destination = ff02::12',
    passes: {
      name: 'sent, whatever the reading for IPv4, and accepted',
      check: () => {
        const addresses = [virtualLinkLocal(51), '2001:db8::33'];
        const what = message({ family: 'ipv6', addresses, context: multicastContext('ipv6', 'fe80::2') });
        assert.deepEqual(encoded({}, 'ipv6', 'rfc9568'), octetsOf(what));
        assert.deepEqual(encoded({}, 'ipv6', 'pseudo_header'), octetsOf(what));
        assertAccepted({ family: 'ipv6' });
      },
    },
    refuses: {
      name: 'the message alone',
      check: () => assertDiscarded({ family: 'ipv6', checksum: 'rfc9568' }, 'bad_checksum'),
    },
  },
  {
    id: 'V3-25',
    section: '5.2.9, 6.1',
    level: 'MUST',
    requirement: 'IPv6 list starts with the link-local address of the VR',
    passes: {
      name: 'the one that a VRID brings is link-local, and stands first on the wire',
      check: () => {
        assert(listsLinkLocalFirst(assertAccepted({ family: 'ipv6', addresses: [virtualLinkLocal(51)] })));
        assert.deepEqual([...encoded({}, 'ipv6').subarray(8, 10)], [0xfe, 0x80]);
      },
    },
    refuses: {
      name: 'a list that does not is known as such',
      check: () => {
        const advertisement = assertAccepted({ family: 'ipv6', addresses: ['2001:db8::33', 'fe80::33'] });
        assert(!listsLinkLocalFirst(advertisement));
      },
    },
  },
  {
    id: 'V3-26',
    section: '5.2.9',
    level: 'MUST',
    requirement: 'list is one family, that of the carrying IP header',
    passes: {
      name: '8 + 4n and 8 + 16n octets',
      check: () => {
        assert.equal(encoded({ addresses: ['192.0.2.1', '192.0.2.2', '192.0.2.3'] }).length, 8 + 3 * 4);
        assert.equal(encoded({ addresses: ['fe80::1', '2001:db8::1'] }, 'ipv6').length, 8 + 2 * 16);
      },
    },
    refuses: {
      name: "the other family's addresses in the list",
      check: () => {
        assertDiscarded({ family: 'ipv4', addresses: ['2001:db8::1'] }, 'bad_length');
        assertDiscarded({ family: 'ipv6', addresses: ['192.0.2.1'] }, 'bad_length');
      },
    },
  },
  {
    id: 'V3-27',
    section: '5.2.9',
    level: 'def',
    requirement: 'same configured order on all routers',
    passes: {
      name: 'the order of the configuration is the order on the wire, and comes back',
      check: () => {
        const addresses = ['192.0.2.9', '192.0.2.1', '192.0.2.5'];
        assert.deepEqual(
          Array.from({ length: 3 }, (_, index) => encoded({ addresses })[8 + index * 4 + 3]),
          [9, 1, 5],
        );
        assert.deepEqual(assertAccepted({ addresses }).addresses, addresses);
      },
    },
  },
];
