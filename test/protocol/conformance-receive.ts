import assert from 'node:assert/strict';
import { alarmsOf } from '../../src/protocol/alarms.ts';
import { createGroup, groupState, stepGroup } from '../../src/protocol/group.ts';
import type { Settings } from '../../src/protocol/machine.ts';
import { step } from '../../src/protocol/vrrp-machine.ts';
import {
  type Advertisement,
  decodeAdvertisement,
  listsLinkLocalFirst,
} from '../../src/protocol/vrrp-packet.ts';
import { assertAccepted, assertDiscarded } from './conformance-message.ts';
import type { ConformanceRow } from './conformance-row.ts';
import { message, octetsOf } from './messages.ts';
import { did, downMs, heard, higherAddress, inBackup, inMaster, ourAddress, settings } from './samples.ts';

/** Reference 1.7: the receive checks of RFC 9568 7.1. */

/** The alarms of a backup that has heard one Advertisement. */
function alarmsAfter(
  advertisement: Partial<Advertisement>,
  changes: Partial<Settings> = {},
): readonly string[] {
  const member = { id: 'wan', settings: { ...settings, ...changes }, primaryAddress: ourAddress };
  const started = stepGroup(createGroup([member]), { type: 'startup', resume: false }, 0).group;
  const event = { ...heard(150, { arrivedAt: 10, ...advertisement }), id: 'wan' };
  const { group } = stepGroup(started, event, 10);
  assert.equal(groupState(group), 'backup');
  return alarmsOf(group, 10, 0);
}

export const receiveRows: readonly ConformanceRow[] = [
  {
    id: 'V3-64',
    section: '7.1',
    level: 'MUST',
    requirement: 'verify version 3',
    passes: { name: 'version 3', check: () => assertAccepted({ version: 3 }) },
    refuses: {
      name: 'every other version',
      check: () => {
        for (let version = 0; version <= 15; version += 1) {
          if (version !== 3) assertDiscarded({ version }, 'bad_version');
        }
      },
    },
  },
  {
    id: 'V3-65',
    section: '7.1',
    level: 'MUST',
    requirement: 'verify type 1',
    passes: { name: 'type 1', check: () => assertAccepted({ family: 'ipv6', type: 1 }) },
    refuses: { name: 'type 2', check: () => assertDiscarded({ family: 'ipv6', type: 2 }, 'bad_type') },
  },
  {
    id: 'V3-66',
    section: '7.1',
    level: 'MUST',
    requirement: 'verify completeness before reading addresses',
    passes: {
      name: 'the whole list',
      check: () => assertAccepted({ addresses: ['192.0.2.1', '192.0.2.2'] }),
    },
    refuses: {
      name: 'count 2 with one address, count 255, and every shorter message',
      check: () => {
        assertDiscarded({ count: 2 }, 'bad_length');
        assertDiscarded({ count: 255 }, 'bad_length');
        const what = message();
        for (let length = 0; length < 12; length += 1) {
          const decoded = decodeAdvertisement(octetsOf(what).subarray(0, length), {
            ...what.context,
            hopLimit: 255,
          });
          assert.deepEqual(decoded, { ok: false, reason: 'bad_length' });
        }
      },
    },
  },
  {
    id: 'V3-67',
    section: '7.1',
    level: 'MUST',
    requirement: 'verify checksum',
    passes: {
      name: 'both readings over IPv4, the one over IPv6',
      check: () => {
        assertAccepted({ checksum: 'rfc9568' });
        assertAccepted({ checksum: 'pseudo_header' });
        assertAccepted({ family: 'ipv6' });
      },
    },
    refuses: {
      name: 'one bit turned in each octet',
      check: () => {
        for (const family of ['ipv4', 'ipv6'] as const) {
          const what = message({ family });
          for (const index of octetsOf(what).keys()) {
            const bytes = octetsOf(what);
            bytes[index] = (bytes[index] ?? 0) ^ 0x04;
            assert(!decodeAdvertisement(bytes, { ...what.context, hopLimit: 255 }).ok, `octet ${index}`);
          }
        }
      },
    },
  },
  {
    id: 'V3-69',
    section: '7.1 (erratum 8300)',
    level: 'MUST',
    requirement: 'IPv6: first listed address is link-local',
    deviation:
      'heard all the same, counted and alarmed: keepalived and FRR list global addresses first, and to discard theirs makes two masters',
    passes: {
      name: 'link-local first: no alarm',
      check: () => {
        const addresses = ['fe80::33', '2001:db8::33'];
        assert(listsLinkLocalFirst(assertAccepted({ family: 'ipv6', addresses })));
        assert.deepEqual(alarmsAfter({ addresses }, { family: 'ipv6', addresses }), []);
      },
    },
    refuses: {
      name: 'global first: accepted, with an alarm',
      check: () => {
        const addresses = ['2001:db8::33', 'fe80::33'];
        assert(!listsLinkLocalFirst(assertAccepted({ family: 'ipv6', addresses })));
        const [alarm] = alarmsAfter(
          { addresses },
          { family: 'ipv6', addresses: ['fe80::33', '2001:db8::33'] },
        );
        assert.match(alarm ?? '', /does not list a link-local address first/);
      },
    },
  },
  {
    id: 'V3-70',
    section: '7.1 (erratum 8301)',
    level: 'MUST',
    requirement: 'Max Advertise Interval != 0',
    passes: { name: 'interval 1', check: () => assertAccepted({ intervalCs: 1 }) },
    refuses: {
      name: 'interval 0, both families',
      check: () => {
        assertDiscarded({ intervalCs: 0 }, 'bad_interval');
        assertDiscarded({ family: 'ipv6', intervalCs: 0 }, 'bad_interval');
      },
    },
  },
  {
    id: 'V3-71',
    section: '7.1',
    level: 'MUST',
    requirement: 'failing any check = discard (no timer or state effect)',
    passes: {
      name: 'what is accepted becomes an event of the router',
      check: () => {
        const advertisement = assertAccepted({ priority: 150 });
        const event = {
          type: 'advertisement-received',
          advertisement,
          source: higherAddress,
          arrivedAt: 500,
        } as const;
        const { state } = step(inBackup(), event, 500).router;
        assert.equal(state.name === 'backup' && state.masterDownAt, 500 + downMs);
      },
    },
    refuses: {
      name: 'what is discarded leaves nothing to make an event of',
      check: () => {
        const what = message({ priority: 0, checksumError: 1 });
        const decoded = decodeAdvertisement(octetsOf(what), { ...what.context, hopLimit: 255 });
        assert(!('advertisement' in decoded));
      },
    },
  },
  {
    id: 'V3-74',
    section: '7.1 (erratum 8298)',
    level: 'SHOULD',
    requirement:
      'check that the local router is not the owner; log, MAY notify; but still PROCESS the advert (published text said discard)',
    passes: {
      name: 'of two owners the lower address yields',
      check: () => {
        const yielded = step(inMaster({ priority: 255 }), heard(255, { source: higherAddress }), 0);
        assert.equal(yielded.router.state.name, 'backup');
        const [alarm] = alarmsAfter({ priority: 255 }, { priority: 255, preempt: true }).slice(-1);
        assert.match(alarm ?? '', /also claims to own the addresses/);
      },
    },
    refuses: {
      name: 'and the higher one answers',
      check: () => {
        const answered = step(inMaster({ priority: 255 }), heard(255, { source: '192.0.2.1' }), 0);
        assert.equal(did(answered)[0], 'send-advertisement 255');
      },
    },
  },
  {
    id: 'V3-75',
    section: '7.1',
    level: 'SHOULD',
    requirement:
      'compare Max Advertise Interval with own Advertisement_Interval; mismatch: SHOULD log, MAY notify, NOT dropped',
    passes: { name: 'the same interval: no alarm', check: () => assert.deepEqual(alarmsAfter({}), []) },
    refuses: {
      name: 'another: accepted, with an alarm',
      check: () => {
        const [alarm] = alarmsAfter({ intervalMs: 3000 });
        assert.match(alarm ?? '', /advertises every 3000 ms, this node every 1000 ms/);
      },
    },
  },
  {
    id: 'V3-76',
    section: '7.1',
    level: 'MAY',
    requirement: 'compare count and list with own; mismatch: SHOULD log, MAY notify, NOT dropped in v3',
    passes: {
      name: 'the same list in another order: no alarm',
      check: () => {
        const addresses = ['192.0.2.100', '192.0.2.101'];
        assert.deepEqual(alarmsAfter({ addresses: addresses.toReversed() }, { addresses }), []);
      },
    },
    refuses: {
      name: 'another list: accepted, with an alarm',
      check: () => {
        const [missing] = alarmsAfter({ addresses: ['192.0.2.101'] });
        assert.match(missing ?? '', /does not list 192\.0\.2\.100 and lists 192\.0\.2\.101 besides/);
        const [fewer] = alarmsAfter({}, { addresses: ['192.0.2.100', '192.0.2.101'] });
        assert.match(fewer ?? '', /does not list 192\.0\.2\.101: give both nodes the same addresses/);
      },
    },
  },
];
