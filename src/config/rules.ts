import { families, isLinkLocal, virtualLinkLocal } from '../protocol/address.ts';
import type { Family } from '../protocol/address.ts';
import { familiesOf } from './config.ts';
import type { AddressConfig, InstanceConfig } from './config.ts';
import type { Reader, Section } from './reader.ts';
import type { addressKeys, instanceKeys } from './schema.ts';

/** Rules between keys, and between instances. What could not be read is '' or 0 here and passed over: it is complained
 *  about already, and the file is refused anyway. */

/** An address and where it stands. */
export interface PlacedAddress {
  readonly config: AddressConfig;
  readonly at: number;
  /** Not in the file: added for RFC 9568 5.2.9. */
  readonly added?: true;
}

/** An instance and where it stands. */
export interface PlacedInstance {
  readonly group: string;
  readonly config: InstanceConfig;
  readonly vridAt: number;
  readonly addresses: readonly PlacedAddress[];
}

/** Count IPvX Addr is one octet (RFC 9568 5.2.5). */
const maxAdvertised = 255;

export const familyName: Readonly<Record<Family, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

/** Puts the address first among those of IPv6 that RFC 9568 5.2.9 wants there: a link-local address of the instance's own
 *  link. Where the file lists one further down, it moves: no other order is legal, and nothing else is lost. Where it lists
 *  none, that of the virtual MAC is added.
 *  @param own what the file says of the instance
 *  @returns its addresses in the order of the wire */
export function orderAddresses(
  addresses: readonly PlacedAddress[],
  own: { readonly interface: string; readonly vrid: number; readonly at: number },
): PlacedAddress[] {
  const advertisesIpv6 = addresses.some(({ config }) => config.advertise && config.family === 'ipv6');
  if (!advertisesIpv6 || own.interface === '' || own.vrid === 0) return [...addresses];
  const first =
    addresses.find(
      ({ config }) => config.advertise && config.interface === own.interface && isLinkLocal(config.address),
    ) ?? addedLinkLocal(own);
  const start = addresses.findIndex(({ config }) => config.family === 'ipv6');
  const rest = addresses.filter((each) => each !== first);
  return [...rest.slice(0, start), first, ...rest.slice(start)];
}

function addedLinkLocal(own: {
  readonly interface: string;
  readonly vrid: number;
  readonly at: number;
}): PlacedAddress {
  const address = virtualLinkLocal(own.vrid);
  const config: AddressConfig = {
    family: 'ipv6',
    address,
    prefixLength: 64,
    interface: own.interface,
    advertise: true,
    label: undefined,
    scope: scopeOf(address),
  };
  return { config, at: own.at, added: true };
}

/** An Advertisement lists at least one address, and at most 255 of a family. */
export function checkAdvertised(
  reader: Reader,
  instance: Section<typeof instanceKeys>,
  addresses: readonly PlacedAddress[],
): void {
  const advertised = addresses.filter(({ config }) => config.advertise);
  if (advertised.length === 0) {
    const at = instance.entries.get('addresses')?.keyAt ?? instance.at;
    reader.complain(at, `${instance.title} advertises no address`, 'add one without advertise: false');
  }
  for (const family of families) {
    const ofFamily = advertised.filter(({ config }) => config.family === family);
    const excess = ofFamily[maxAdvertised];
    if (excess === undefined) continue;
    reader.complain(
      excess.at,
      `${instance.title} advertises ${ofFamily.length} ${familyName[family]} addresses, an advertisement holds ${maxAdvertised}`,
      'write { address: ADDRESS/LENGTH, advertise: false } from here on: they move all the same',
    );
  }
}

/** No two Virtual Routers share VRID, interface and family (RFC 9568 5.2.3). */
export function checkVrids(reader: Reader, instances: readonly PlacedInstance[]): void {
  const routers = new Map<string, PlacedInstance>();
  for (const instance of instances) {
    const { interface: link, vrid } = instance.config;
    if (link === '' || vrid === 0) continue;
    const clashes = new Map<PlacedInstance, string[]>();
    for (const family of familiesOf(instance.config)) {
      const key = `${link} ${vrid} ${family}`;
      const first = routers.get(key);
      if (first === undefined) routers.set(key, instance);
      else clashes.set(first, [...(clashes.get(first) ?? []), familyName[family]]);
    }
    for (const [{ group, config, vridAt }, inFamilies] of clashes) {
      const taken = `vrid ${vrid} on ${link} is taken for ${inFamilies.join(' and ')}`;
      const by = `by instance ${config.name} of group ${group} at ${reader.place(vridAt)}`;
      reader.complain(instance.vridAt, `${taken} ${by}`, 'use another one, the same on every node');
    }
  }
}

/** No address is claimed twice on one node. */
export function checkOwners(reader: Reader, instances: readonly PlacedInstance[]): void {
  const owners = new Map<string, PlacedAddress>();
  for (const placed of instances.flatMap(({ addresses }) => addresses)) {
    const { address, interface: link } = placed.config;
    // A link-local address is another one on each link (RFC 4007 section 4); fe80::1 on every LAN is common.
    const key = isLinkLocal(address) ? `${address} ${link}` : address;
    const first = owners.get(key);
    if (first === undefined) owners.set(key, placed);
    // Two that were added are one VRID on one link: complained about by that name.
    else if (first.added !== true || placed.added !== true) {
      reader.complain(
        placed.at,
        `address ${address} is here twice: first at ${reader.place(first.at)}`,
        'keep one',
      );
    }
  }
}

/** Label and scope are for the kernel, which has its own rules for them. */
export function checkAddress(
  reader: Reader,
  config: AddressConfig,
  section: Section<typeof addressKeys>,
): void {
  const { family, address, label, scope, interface: link } = config;
  const labelAt = section.entries.get('label')?.at ?? section.at;
  if (label !== undefined && family === 'ipv6') {
    reader.complain(
      labelAt,
      `label ${label} on an IPv6 address`,
      'remove it: only IPv4 addresses have labels',
    );
  } else if (label !== undefined && link !== '' && !label.startsWith(link)) {
    reader.complain(labelAt, `label ${label} does not start with ${link}`, `use one such as ${link}:vip`);
  }
  if (family === 'ipv6' && scope !== scopeOf(address)) {
    const scopeAt = section.entries.get('scope')?.at ?? section.at;
    reader.complain(
      scopeAt,
      `scope ${scope} on ${address}`,
      `remove it: an IPv6 address brings its scope, here ${scopeOf(address)}`,
    );
  }
}

/** The scope of an address that says nothing else. */
export function scopeOf(address: string): AddressConfig['scope'] {
  return isLinkLocal(address) ? 'link' : 'global';
}
