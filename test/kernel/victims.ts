import { craftAdvert, craftIpv4, craftIpv6, type CraftedAdvert } from '../bench/craft.ts';
import type { Injection } from '../bench/injector-child.ts';
import { type GroupPlan, yamlOf } from './stage.ts';

/** What a stranger may send to a router that must refuse it, or must not (RFC 9568 7.1): one VRID for each, so that all are
 *  tried at once, in one daemon and one capture. */

type Family = 'ipv4' | 'ipv6';

export interface Victim {
  /** With the ids of the requirement. */
  readonly name: string;
  readonly family: Family;
  readonly vrid: number;
  /** The code it is counted under; undefined: it must be heard. */
  readonly reason: string | undefined;
  /** A whole IP packet. */
  readonly packet: Uint8Array;
}

interface Trial {
  readonly name: string;
  readonly family?: Family;
  readonly reason?: string;
  readonly advert?: Partial<CraftedAdvert>;
  readonly hopLimit?: number;
  /** Changes the finished message. */
  readonly spoil?: (message: Uint8Array) => Uint8Array;
}

export const victimIntervalMs = 100;
const strangers = { ipv4: '192.0.2.66', ipv6: 'fe80::66' } as const;
const destinations = { ipv4: '224.0.0.18', ipv6: 'ff02::12' } as const;

const trials: readonly Trial[] = [
  { name: 'a good one' },
  { name: 'V3-06: TTL 254', family: 'ipv4', hopLimit: 254, reason: 'bad_hop_limit' },
  { name: 'V3-06: TTL 1', family: 'ipv4', hopLimit: 1, reason: 'bad_hop_limit' },
  { name: 'V3-08: hop limit 254', family: 'ipv6', hopLimit: 254, reason: 'bad_hop_limit' },
  { name: 'V3-64: version 2', advert: { version: 2 }, reason: 'bad_version' },
  { name: 'V3-64: version 4', advert: { version: 4 }, reason: 'bad_version' },
  { name: 'V3-14, V3-65: type 0', advert: { type: 0 }, reason: 'bad_type' },
  { name: 'V3-14, V3-65: type 2', advert: { type: 2 }, reason: 'bad_type' },
  { name: 'V3-14, V3-65: type 15', advert: { type: 15 }, reason: 'bad_type' },
  { name: 'V3-66: count 2, one address', family: 'ipv4', advert: { count: 2 }, reason: 'bad_length' },
  { name: 'V3-66: more addresses counted than there are', advert: { count: 3 }, reason: 'bad_length' },
  { name: 'V3-66: count 255', advert: { count: 255 }, reason: 'bad_length' },
  { name: 'V3-66: seven octets', spoil: (message) => message.slice(0, 7), reason: 'bad_length' },
  { name: 'V3-66: cut off in an address', spoil: (message) => message.slice(0, -1), reason: 'bad_length' },
  { name: 'four octets too many', advert: { trailer: new Uint8Array(4) }, reason: 'bad_length' },
  { name: 'V3-67: checksum 0', advert: { checksum: 0 }, reason: 'bad_checksum' },
  { name: 'V3-67: a bit of the priority flipped', spoil: flip(2), reason: 'bad_checksum' },
  { name: 'V3-67: a bit of the interval flipped', spoil: flip(5), reason: 'bad_checksum' },
  { name: 'V3-67: a bit of the checksum flipped', spoil: flip(7), reason: 'bad_checksum' },
  { name: 'V3-67: a bit of an address flipped', spoil: flip(11), reason: 'bad_checksum' },
  {
    name: 'V3-24: no pseudo-header',
    family: 'ipv6',
    advert: { checksum: 'message' },
    reason: 'bad_checksum',
  },
  { name: 'V3-23: the other reading', family: 'ipv4', advert: { checksum: 'pseudo-header' } },
  { name: 'V3-19: count 0', advert: { count: 0, addresses: [] }, reason: 'no_addresses' },
  { name: 'V3-70: interval 0', advert: { maxAdvertiseIntervalCs: 0 }, reason: 'bad_interval' },
  {
    name: 'V3-70: interval 0 but for the reserved bits',
    advert: { maxAdvertiseIntervalCs: 0, reserved: 15 },
    reason: 'bad_interval',
  },
  { name: 'V3-21: reserved bits set', advert: { reserved: 15 } },
  { name: 'V3-75, V3-45: three times the interval', advert: { maxAdvertiseIntervalCs: 30 } },
  { name: 'V3-76: another list', family: 'ipv4', advert: { addresses: ['203.0.113.9'] } },
  {
    name: 'V3-69: a global address first, heard all the same',
    family: 'ipv6',
    advert: { addresses: ['2001:db8:1::99'] },
  },
];

function flip(octet: number): (message: Uint8Array) => Uint8Array {
  return (message) => message.map((value, index) => (index === octet ? value ^ 0x10 : value));
}

/** The addresses of the virtual router of a VRID: what an honest neighbour would list. */
export function addressesOf(vrid: number, family: Family): string[] {
  if (family === 'ipv4') return [`192.0.2.${vrid}`];
  return [`fe80::200:5eff:fe00:2${vrid.toString(16).padStart(2, '0')}`, `2001:db8:1::1:${vrid.toString(16)}`];
}

function victimOf(trial: Trial, family: Family, vrid: number): Victim {
  const carriage = { source: strangers[family], destination: destinations[family] };
  const advert = {
    vrid,
    priority: 150,
    maxAdvertiseIntervalCs: victimIntervalMs / 10,
    addresses: addressesOf(vrid, family),
    ...trial.advert,
  };
  const message = craftAdvert(advert, carriage);
  const header = { ...carriage, ...(trial.hopLimit === undefined ? {} : { hopLimit: trial.hopLimit }) };
  const payload = trial.spoil?.(message) ?? message;
  return {
    name: `${family}: ${trial.name}`,
    family,
    vrid,
    reason: trial.reason,
    packet: (family === 'ipv4' ? craftIpv4 : craftIpv6)(payload, header),
  };
}

const firstVrid = 101;

export const victims: readonly Victim[] = trials.flatMap((trial, index) =>
  (['ipv4', 'ipv6'] as const)
    .filter((family) => trial.family === undefined || trial.family === family)
    .map((family) => victimOf(trial, family, firstVrid + index)),
);

/** What a router of this VRID must refuse, one of each kind; and one that is for nobody here. */
export function junkFor(family: Family, vrid: number): readonly Victim[] {
  const refused = trials.filter((trial) => trial.reason !== undefined);
  const own = refused
    .filter((trial) => trial.family === undefined || trial.family === family)
    .map((trial) => victimOf(trial, family, vrid));
  return [...own, victimOf({ name: 'V3-68: another VRID', reason: 'unknown_vrid' }, family, vrid + 1)];
}

/** Nobody sends to these two: what they do is what a router does that is left alone. */
export const control = { ipv4: 100, ipv6: 100 } as const;

export function groupNameOf({ family, vrid }: Pick<Victim, 'family' | 'vrid'>): string {
  return `${family}-${vrid}`;
}

/** One group for each victim and family, so that they do not share a fate. */
export function victimsYaml(): string {
  const all = [
    ...victims,
    { family: 'ipv4', vrid: control.ipv4 },
    { family: 'ipv6', vrid: control.ipv6 },
  ] as const;
  const groups = all.map(({ family, vrid }): [string, GroupPlan] => {
    const addresses = addressesOf(vrid, family).map((address) => `${address}/${family === 'ipv4' ? 24 : 64}`);
    return [
      groupNameOf({ family, vrid }),
      { interval: `${victimIntervalMs}ms`, instances: { lan: { interface: 'lan', vrid, addresses } } },
    ];
  });
  return yamlOf(Object.fromEntries(groups));
}

/** What `Injector.sendPackets` takes: so many of each, in turn, at a pace for each. */
export function injectionOf(
  from: readonly Victim[],
  family: Family,
  pace: { readonly each: number; readonly perSecond: number | undefined },
): Injection {
  const packets = from.filter((victim) => victim.family === family).map(({ packet }) => packet);
  return {
    family: family === 'ipv4' ? 4 : 6,
    destination: destinations[family],
    packets,
    count: packets.length * pace.each,
    perSecond: pace.perSecond === undefined ? undefined : packets.length * pace.perSecond,
  };
}
