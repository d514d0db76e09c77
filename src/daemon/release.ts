import { join } from 'node:path';
import { controlSocketName } from '../config/config.ts';
import { readConfig } from '../config/load.ts';
import { isListening } from '../control/client.ts';
import { ConfigError, ControlError, KernelError } from '../errors.ts';
import { Kernel } from '../net/kernel.ts';
import { type Native, loadNative } from '../net/native.ts';
import { PacketSocket } from '../net/packet-socket.ts';
import { advertisementGroup, vrrpProtocol } from '../protocol/address.ts';
import { encodeAdvertisement, multicastContext } from '../protocol/vrrp-packet.ts';
import { leftBehind } from './left-behind.ts';
import { type MasterRouter, forgetRunState, readRunState } from './run-state.ts';

/** Says priority 0 in the place of a router whose daemon is dead, so that its backups need not wait for the silence. */
function sayPriorityZero(native: Native, kernel: Kernel, router: MasterRouter): void {
  const { family, vrid, intervalMs, addresses, source, checksum } = router;
  const link = kernel.link(router.interface);
  if (link === undefined) return;
  const socket = PacketSocket.open({
    native,
    family,
    interfaceName: link.name,
    interfaceIndex: link.index,
    protocol: vrrpProtocol,
    group: advertisementGroup[family],
    onPacket: () => undefined,
    onError: () => undefined,
  });
  try {
    const advertisement = { vrid, priority: 0, intervalMs, addresses };
    const bytes = encodeAdvertisement(advertisement, multicastContext(family, source), checksum);
    socket.send(bytes, { source, destination: advertisementGroup[family] });
  } finally {
    socket.close();
  }
}

/** `havrrp release`: takes away what a dead daemon left on this host and says priority 0 in its place.
 *  @param file the configuration, which says where the run state is
 *  @param runtimeDirectory instead of the one the configuration says
 *  @returns what was done, a sentence each
 *  @throws ControlError when the daemon is alive */
export async function release(
  file: string,
  runtimeDirectory: string | undefined,
): Promise<readonly string[]> {
  const config = await readConfig(file, { withPrograms: false }).catch((error: unknown) => {
    // It may be the very reason why the daemon died: what it left is in the run state.
    if (error instanceof ConfigError) return undefined;
    throw error;
  });
  const directory = runtimeDirectory ?? config?.runtimeDirectory ?? '/run/havrrp';
  if (await isListening(join(directory, controlSocketName))) {
    throw new ControlError('already_running', {
      what: 'the daemon is alive',
      where: directory,
      fix: 'stop it first, it cleans up after itself',
    });
  }
  const left = await readRunState(directory);
  const native = loadNative();
  const kernel = await Kernel.open({
    native,
    onChange: () => undefined,
    onRestored: () => undefined,
    onTrouble: () => undefined,
  });
  const done: string[] = [];
  try {
    for (const [group, { routers }] of Object.entries(left?.masters ?? {})) {
      for (const router of routers) {
        try {
          sayPriorityZero(native, kernel, router);
          done.push(
            `${group}: said priority 0 for VRID ${router.vrid} on ${router.interface} (${router.family})`,
          );
        } catch (error) {
          // A link that is gone needs no last words; the addresses still have to go.
          if (!(error instanceof KernelError)) throw error;
          done.push(`${group}: could not say priority 0 on ${router.interface}: ${error.message}`);
        }
      }
    }
    const addresses = leftBehind(kernel, left, config);
    const [routes, rules] = [kernel.ownedRoutes(), kernel.ownedRules()];
    await kernel.remove(addresses, routes, rules);
    for (const { to } of routes) done.push(`removed the route to ${to}`);
    for (const { preference } of rules) done.push(`removed the rule of preference ${preference}`);
    for (const { address, prefixLength } of addresses) done.push(`removed ${address}/${prefixLength}`);
    await forgetRunState(directory);
  } finally {
    kernel.close();
  }
  return done;
}
