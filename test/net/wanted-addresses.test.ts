import t from 'tap';
import { type InterfaceAddress, type Mirror, addressKey, emptyMirror } from '../../src/net/mirror.ts';
import {
  type Want,
  type WantedAddress,
  decide,
  heldAddress,
  messageFor,
  newWant,
  noteAdded,
  takesOthersAlong,
  wantKey,
} from '../../src/net/wanted-addresses.ts';
import { familyOf } from '../../src/protocol/address.ts';

const ipv4: WantedAddress = {
  interface: 'eth0',
  family: 'ipv4',
  address: '192.0.2.1',
  prefixLength: 24,
  label: undefined,
  scope: 'global',
};
const ipv6: WantedAddress = { ...ipv4, family: 'ipv6', address: '2001:db8::1', prefixLength: 64 };

function has(address: string, more: Partial<InterfaceAddress> = {}): InterfaceAddress {
  return {
    interfaceIndex: 2,
    family: familyOf(address),
    address,
    prefixLength: address.includes(':') ? 64 : 24,
    secondary: false,
    tentative: false,
    dadFailed: false,
    scope: 'global',
    label: address.includes(':') ? undefined : 'eth0',
    ours: true,
    ...more,
  };
}

function kernelWith(...addresses: readonly InterfaceAddress[]): Mirror {
  const mirror = emptyMirror();
  mirror.links.set(2, { index: 2, name: 'eth0', mac: '', up: true, adminUp: true, mtu: 1500 });
  mirror.indexes.set('eth0', 2);
  mirror.addresses.set(
    2,
    new Map(addresses.map((each) => [addressKey(each.address, each.prefixLength), each] as const)),
  );
  return mirror;
}

const add = { type: 'add', interfaceIndex: 2, instead: undefined };

t.test('what is to be done', (t) => {
  const spoilt = has('2001:db8::1', { dadFailed: true });
  const table: readonly { name: string; wanted: WantedAddress; mirror: Mirror; decision: object }[] = [
    { name: 'it is there', wanted: ipv4, mirror: kernelWith(has('192.0.2.1')), decision: { type: 'leave' } },
    { name: 'it is missing', wanted: ipv4, mirror: kernelWith(has('192.0.2.2')), decision: add },
    { name: 'no such interface', wanted: ipv4, mirror: emptyMirror(), decision: { type: 'no-interface' } },
    {
      name: "somebody else's: the kernel is asked, for its own words",
      wanted: ipv4,
      mirror: kernelWith(has('192.0.2.1', { ours: false })),
      decision: add,
    },
    {
      name: 'it does not work',
      wanted: ipv6,
      mirror: kernelWith(spoilt),
      decision: { ...add, instead: spoilt },
    },
    {
      name: 'another scope',
      wanted: { ...ipv4, scope: 'link' },
      mirror: kernelWith(has('192.0.2.1')),
      decision: { ...add, instead: has('192.0.2.1') },
    },
    {
      name: 'an IPv6 address has the scope that it has',
      wanted: { ...ipv6, scope: 'link' },
      mirror: kernelWith(has('2001:db8::1')),
      decision: { type: 'leave' },
    },
    {
      name: 'another label',
      wanted: { ...ipv4, label: 'eth0:vip' },
      mirror: kernelWith(has('192.0.2.1')),
      decision: { ...add, instead: has('192.0.2.1') },
    },
  ];
  for (const { name, wanted, mirror, decision } of table) {
    t.strictSame(decide(newWant(wanted), mirror, 0), decision, name);
  }
  t.end();
});

t.test('whose it is, on a kernel that does not keep IFA_PROTO', (t) => {
  const untagged = kernelWith(has('192.0.2.1', { ours: false }));
  const want = newWant(ipv4);
  t.equal(heldAddress(untagged, want), undefined, 'not known to be ours');
  noteAdded(want, 0);
  t.match(heldAddress(untagged, want), { address: '192.0.2.1' }, 'we added it');
  t.same(decide(want, untagged, 0), { type: 'leave' });
  t.equal(heldAddress(kernelWith(), want), undefined);
  t.equal(heldAddress(untagged, want), undefined, 'it went; who added it again?');
  t.end();
});

/** An address that is removed as soon as it is put back.
 *  @returns when it was put back, and the pauses, until `end` */
function fight(want: Want, start: number, end: number): { putBackAt: number[]; pauses: number[] } {
  const putBackAt: number[] = [];
  const pauses: number[] = [];
  for (let now = start; now < end; now += 10) {
    const decision = decide(want, kernelWith(), now);
    if (decision.type === 'pause') pauses.push(decision.pauseMs);
    if (decision.type !== 'add') continue;
    noteAdded(want, now);
    putBackAt.push(now);
  }
  return { putBackAt, pauses };
}

t.test('a fight', (t) => {
  const want = newWant(ipv4);
  noteAdded(want, 0);
  const { putBackAt, pauses } = fight(want, 1000, 120_000);
  t.same(putBackAt.slice(0, 6), [1000, 1010, 1020, 1030, 1040, 2050], 'some times, then after a pause');
  t.same(pauses.slice(0, 7), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000], 'longer and longer');
  t.ok(putBackAt.length < 50, `${putBackAt.length} times in two minutes`);

  t.same(decide(want, kernelWith(has('192.0.2.1')), 130_000), { type: 'leave' });
  t.same(fight(want, 200_000, 202_000).pauses.at(0), 1000, 'forgotten after a while of peace');

  const calm = newWant(ipv4);
  noteAdded(calm, 0);
  for (let now = 0; now < 60_000; now += 300) {
    t.same(decide(calm, kernelWith(), now), add, 'now and then is no fight');
    noteAdded(calm, now);
  }
  t.end();
});

t.test('what the kernel is told', (t) => {
  t.match(messageFor({ ...ipv4, label: 'eth0:vip', scope: 'site' }, 2), {
    interfaceIndex: 2,
    peer: '192.0.2.1',
    scope: 200,
    flags: 0,
    label: 'eth0:vip',
    protocol: 112,
  });
  t.match(messageFor({ ...ipv6, label: 'eth0:vip' }, 2), { flags: 0x02, label: undefined }, 'NODAD');
  t.match(messageFor({ ...ipv6, prefixLength: 128 }, 2), { flags: 0x22 }, 'and deprecated');
  t.equal(wantKey(ipv4), 'eth0 192.0.2.1/24');
  t.end();
});

t.test('which addresses a removal takes along', (t) => {
  const ours = has('192.0.2.1');
  const theirs = has('192.0.2.200', { secondary: true, ours: false });
  const table: readonly { name: string; others: readonly InterfaceAddress[]; takes: boolean }[] = [
    { name: 'none', others: [], takes: false },
    { name: 'a secondary one', others: [theirs], takes: true },
    { name: 'of another subnet', others: [has('192.0.3.1', { secondary: true })], takes: false },
    {
      name: 'of another length',
      others: [has('192.0.2.9', { secondary: true, prefixLength: 25 })],
      takes: false,
    },
    { name: 'another primary', others: [has('192.0.3.1')], takes: false },
    { name: 'IPv6', others: [has('2001:db8::1')], takes: false },
  ];
  for (const { name, others, takes } of table) {
    t.equal(takesOthersAlong(kernelWith(ours, ...others), ours, new Set([ours])), takes, name);
  }
  t.notOk(
    takesOthersAlong(kernelWith(ours, theirs), ours, new Set([ours, theirs])),
    'that is removed as well',
  );
  t.notOk(takesOthersAlong(kernelWith(ours, theirs), theirs, new Set([theirs])), 'a secondary takes none');
  const all = has('0.0.0.1', { prefixLength: 0 });
  const other = has('203.0.113.1', { prefixLength: 0, secondary: true });
  t.ok(takesOthersAlong(kernelWith(all, other), all, new Set([all])), 'a subnet of everything');
  t.end();
});
