import type { Config } from '../config/config.ts';
import type { InterfaceAddress, Kernel } from '../net/kernel.ts';
import { type CounterTable, checksumToSend } from './counters.ts';
import type { FailoverGroup } from './failover-group.ts';
import { membersOf } from './member.ts';
import type { MasterRouter, MasterState, RunState } from './run-state.ts';

/** What a daemon leaves behind when it dies without a chance to clean up: what to write down for that case while it lives, and how
 *  to find it afterwards. */

function masterRouters(group: FailoverGroup, counters: CounterTable): MasterRouter[] {
  return group.members.flatMap(({ id, instance, family, settings }) => {
    const source = group.value.members.get(id)?.primaryAddress;
    if (source === undefined) return [];
    const { vrid, intervalMs, addresses } = settings;
    const checksum = checksumToSend(instance.checksum, family, counters.of(group.name, id));
    return [
      {
        interface: instance.interface,
        family,
        vrid,
        intervalMs,
        addresses: [...addresses],
        source,
        checksum,
      },
    ];
  });
}

/** What the successor of this daemon would have to know of a group that is master. */
export function masterStateOf(group: FailoverGroup, counters: CounterTable): MasterState {
  const lastAdvertisements = [...group.value.members.values()].map(({ state, settings }) =>
    state.name === 'master' ? state.advertiseAt - settings.intervalMs : -Infinity,
  );
  const advertisedAt = Math.min(...lastAdvertisements);
  return {
    // A group that is handing over has said that it leaves: not to be resumed.
    advertisedAt: Number.isFinite(advertisedAt) ? advertisedAt : 0,
    routers: masterRouters(group, counters),
    holds: group.members.flatMap(({ wanted }) =>
      wanted.map(({ interface: name, address, prefixLength }) => ({
        interface: name,
        address,
        prefixLength,
      })),
    ),
  };
}

/** Addresses on this host that carry our mark and that nobody claims now: of those, the ones the last daemon held or the configuration
 *  names, so that two daemons in one network namespace leave each other's alone. */
export function leftBehind(
  kernel: Kernel,
  left: RunState | undefined,
  config: Config | undefined,
): readonly InterfaceAddress[] {
  const held = Object.values(left?.masters ?? {}).flatMap(({ holds }) => holds.map(({ address }) => address));
  const configured = (config?.groups ?? []).flatMap((group) =>
    membersOf(group).flatMap(({ wanted }) => wanted.map(({ address }) => address)),
  );
  const known = new Set([...held, ...configured]);
  return kernel.ownedAddresses().filter(({ address }) => known.has(address));
}
