import { randomInt } from 'node:crypto';
import { KernelError } from '../../errors.ts';
import type { Native } from '../../net/native.ts';
import { ping } from '../../net/ping.ts';
import type { Look } from './poller.ts';
import type { Finding } from './verdict.ts';

/** What the kernel says when there is no way to the target now: the answer to the question, not a reason why it could not be asked. */
const unreachableNow = new Set([
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENODEV',
  'EADDRNOTAVAIL',
  'EINVAL',
]);

/** Passes while the address answers an ICMP echo request. */
export function lookAtPing(
  native: Native,
  { address, interface: interfaceName }: { readonly address: string; readonly interface: string | undefined },
): Look {
  const identifier = randomInt(0x10000);
  let sequence = 0;
  return async (signal) => {
    sequence = (sequence + 1) & 0xffff;
    try {
      const roundTripMs = await ping({ native, address, interfaceName, identifier, sequence, signal });
      return roundTripMs === undefined
        ? { result: 'fail', detail: `no answer from ${address}` }
        : { result: 'pass', detail: `${address} answered in ${roundTripMs.toFixed(1)} ms` };
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return failure(error, address, interfaceName);
    }
  };
}

function failure(
  { code, message }: KernelError,
  address: string,
  interfaceName: string | undefined,
): Finding {
  if (code === 'EPERM' || code === 'EACCES') {
    const detail = message.startsWith('open')
      ? 'not allowed to open a raw socket: run havrrp as root or with CAP_NET_RAW'
      : `not allowed to ping ${address}: a firewall rule of this host forbids it`;
    return { result: 'error', detail };
  }
  const way = interfaceName === undefined ? address : `${address} through ${interfaceName}`;
  return unreachableNow.has(code)
    ? { result: 'fail', detail: `there is no way to ${way} (${code})` }
    : { result: 'error', detail: message };
}
