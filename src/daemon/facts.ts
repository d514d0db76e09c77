import type { InterfaceAddress, Link, WantedAddress } from '../net/kernel.ts';
import { isLinkLocal } from '../protocol/address.ts';
import type { Fault } from '../protocol/reason.ts';
import type { Member } from './member.ts';

/** What the host says about one Virtual Router, worked out anew from what is there now: nothing is counted or remembered,
 *  so a cause that goes away takes its fault with it. */
export interface Facts {
  /** What keeps it from running; empty when nothing does. */
  readonly faults: readonly Fault[];
  /** Where its Advertisements come from. */
  readonly source: string | undefined;
}

/** The host as the member's interfaces show it. */
export interface Host {
  link(name: string): Link | undefined;
  addresses(interfaceName: string): readonly InterfaceAddress[];
}

/** The source of Advertisements: the interface's primary IPv4 address, or a link-local IPv6 address of its own, never a
 *  virtual one (RFC 9568 5.1.1.1, 5.1.2.1). */
function sourceAddress(member: Member, addresses: readonly InterfaceAddress[]): string | undefined {
  // Its owner (priority 255) has a virtual address as its own, and advertises from it.
  const owner = member.settings.priority === 255;
  const virtual = new Set(owner ? [] : member.instance.addresses.map(({ address }) => address));
  const own = addresses.filter(
    ({ family, ours, address }) => family === member.family && !ours && !virtual.has(address),
  );
  if (member.family === 'ipv4') return own.find(({ secondary }) => !secondary)?.address;
  return own.find(({ address, tentative, dadFailed }) => isLinkLocal(address) && !tentative && !dadFailed)
    ?.address;
}

function missingSource({ family, instance }: Member, addresses: readonly InterfaceAddress[]): Fault {
  const name = instance.interface;
  if (family === 'ipv4') {
    return {
      code: 'no_ipv4_address',
      text: `${name} has no IPv4 address of its own to advertise from: give it one beside the virtual addresses`,
    };
  }
  const linkLocal = addresses.filter(({ address }) => isLinkLocal(address));
  const text = linkLocal.some(({ dadFailed }) => dadFailed)
    ? `another host on ${name} has its link-local address, found by duplicate address detection: give it another one`
    : linkLocal.some(({ tentative }) => tentative)
      ? `the link-local address of ${name} is still being checked for duplicates`
      : `${name} has no IPv6 link-local address to advertise from: is IPv6 disabled there?`;
  return { code: 'no_link_local', text };
}

/** An address of ours that somebody else configured: taking it away when we are no longer master would be wrong, and so would
 *  leaving it. The owner of the addresses (priority 255) is the one who has them anyway. */
function takenAddress({ settings }: Member, wanted: WantedAddress, host: Host): Fault[] {
  if (settings.priority === 255) return [];
  const taken = host
    .addresses(wanted.interface)
    .some(({ address, ours }) => address === wanted.address && !ours);
  if (!taken) return [];
  return [
    {
      code: 'address_in_use',
      text: `${wanted.address} is already on ${wanted.interface}, and not by havrrp: remove it there, havrrp adds it while master`,
    },
  ];
}

/** @param trouble what went wrong when the member's sockets were opened or its addresses claimed */
export function factsOf(member: Member, host: Host, trouble: readonly Fault[]): Facts {
  const name = member.instance.interface;
  const link = host.link(name);
  if (link === undefined) {
    return {
      source: undefined,
      faults: [{ code: 'interface_missing', text: `there is no interface ${name}` }],
    };
  }
  const addresses = host.addresses(name);
  const source = sourceAddress(member, addresses);
  const faults = [...trouble];
  if (!link.up) {
    const text = link.adminUp ? `${name} has no carrier` : `${name} is set down`;
    faults.push({ code: 'link_down', text });
  } else if (source === undefined) {
    // A link that is down loses its IPv6 addresses: the cause is named above, not its consequence.
    faults.push(missingSource(member, addresses));
  }
  const elsewhere = new Set(
    member.wanted.map((wanted) => wanted.interface).filter((other) => other !== name),
  );
  for (const other of elsewhere) {
    if (host.link(other) === undefined) {
      faults.push({ code: 'interface_missing', text: `there is no interface ${other} to put addresses on` });
    }
  }
  return {
    source,
    faults: [...faults, ...member.wanted.flatMap((wanted) => takenAddress(member, wanted, host))],
  };
}
