import { type AddressConfig, type GroupConfig, type InstanceConfig, familiesOf } from '../config/config.ts';
import type { WantedAddress, WantedRoute, WantedRule } from '../net/kernel.ts';
import type { Family } from '../protocol/address.ts';
import type { MemberSettings } from '../protocol/group.ts';
import type { Settings } from '../protocol/machine.ts';

/** A Virtual Router of a group as the configuration describes it: one family of one instance. */
export interface Member {
  /** `wan/ipv4`: unique within the group. */
  readonly id: string;
  readonly instance: InstanceConfig;
  readonly family: Family;
  readonly settings: Settings;
  /** What it puts on this host while master, advertised or not. */
  readonly wanted: readonly WantedAddress[];
  /** The group's routes and rules, which go with its first member. */
  readonly routes: readonly WantedRoute[];
  readonly rules: readonly WantedRule[];
}

function wantedAddress(address: AddressConfig): WantedAddress {
  const { interface: name, family, prefixLength, label, scope } = address;
  return { interface: name, family, address: address.address, prefixLength, label, scope };
}

function memberOf(group: GroupConfig, instance: InstanceConfig, family: Family): Member {
  const [firstFamily] = familiesOf(instance);
  const advertised = instance.addresses.filter((address) => address.advertise && address.family === family);
  // A family without advertised addresses has no Virtual Router of its own: its addresses go with the first one.
  const carried = instance.addresses.filter(
    (address) =>
      address.family === family || (family === firstFamily && !familiesOf(instance).includes(address.family)),
  );
  return {
    id: `${instance.name}/${family}`,
    instance,
    family,
    settings: {
      family,
      vrid: instance.vrid,
      priority: instance.priority,
      intervalMs: instance.intervalMs,
      preempt: group.preempt,
      preemptDelayMs: group.preemptDelayMs,
      addresses: advertised.map(({ address }) => address),
    },
    wanted: carried.map(wantedAddress),
    routes: [],
    rules: [],
  };
}

/** The Virtual Routers of a group, in the order of the configuration, IPv4 first. */
export function membersOf(group: GroupConfig): readonly Member[] {
  const members = group.instances.flatMap((instance) =>
    familiesOf(instance).map((family) => memberOf(group, instance, family)),
  );
  const { routes, rules } = group;
  return members.map((member, index) => (index === 0 ? { ...member, routes, rules } : member));
}

/** The member as the protocol sees it. */
export function memberSettings({ id, settings }: Member, primaryAddress: string | undefined): MemberSettings {
  return { id, settings, primaryAddress };
}
