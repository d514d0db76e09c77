import t from 'tap';
import { type InterfaceAddress, type Mirror, emptyMirror } from '../../src/net/mirror.ts';
import { addressItem, messageFor, takesOthersAlong } from '../../src/net/wanted-addresses.ts';
import { type WantedAddress, decide, newWant } from '../../src/net/wants.ts';
import { has, kernelWith } from './kernels.ts';

const ipv4: WantedAddress = {
  interface: 'eth0',
  family: 'ipv4',
  address: '192.0.2.1',
  prefixLength: 24,
  label: undefined,
  scope: 'global',
};
const ipv6: WantedAddress = { ...ipv4, family: 'ipv6', address: '2001:db8::1', prefixLength: 64 };

t.test('what is to be done', (t) => {
  const add = { type: 'add', instead: undefined };
  const spoilt = has('2001:db8::1', { dadFailed: true });
  const table: readonly { name: string; wanted: WantedAddress; mirror: Mirror; decision: object }[] = [
    { name: 'it is there', wanted: ipv4, mirror: kernelWith(has('192.0.2.1')), decision: { type: 'leave' } },
    { name: 'it is missing', wanted: ipv4, mirror: kernelWith(has('192.0.2.2')), decision: add },
    {
      name: 'no such interface',
      wanted: ipv4,
      mirror: emptyMirror(),
      decision: { type: 'impossible', obstacle: { code: 'ENODEV' } },
    },
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
      decision: { type: 'add', instead: { ours: true, works: false, address: spoilt } },
    },
    {
      name: 'another scope',
      wanted: { ...ipv4, scope: 'link' },
      mirror: kernelWith(has('192.0.2.1')),
      decision: { type: 'add', instead: { address: has('192.0.2.1') } },
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
      decision: { type: 'add', instead: { address: has('192.0.2.1') } },
    },
  ];
  for (const { name, wanted, mirror, decision } of table) {
    t.match(decide(newWant(addressItem(wanted)), mirror, 0), decision, name);
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
  t.match(addressItem(ipv4), { key: 'eth0 192.0.2.1/24', target: '192.0.2.1/24 on eth0' });
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
