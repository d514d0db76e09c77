import type { KernelError } from '../errors.ts';
import type { Family } from '../protocol/address.ts';
import type { InterfaceAddress, Mirror } from './mirror.ts';
import type { Command } from './netlink-attributes.ts';
import type { Scope } from './rtnetlink-messages.ts';

/** What can be wanted, who wants it, and whether it is time to put it in (again), given what the kernel has. Asks nobody. */

export interface WantedAddress {
  readonly interface: string;
  readonly family: Family;
  /** Canonical. */
  readonly address: string;
  readonly prefixLength: number;
  /** IPv4 only; undefined: the interface's name. */
  readonly label: string | undefined;
  /** IPv4 only: an IPv6 address has the scope that it has. */
  readonly scope: Scope;
}

/** A route over one next hop: `via`, or `interface`, or both. */
export interface WantedRoute {
  readonly family: Family;
  /** `ADDR/LEN`, canonical and without host bits; 0.0.0.0/0 or ::/0 is everything. */
  readonly to: string;
  /** Canonical, of the same family. */
  readonly via?: string | undefined;
  /** undefined: the one that leads to `via`. */
  readonly interface?: string | undefined;
  /** The address this host sends from. */
  readonly source?: string | undefined;
  /** 1 to 2^32 - 1; the main table is 254. */
  readonly table: number;
  /** undefined: 0 for IPv4, 1024 for IPv6, where 0 means the same. */
  readonly metric?: number | undefined;
  /** `via` is on `interface`, whatever the addresses say. */
  readonly onlink: boolean;
}

/** A rule of policy routing: what all of the selectors fit is looked up in a table. */
export interface WantedRule {
  readonly family: Family;
  /** `ADDR/LEN`, canonical and without host bits. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** The marks that are `value` in the bits of `mask`. */
  readonly fwmark?: { readonly value: number; readonly mask: number } | undefined;
  readonly iif?: string | undefined;
  readonly oif?: string | undefined;
  readonly table: number;
  /** The lowest is asked first; the kernel's own are 0, 32766 and 32767. There is no default: what the kernel would choose
   *  depends on what is there, and a rule that was removed would come back in another place. */
  readonly preference: number;
}

/** What the kernel has of an item, whoever configured it; of routes and rules only ours is known. */
export interface Found {
  /** Carries our mark. */
  readonly ours: boolean;
  /** It is what was wanted, and does its work. */
  readonly works: boolean;
  readonly address?: InterfaceAddress;
  readonly remove: () => Command;
}

export interface Obstacle {
  readonly errno: number;
  readonly code: string;
  readonly detail: string;
}

interface ItemOf<Type extends string, Wanted> {
  readonly type: Type;
  readonly wanted: Wanted;
  /** The same for all that would be the same to the kernel. */
  readonly key: string;
  /** For errors and the log: `10.0.0.1/24 on eth0`. */
  readonly target: string;
  readonly find: (mirror: Mirror) => Found | undefined;
  /** Why it cannot be there now, where the kernel need not be asked. */
  readonly obstacle: (mirror: Mirror) => Obstacle | undefined;
  /** Where there is no obstacle. */
  readonly add: (mirror: Mirror) => Command;
  /** What the kernel's refusals mean. */
  readonly words: Readonly<Record<string, string>>;
}

/** Something that can be kept in the kernel. */
export type AddressItem = ItemOf<'address', WantedAddress>;
export type RouteItem = ItemOf<'route', WantedRoute>;
export type RuleItem = ItemOf<'rule', WantedRule>;
export type Item = AddressItem | RouteItem | RuleItem;

/** An item somebody wants, or wanted until a moment ago. */
export interface Want {
  item: Item;
  readonly key: string;
  readonly owners: Set<string>;
  /** This process added it, and it has been there since. */
  added: boolean;
  /** It was there once: when it is missing, somebody took it away. */
  settled: boolean;
  /** Why it is not there. */
  error: KernelError | undefined;
  /** When it was put back, latest last. */
  putBackAt: readonly number[];
  pauseMs: number;
  pausedUntil: number;
}

export type Decision =
  /** It is as it should be, or is left alone for now. */
  | { readonly type: 'leave' }
  | { readonly type: 'add'; readonly instead: Found | undefined }
  | { readonly type: 'impossible'; readonly obstacle: Obstacle }
  | { readonly type: 'pause'; readonly pauseMs: number };

/** More than these is no accident (a flapping link, a restarted network manager, one `ip route flush` or `ip addr flush`, which
 *  comes back up to ten times for what is there again), but a program that does not stop. */
const putBacksPerSecond = 20;
const shortestPauseMs = 1000;
const longestPauseMs = 30_000;
/** So long without being removed, and the fight is over. */
const peaceMs = 60_000;

export function newWant(item: Item): Want {
  return {
    item,
    key: item.key,
    owners: new Set(),
    added: false,
    settled: false,
    error: undefined,
    putBackAt: [],
    pauseMs: shortestPauseMs,
    pausedUntil: -Infinity,
  };
}

/** @returns what the kernel has of it, if we configured it: in this life, or with our mark in a former one */
export function held(want: Want, mirror: Mirror): Found | undefined {
  const found = want.item.find(mirror);
  if (found === undefined) want.added = false;
  return found?.ours === true || want.added ? found : undefined;
}

/** What is to be done about something wanted.
 *  @param now monotonic milliseconds */
export function decide(want: Want, mirror: Mirror, now: number): Decision {
  const instead = held(want, mirror);
  if (instead?.works === true) {
    want.settled = true;
    want.error = undefined;
    return { type: 'leave' };
  }
  const obstacle = want.item.obstacle(mirror);
  if (obstacle !== undefined) return { type: 'impossible', obstacle };
  if (now < want.pausedUntil) return { type: 'leave' };
  if (want.putBackAt.filter((at) => now - at < 1000).length < putBacksPerSecond)
    return { type: 'add', instead };
  const { pauseMs } = want;
  want.pausedUntil = now + pauseMs;
  want.pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  return { type: 'pause', pauseMs };
}

/** Notes that it was added. */
export function noteAdded(want: Want, now: number): void {
  if (want.settled) {
    if (now - (want.putBackAt.at(-1) ?? now) > peaceMs) want.pauseMs = shortestPauseMs;
    want.putBackAt = [...want.putBackAt.slice(1 - putBacksPerSecond), now];
  }
  want.added = true;
  want.settled = true;
  want.error = undefined;
}
