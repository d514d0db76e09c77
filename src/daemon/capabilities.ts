import { readFileSync } from 'node:fs';
import type { Fault } from '../protocol/reason.ts';

/** linux/capability.h */
const needed: Readonly<Record<string, bigint>> = { CAP_NET_ADMIN: 12n, CAP_NET_RAW: 13n };

/** What this process is not allowed to do, found out before the election: a master that cannot take its addresses would first
 *  have pushed an able one aside.
 *  @param status the text of /proc/self/status
 *  @returns undefined when nothing is missing */
export function missingCapabilities(status: string): Fault | undefined {
  const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  const missing = Object.keys(needed).filter(
    (name) => (BigInt(`0x${mask}`) & (1n << (needed[name] ?? 0n))) === 0n,
  );
  if (missing.length === 0) return undefined;
  return {
    code: 'no_permission',
    text: `not allowed to send packets or add addresses: run havrrp as root or with ${missing.join(' and ')}`,
  };
}

/** The same for this process; its capabilities stay as they were when it was started. */
export function ownMissingCapabilities(): Fault | undefined {
  return missingCapabilities(readFileSync('/proc/self/status', 'utf8'));
}
