import { addressBytes } from '../protocol/address.ts';
import { type InterfaceAddress, type Mirror, addressKey, ourAddressProtocol } from './mirror.ts';
import {
  type AddressMessage,
  addAddress,
  addressFlag,
  deleteAddress,
  scopeNumber,
} from './rtnetlink-messages.ts';
import type { AddressItem, Found, WantedAddress } from './wants.ts';

/** Wanted addresses: what the kernel has of them and what it is told. */

export function addressItem(wanted: WantedAddress): AddressItem {
  const { interface: name, address, prefixLength } = wanted;
  return {
    type: 'address',
    wanted,
    key: `${name} ${addressKey(address, prefixLength)}`,
    target: `${address}/${prefixLength} on ${name}`,
    find: (mirror) => {
      const index = mirror.indexes.get(name) ?? -1;
      const found = mirror.addresses.get(index)?.get(addressKey(address, prefixLength));
      return found && foundAddress(found, wanted);
    },
    obstacle: (mirror) => (mirror.indexes.has(name) ? undefined : noInterface),
    add: (mirror) => addAddress(messageFor(wanted, mirror.indexes.get(name) ?? 0)),
    words: {},
  };
}

export const noInterface = { errno: 19, code: 'ENODEV', detail: 'there is no such interface' };

function foundAddress(address: InterfaceAddress, wanted: WantedAddress): Found {
  return {
    ours: address.ours,
    works: !isSpoilt(address, wanted),
    address,
    // With a label, the kernel would remove only an address that still has it.
    remove: () => deleteAddress(messageFor({ ...wanted, label: undefined }, address.interfaceIndex)),
  };
}

/** It does not work: duplicate address detection, which we never ask for, has got hold of it after another program
 *  changed its flags; or it is from before a change of configuration. */
function isSpoilt(held: InterfaceAddress, wanted: WantedAddress): boolean {
  if (held.tentative || held.dadFailed) return true;
  return (
    held.family === 'ipv4' &&
    (held.scope !== wanted.scope || held.label !== (wanted.label ?? wanted.interface))
  );
}

/** What the kernel is told of a wanted address. */
export function messageFor(wanted: WantedAddress, interfaceIndex: number): AddressMessage {
  const { family, address, prefixLength, label, scope } = wanted;
  // Duplicate address detection would keep a new master silent for a second, and find the old one. A /128 is no source for
  // our own connections, they would die with the next failover: deprecated, as keepalived has it.
  const flags =
    family === 'ipv4' ? 0 : addressFlag.nodad | (prefixLength === 128 ? addressFlag.deprecated : 0);
  return {
    interfaceIndex,
    family,
    address,
    peer: address,
    prefixLength,
    scope: scopeNumber[scope],
    flags,
    label: family === 'ipv4' ? label : undefined,
    protocol: ourAddressProtocol,
  };
}

function network(address: string, prefixLength: number): number {
  const value = new DataView(addressBytes(address).buffer).getUint32(0);
  return prefixLength === 0 ? 0 : value >>> (32 - prefixLength);
}

/** With the first IPv4 address of a subnet on an interface the kernel deletes all the others of that subnet, whoever
 *  configured them, unless promote_secondaries is on.
 *  @param doomed what will be deleted together with it
 *  @returns whether deleting it takes any others along */
export function takesOthersAlong(
  mirror: Mirror,
  address: InterfaceAddress,
  doomed: ReadonlySet<InterfaceAddress>,
): boolean {
  if (address.family !== 'ipv4' || address.secondary) return false;
  const { prefixLength } = address;
  const neighbours = mirror.addresses.get(address.interfaceIndex)?.values() ?? [];
  return [...neighbours].some(
    (other) =>
      other.secondary &&
      !doomed.has(other) &&
      other.prefixLength === prefixLength &&
      network(other.address, prefixLength) === network(address.address, prefixLength),
  );
}
