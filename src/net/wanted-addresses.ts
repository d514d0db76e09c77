import type { KernelError } from '../errors.ts';
import { type Family, addressBytes } from '../protocol/address.ts';
import { type InterfaceAddress, type Mirror, addressKey, ourAddressProtocol } from './mirror.ts';
import { type AddressMessage, type Scope, addressFlag, scopeNumber } from './rtnetlink-messages.ts';

/** Which addresses are wanted, and what is to be done about each, given what the kernel has. Asks nobody. */

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

/** An address somebody wants, or wanted until a moment ago. */
export interface Want {
  wanted: WantedAddress;
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
  | { readonly type: 'add'; readonly interfaceIndex: number; readonly instead: InterfaceAddress | undefined }
  | { readonly type: 'no-interface' }
  | { readonly type: 'pause'; readonly pauseMs: number };

/** More than these is no accident (a flapping link, a restarted network manager), but a program that does not stop. */
const putBacksPerSecond = 5;
const shortestPauseMs = 1000;
const longestPauseMs = 30_000;
/** So long without being removed, and the fight is over. */
const peaceMs = 60_000;

export function wantKey(wanted: Pick<WantedAddress, 'interface' | 'address' | 'prefixLength'>): string {
  return `${wanted.interface} ${addressKey(wanted.address, wanted.prefixLength)}`;
}

export function newWant(wanted: WantedAddress): Want {
  return {
    wanted,
    key: wantKey(wanted),
    owners: new Set(),
    added: false,
    settled: false,
    error: undefined,
    putBackAt: [],
    pauseMs: shortestPauseMs,
    pausedUntil: -Infinity,
  };
}

/** @returns the address where it is wanted, whoever configured it */
export function findAddress(mirror: Mirror, wanted: WantedAddress): InterfaceAddress | undefined {
  const index = mirror.indexes.get(wanted.interface);
  if (index === undefined) return undefined;
  return mirror.addresses.get(index)?.get(addressKey(wanted.address, wanted.prefixLength));
}

/** @returns the address where it is wanted, if we configured it: in this life, or with our mark in a former one */
export function heldAddress(mirror: Mirror, want: Want): InterfaceAddress | undefined {
  const found = findAddress(mirror, want.wanted);
  if (found === undefined) want.added = false;
  return found?.ours === true || want.added ? found : undefined;
}

/** It does not work: duplicate address detection, which we never ask for, has got hold of it after another program
 *  changed its flags; or it is from before a change of configuration. */
function isSpoilt(held: InterfaceAddress, wanted: WantedAddress): boolean {
  if (held.tentative || held.dadFailed) return true;
  return (
    held.family === 'ipv4' &&
    (held.scope !== wanted.scope || held.label !== (wanted.label ?? wanted.interface))
  );
}

/** What is to be done about a wanted address.
 *  @param now monotonic milliseconds */
export function decide(want: Want, mirror: Mirror, now: number): Decision {
  const held = heldAddress(mirror, want);
  if (held !== undefined && !isSpoilt(held, want.wanted)) {
    want.settled = true;
    want.error = undefined;
    return { type: 'leave' };
  }
  const interfaceIndex = mirror.indexes.get(want.wanted.interface);
  if (interfaceIndex === undefined) return { type: 'no-interface' };
  if (now < want.pausedUntil) return { type: 'leave' };
  if (want.putBackAt.filter((at) => now - at < 1000).length < putBacksPerSecond) {
    return { type: 'add', interfaceIndex, instead: held };
  }
  const { pauseMs } = want;
  want.pausedUntil = now + pauseMs;
  want.pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  return { type: 'pause', pauseMs };
}

/** Notes that a wanted address was added. */
export function noteAdded(want: Want, now: number): void {
  if (want.settled) {
    if (now - (want.putBackAt.at(-1) ?? now) > peaceMs) want.pauseMs = shortestPauseMs;
    want.putBackAt = [...want.putBackAt.slice(1 - putBacksPerSecond), now];
  }
  want.added = true;
  want.settled = true;
  want.error = undefined;
}

/** What the kernel is told of a wanted address. */
export function messageFor(wanted: WantedAddress, interfaceIndex: number): AddressMessage {
  const { family, address, prefixLength, label, scope } = wanted;
  // Duplicate address detection would keep a new master silent for a second, and find the old one. A /128 is no source for
  // our own connections, they would die with the next failover: deprecated, as keepalived has it.
  const flags =
    family === 'ipv4' ? 0 : addressFlag.nodad | (prefixLength === 128 ? addressFlag.deprecated : 0);
  return {
    interfaceIndex,
    family,
    address,
    peer: address,
    prefixLength,
    scope: scopeNumber[scope],
    flags,
    label: family === 'ipv4' ? label : undefined,
    protocol: ourAddressProtocol,
  };
}

function network(address: string, prefixLength: number): number {
  const value = new DataView(addressBytes(address).buffer).getUint32(0);
  return prefixLength === 0 ? 0 : value >>> (32 - prefixLength);
}

/** With the first IPv4 address of a subnet on an interface the kernel deletes all the others of that subnet, whoever
 *  configured them, unless promote_secondaries is on.
 *  @param doomed what will be deleted together with it
 *  @returns whether deleting it takes any others along */
export function takesOthersAlong(
  mirror: Mirror,
  address: InterfaceAddress,
  doomed: ReadonlySet<InterfaceAddress>,
): boolean {
  if (address.family !== 'ipv4' || address.secondary) return false;
  const { prefixLength } = address;
  const neighbours = mirror.addresses.get(address.interfaceIndex)?.values() ?? [];
  return [...neighbours].some(
    (other) =>
      other.secondary &&
      !doomed.has(other) &&
      other.prefixLength === prefixLength &&
      network(other.address, prefixLength) === network(address.address, prefixLength),
  );
}
