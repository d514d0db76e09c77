import type { Test } from 'tap';
import { Kernel, type KernelTrouble, type WantedAddress } from '../../src/net/kernel.ts';
import { type Native, loadNative } from '../../src/net/native.ts';
import { familyOf } from '../../src/protocol/address.ts';
import { shell } from '../bench/in-namespace.ts';

/** The kernel room in a namespace, and what it says. */

export const native: Native = loadNative();

export type Heard =
  | { type: 'change' }
  | { type: 'restored'; addresses: readonly WantedAddress[] }
  | { type: 'routing-restored'; targets: readonly string[] }
  | { type: 'trouble'; trouble: KernelTrouble };

export interface Watched {
  readonly kernel: Kernel;
  /** What the callbacks were given, in order. */
  readonly heard: readonly Heard[];
  /** Resolves once the condition holds, looking again after every callback. */
  until(condition: () => boolean): Promise<void>;
  restored(): string[];
  /** Routes and rules. */
  routingRestored(): string[];
  troubles(): KernelTrouble[];
}

/** The kernel room, closed with the test. */
export async function open(t: Test, addon: Native = native, onChange?: () => void): Promise<Watched> {
  const heard: Heard[] = [];
  let check = (): void => undefined;
  const note = (what: Heard): void => {
    heard.push(what);
    check();
  };
  const kernel = await Kernel.open({
    native: addon,
    onChange: () => {
      onChange?.();
      note({ type: 'change' });
    },
    onRestored: (addresses) => note({ type: 'restored', addresses }),
    onRoutingRestored: (targets) => note({ type: 'routing-restored', targets }),
    onTrouble: (trouble) => note({ type: 'trouble', trouble }),
  });
  t.teardown(() => kernel.close());
  return {
    kernel,
    heard,
    until: async (condition) => {
      if (condition()) return;
      await new Promise<void>((resolve) => {
        check = () => {
          if (condition()) resolve();
        };
      });
    },
    restored: () =>
      heard.flatMap((what) => (what.type === 'restored' ? what.addresses.map(({ address }) => address) : [])),
    routingRestored: () => heard.flatMap((what) => (what.type === 'routing-restored' ? what.targets : [])),
    troubles: () => heard.flatMap((what) => (what.type === 'trouble' ? [what.trouble] : [])),
  };
}

/** A veth pair, both ends up. */
export function pair(t: Test, name: string, options = ''): void {
  shell(`ip link add ${name} ${options} type veth peer name ${name}-peer
         ip link set ${name} addrgenmode none; ip link set ${name}-peer addrgenmode none
         ip link set ${name} up; ip link set ${name}-peer up`);
  t.teardown(() => shell(`ip link del ${name} 2>/dev/null || true`));
}

/** `192.0.2.1/24` as it would be claimed. */
export function wanted(name: string, text: string, more: Partial<WantedAddress> = {}): WantedAddress {
  const [address = '', length = ''] = text.split('/');
  const family = familyOf(address);
  const prefixLength = Number(length);
  return { interface: name, family, address, prefixLength, label: undefined, scope: 'global', ...more };
}
