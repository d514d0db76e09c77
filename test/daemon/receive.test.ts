import { pino } from 'pino';
import t, { type Test } from 'tap';
import { CounterTable } from '../../src/daemon/counters.ts';
import { RateLimit } from '../../src/daemon/rate-limit.ts';
import { Receiver } from '../../src/daemon/receive.ts';
import type { Packet } from '../../src/net/packet-socket.ts';
import type { GroupAction } from '../../src/protocol/group.ts';
import { craftAdvert, type CraftedAdvert } from '../bench/craft.ts';
import { groupConfig, lan, native, openGroup } from './parts.ts';

/** A receiver with a real group behind it, a backup that was just started, and a log. */
function openReceiver(t: Test): {
  readonly receiver: Receiver;
  readonly counters: CounterTable;
  readonly lines: string[];
  readonly actions: GroupAction[];
  heard(): string | undefined;
} {
  const { group, actions } = openGroup(t, groupConfig(lan));
  group.step({ type: 'startup', resume: false });
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => lines.push(line) });
  const counters = new CounterTable();
  const receiver = new Receiver({ counters, log, limit: new RateLimit(() => 0, 1) });
  receiver.configure(group.members.map((member) => ({ group, member })));
  return {
    receiver,
    counters,
    lines,
    actions,
    heard: () => group.value.members.get('lan/ipv4')?.heard?.source,
  };
}

const destination = '224.0.0.18';

function packet(advert: Partial<CraftedAdvert>, header: Partial<Packet> = {}): Packet {
  const addresses = { source: '192.0.2.2', destination };
  const bytes = craftAdvert({ vrid: 61, priority: 150, addresses: ['192.0.2.61'], ...advert }, addresses);
  const arrivedAt = native.now();
  return { bytes, ...addresses, hopLimit: 255, interfaceIndex: 2, arrivedAt, sampled: false, ...header };
}

const refused: readonly (readonly [reason: string, packet: Packet])[] = [
  ['bad_hop_limit', packet({}, { hopLimit: 254 })],
  ['bad_version', packet({ version: 2 })],
  ['bad_type', packet({ type: 2 })],
  ['bad_length', packet({ count: 2 })],
  ['bad_length', packet({}, { bytes: new Uint8Array() })],
  ['bad_checksum', packet({ checksum: 1 })],
  ['no_addresses', packet({ addresses: [] })],
  ['bad_interval', packet({ maxAdvertiseIntervalCs: 0 })],
  ['wrong_destination', packet({ checksum: 'message' }, { destination: '192.0.2.1' })],
  ['unknown_vrid', packet({ vrid: 62 })],
  ['unknown_vrid', packet({}, { sampled: true })],
  ['own_echo', packet({}, { source: '192.0.2.1' })],
];

for (const [reason, wrong] of refused) {
  t.test(`${reason}: counted, logged, and that is all`, async (t) => {
    const { receiver, counters, lines, actions, heard } = openReceiver(t);
    const before = actions.length;
    receiver.receive('lan', 'ipv4', wrong);
    const { received, discarded, checksumHeard } = counters.of('edge', 'lan/ipv4');
    t.strictSame([received, [...discarded]], [1, [[reason, 1]]]);
    t.equal(checksumHeard, undefined, 'nobody learns a checksum from it');
    t.equal(heard(), undefined, 'nor who is master');
    t.equal(actions.length, before, 'nothing is done');
    t.match(JSON.parse(lines[0] ?? '{}'), { group: 'edge', router: 'lan/ipv4', interface: 'lan', reason });
    t.equal(lines.length, 1, 'one line');
    receiver.receive('lan', 'ipv4', wrong);
    t.equal(lines.length, 1, 'V3-72: not one for each');
  });
}

t.test('a good one is heard by its router', async (t) => {
  const { receiver, counters, heard, lines } = openReceiver(t);
  receiver.receive('lan', 'ipv4', packet({}));
  t.equal(heard(), '192.0.2.2');
  t.equal(counters.of('edge', 'lan/ipv4').checksumHeard, 'rfc9568');
  receiver.receive('lan', 'ipv4', packet({ checksum: 'pseudo-header' }));
  t.equal(counters.of('edge', 'lan/ipv4').checksumHeard, 'pseudo_header', 'the last reading counts');
  t.strictSame([...counters.of('edge', 'lan/ipv4').discarded], []);
  t.equal(counters.of('edge', 'lan/ipv6').received, 0, 'V3-15: the other family is another router');
  t.strictSame(lines, []);
});

t.test('where nobody listens nothing is counted', async (t) => {
  const { receiver, counters, heard } = openReceiver(t);
  receiver.receive('wan', 'ipv4', packet({}));
  t.equal(heard(), undefined);
  t.equal(counters.of('edge', 'lan/ipv4').received, 0);
});

t.test('a master of higher priority is obeyed at once', async (t) => {
  const { receiver, actions } = openReceiver(t);
  receiver.receive('lan', 'ipv4', packet({ priority: 0 }));
  receiver.receive('lan', 'ipv4', packet({ priority: 150 }));
  t.strictSame(
    actions.map(({ type }) => type),
    ['report-transition'],
    'a backup has nothing to do but to wait',
  );
});
