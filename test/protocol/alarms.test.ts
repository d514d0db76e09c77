import t from 'tap';
import { alarmsOf } from '../../src/protocol/alarms.ts';
import { type Group, createGroup } from '../../src/protocol/group.ts';
import type { Settings } from '../../src/protocol/machine.ts';
import type { Advertisement } from '../../src/protocol/vrrp-packet.ts';
import { backupGroup, deadline, hears, masterGroup, member, playGroup, startup } from './groups.ts';
import { downMs, heard, lowerAddress } from './samples.ts';

/** A backup of one member that has just heard one Advertisement. */
function backupThatHeard(advertisement: Partial<Advertisement>, changes: Partial<Settings> = {}): Group {
  const { priority = 150, ...more } = advertisement;
  const event = { ...heard(priority, { arrivedAt: 500, ...more }), id: 'wan' };
  return playGroup(createGroup([member('wan', changes)]), [0, startup], [500, event]).group;
}

t.test('a neighbour whose configuration differs', async (t) => {
  const six = ['fe80::33', '2001:db8::33'];
  const rows: readonly [
    name: string,
    Partial<Advertisement>,
    Partial<Settings>,
    alarms: readonly string[],
  ][] = [
    ['nothing differs', {}, {}, []],
    [
      'another interval',
      { intervalMs: 250 },
      {},
      ['wan: 192.0.2.3 advertises every 250 ms, this node every 1000 ms: give both the same interval'],
    ],
    ['another interval in a last word', { intervalMs: 250, priority: 0 }, {}, []],
    [
      'an address missing',
      {},
      { addresses: ['192.0.2.100', '192.0.2.101'] },
      ['wan: 192.0.2.3 does not list 192.0.2.101: give both nodes the same addresses'],
    ],
    [
      'an address too many',
      { addresses: ['192.0.2.100', '192.0.2.101'] },
      {},
      ['wan: 192.0.2.3 lists 192.0.2.101 besides: give both nodes the same addresses'],
    ],
    [
      'other addresses',
      { addresses: ['192.0.2.7', '192.0.2.8'] },
      {},
      [
        'wan: 192.0.2.3 does not list 192.0.2.100 and lists 192.0.2.7, 192.0.2.8 besides: give both nodes the same addresses',
      ],
    ],
    [
      'another order',
      { addresses: ['192.0.2.2', '192.0.2.1'] },
      { addresses: ['192.0.2.1', '192.0.2.2'] },
      [],
    ],
    ['IPv6, link-local first', { addresses: six }, { family: 'ipv6', addresses: six }, []],
    [
      'IPv6, global first',
      { addresses: six.toReversed() },
      { family: 'ipv6', addresses: six },
      ['wan: 192.0.2.3 does not list a link-local address first (RFC 9568 5.2.9): heard all the same'],
    ],
    [
      'the same priority',
      { priority: 100 },
      {},
      ['wan: 192.0.2.3 has the same priority 100: give the nodes different ones'],
    ],
  ];
  for (const [name, advertisement, changes, alarms] of rows) {
    t.strictSame(alarmsOf(backupThatHeard(advertisement, changes), 500, 0), alarms, name);
  }
});

t.test('a second owner of the addresses', async (t) => {
  const { group } = playGroup(masterGroup({ priority: 255 }), [500, hears('wan', 255, 500, lowerAddress)]);
  t.strictSame(alarmsOf(group, 500, 0), [
    'wan: 192.0.2.1 also claims to own the addresses (priority 255): only one node can',
  ]);
});

t.test('nobody heard, nothing wrong', async (t) => {
  t.strictSame(alarmsOf(backupGroup(), 100, 0), []);
  t.strictSame(alarmsOf(masterGroup(), 100, 0), []);
  t.strictSame(alarmsOf(createGroup([]), 100, 0), []);
});

t.test('a master that is heard on one link and not on the other', async (t) => {
  let { group } = playGroup(backupGroup(), [500, hears('wan', 150, 500)]);
  for (let at = 500; at <= 7500; at += 1000) ({ group } = playGroup(group, [at, hears('lan', 150, at)]));
  const silentAt = 500 + downMs + 3000;
  t.strictSame(alarmsOf(group, silentAt - 1, 0), []);
  const alarm = 'no master is heard on wan, but on lan there is one: look at the link that is silent';
  t.strictSame(alarmsOf(group, silentAt, 0), [alarm]);
  ({ group } = playGroup(group, [8000, hears('wan', 150, 8000)]));
  t.strictSame(alarmsOf(group, 8000, 0), [], 'ends with its cause');
  ({ group } = playGroup(group, [7500 + downMs, deadline], [8000 + downMs, deadline]));
  t.strictSame(alarmsOf(group, 8000 + downMs, 8000 + downMs), [], 'a master is not silent');
});

t.test('a second master: one Advertisement may cross ours, two may not', async (t) => {
  const crossing = playGroup(masterGroup(), [900, hears('wan', 50, 900)]).group;
  t.strictSame(alarmsOf(crossing, 900, 0), []);
  const lasting = playGroup(
    crossing,
    [1000, deadline],
    [2000, deadline],
    [2100, hears('wan', 50, 2100)],
  ).group;
  const [alarm, ...others] = alarmsOf(lasting, 2100, 0);
  t.match(alarm, /^wan: .* \(priority 50\) advertises although this node is master/);
  t.strictSame(others, []);
  t.strictSame(alarmsOf(lasting, 2100 + 4 * 1000 + 1, 0), [], 'ends with its cause');
});

t.test('what was said long ago is no alarm', async (t) => {
  const group = backupThatHeard({ intervalMs: 3000 }, {});
  t.equal(alarmsOf(group, 500 + 4 * 3000, 0).length, 1);
  t.strictSame(alarmsOf(group, 500 + 4 * 3000 + 1, 0), []);
});
