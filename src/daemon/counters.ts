import type { Family } from '../protocol/address.ts';
import type { Checksum, DiscardReason } from '../protocol/vrrp-packet.ts';

/** What one router has sent and received since the daemon started. */
export interface Counters {
  sent: number;
  sendFailures: number;
  received: number;
  readonly discarded: Map<DiscardReason, number>;
  /** The checksum reading of the last valid Advertisement over IPv4 (RFC 9568 5.2.8). */
  checksumHeard: Checksum | undefined;
}

/** The counters of all routers, by group and router id. */
export class CounterTable {
  readonly #table = new Map<string, Counters>();

  of(group: string, id: string): Counters {
    const key = `${group}\n${id}`;
    const counters = this.#table.get(key);
    if (counters !== undefined) return counters;
    const fresh = { sent: 0, sendFailures: 0, received: 0, discarded: new Map(), checksumHeard: undefined };
    this.#table.set(key, fresh);
    return fresh;
  }
}

export function countDiscard({ discarded }: Counters, reason: DiscardReason): void {
  discarded.set(reason, (discarded.get(reason) ?? 0) + 1);
}

/** The reading to send: the configured one, or the one the peer used last; RFC 9568's until somebody was heard. */
export function checksumToSend(
  configured: Checksum | 'auto',
  family: Family,
  { checksumHeard }: Counters,
): Checksum {
  if (family === 'ipv6') return 'pseudo_header';
  return configured === 'auto' ? (checksumHeard ?? 'rfc9568') : configured;
}
