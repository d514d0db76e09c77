import { type InterfaceAddress, type Mirror, addressKey, emptyMirror } from '../../src/net/mirror.ts';
import { familyOf } from '../../src/protocol/address.ts';

/** What a kernel may have: one link, `eth0` with the index 2, which is up, and its addresses. */
export function kernelWith(...addresses: readonly InterfaceAddress[]): Mirror {
  const mirror = emptyMirror();
  mirror.links.set(2, { index: 2, name: 'eth0', mac: '', up: true, adminUp: true, mtu: 1500 });
  mirror.indexes.set('eth0', 2);
  mirror.addresses.set(
    2,
    new Map(addresses.map((each) => [addressKey(each.address, each.prefixLength), each] as const)),
  );
  return mirror;
}

/** An address of ours on that link. */
export function has(address: string, more: Partial<InterfaceAddress> = {}): InterfaceAddress {
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
