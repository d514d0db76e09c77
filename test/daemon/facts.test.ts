import t from 'tap';
import { type Host, factsOf } from '../../src/daemon/facts.ts';
import type { InterfaceAddress, Link } from '../../src/net/kernel.ts';
import type { Fault } from '../../src/protocol/reason.ts';
import { groupConfig, lan, memberOf } from './parts.ts';

const up: Link = { index: 2, name: 'lan', mac: '02:00:00:00:00:01', up: true, adminUp: true, mtu: 1500 };

function address(text: string, more: Partial<InterfaceAddress> = {}): InterfaceAddress {
  const [bare = '', length = '0'] = text.split('/');
  return {
    interfaceIndex: 2,
    family: bare.includes(':') ? 'ipv6' : 'ipv4',
    address: bare,
    prefixLength: Number(length),
    secondary: false,
    tentative: false,
    dadFailed: false,
    scope: bare.startsWith('fe80') ? 'link' : 'global',
    label: undefined,
    ours: false,
    ...more,
  };
}

const own4 = address('192.0.2.1/24');
const own6 = address('fe80::1/64');

interface Row {
  readonly name: string;
  readonly member: 'lan/ipv4' | 'lan/ipv6';
  readonly settings?: string;
  readonly links?: readonly Link[];
  readonly addresses?: readonly InterfaceAddress[];
  readonly trouble?: readonly Fault[];
  readonly source: string | undefined;
  /** Codes, in order, and words of the first. */
  readonly faults?: readonly string[];
  readonly says?: RegExp;
}

const rows: readonly Row[] = [
  { name: 'all is well, IPv4', member: 'lan/ipv4', source: '192.0.2.1' },
  { name: 'all is well, IPv6', member: 'lan/ipv6', source: 'fe80::1' },
  {
    name: 'no interface',
    member: 'lan/ipv4',
    links: [],
    source: undefined,
    faults: ['interface_missing'],
    says: /there is no interface lan/,
  },
  {
    name: 'no carrier',
    member: 'lan/ipv4',
    links: [{ ...up, up: false }],
    source: '192.0.2.1',
    faults: ['link_down'],
    says: /lan has no carrier/,
  },
  {
    name: 'set down: its missing addresses are no fault of their own',
    member: 'lan/ipv6',
    links: [{ ...up, up: false, adminUp: false }],
    addresses: [],
    source: undefined,
    faults: ['link_down'],
    says: /lan is set down/,
  },
  {
    name: 'no IPv4 address',
    member: 'lan/ipv4',
    addresses: [own6],
    source: undefined,
    faults: ['no_ipv4_address'],
    says: /lan has no IPv4 address of its own/,
  },
  {
    name: 'V3-01: neither a secondary address nor a virtual one is the source',
    member: 'lan/ipv4',
    addresses: [
      address('192.0.2.61/24', { ours: true }),
      address('192.0.2.50/24', { secondary: true }),
      address('192.0.2.1/24'),
    ],
    source: '192.0.2.1',
  },
  {
    name: 'V3-01: a virtual address alone is no source',
    member: 'lan/ipv4',
    addresses: [address('192.0.2.61/24', { ours: true })],
    source: undefined,
    faults: ['no_ipv4_address'],
  },
  {
    name: 'V3-02: neither a global address nor the virtual link-local one is the source',
    member: 'lan/ipv6',
    addresses: [address('2001:db8:1::1/64'), address('fe80::200:5eff:fe00:23d/64', { ours: true }), own6],
    source: 'fe80::1',
  },
  {
    name: 'no link-local address',
    member: 'lan/ipv6',
    addresses: [own4],
    source: undefined,
    faults: ['no_link_local'],
    says: /is IPv6 disabled there/,
  },
  {
    name: 'a tentative link-local address',
    member: 'lan/ipv6',
    addresses: [address('fe80::1/64', { tentative: true })],
    source: undefined,
    faults: ['no_link_local'],
    says: /still being checked for duplicates/,
  },
  {
    name: 'a link-local address that somebody else has',
    member: 'lan/ipv6',
    addresses: [address('fe80::1/64', { tentative: true, dadFailed: true })],
    source: undefined,
    faults: ['no_link_local'],
    says: /another host on lan has its link-local address/,
  },
  {
    name: 'a virtual address that somebody configured',
    member: 'lan/ipv4',
    addresses: [own4, address('192.0.2.61/32')],
    source: '192.0.2.1',
    faults: ['address_in_use'],
    says: /192\.0\.2\.61 is already on lan, and not by havrrp/,
  },
  {
    name: 'a virtual address that we configured',
    member: 'lan/ipv4',
    addresses: [own4, address('192.0.2.61/24', { ours: true })],
    source: '192.0.2.1',
  },
  {
    name: 'V3-16: the owner has it, and advertises from it',
    member: 'lan/ipv4',
    settings: 'priority: 255',
    addresses: [address('192.0.2.61/24')],
    source: '192.0.2.61',
  },
  {
    name: 'trouble with sockets comes first',
    member: 'lan/ipv4',
    links: [{ ...up, up: false }],
    trouble: [{ code: 'no_permission', text: 'not allowed' }],
    source: '192.0.2.1',
    faults: ['no_permission', 'link_down'],
    says: /not allowed/,
  },
];

for (const row of rows) {
  const { name, member: id, settings, links = [up], addresses = [own4, own6], trouble = [] } = row;
  t.test(name, async (t) => {
    const host: Host = {
      link: (wanted) => links.find((link) => link.name === wanted),
      addresses: (wanted) => (wanted === 'lan' ? addresses : []),
    };
    const facts = factsOf(memberOf(groupConfig(lan, settings), id), host, trouble);
    t.equal(facts.source, row.source, 'the source');
    t.strictSame(
      facts.faults.map(({ code }) => code),
      row.faults ?? [],
      'the faults',
    );
    if (row.says !== undefined) t.match(facts.faults[0]?.text, row.says, 'in words');
  });
}

t.test('an address on another interface needs that interface', async (t) => {
  const elsewhere =
    'lan: { interface: lan, vrid: 61, addresses: [192.0.2.61/24, { address: 203.0.113.1/24, interface: wan }] }';
  const member = memberOf(groupConfig(elsewhere), 'lan/ipv4');
  const host = (links: readonly Link[], onWan: readonly InterfaceAddress[]): Host => ({
    link: (wanted) => links.find((link) => link.name === wanted),
    addresses: (wanted) => (wanted === 'lan' ? [own4] : onWan),
  });
  const wan = { ...up, index: 3, name: 'wan' };
  const codes = (of: Host): string[] => factsOf(member, of, []).faults.map(({ code }) => code);
  t.strictSame(codes(host([up], [])), ['interface_missing'], 'it is missing');
  t.strictSame(codes(host([up, wan], [])), [], 'it is there, and needs no address of its own');
  t.strictSame(
    codes(host([up, wan], [address('203.0.113.1/24')])),
    ['address_in_use'],
    'the address is taken there',
  );
});
