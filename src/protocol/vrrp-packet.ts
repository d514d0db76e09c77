import {
  type Family,
  addressBytes,
  advertisementGroup,
  formatAddress,
  isLinkLocal,
  vrrpProtocol,
} from './address.ts';
import { foldChecksum, sumPseudoHeader, sumWords } from './bytes.ts';

/** The two readings of the VRRPv3 checksum over IPv4 that are in the field: the message alone (RFC 9568 5.2.8, Cisco,
 *  Juniper), or the message behind an IPv4 pseudo-header (RFC 5798 as keepalived and FRR read it). IPv6 has one: the
 *  pseudo-header of RFC 8200 8.1. */
export type Checksum = 'rfc9568' | 'pseudo_header';

/** A VRRPv3 Advertisement (RFC 9568 5.2). */
export interface Advertisement {
  readonly vrid: number;
  /** 0: its sender is leaving; 255: it owns the addresses. */
  readonly priority: number;
  /** Max Advertise Interval; a multiple of 10 ms, 10 to 40950. */
  readonly intervalMs: number;
  /** Canonical, of one family, in the sender's order. */
  readonly addresses: readonly string[];
}

/** What the IP header says of a packet, as far as VRRP cares. */
export interface PacketContext {
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
}

/** Why a packet is discarded: codes that operators meet in status and metrics. The order is the order of the checks
 *  (RFC 9568 7.1, then its errata). */
export const discardReasons = [
  'bad_hop_limit',
  'bad_version',
  'bad_type',
  'bad_length',
  'bad_checksum',
  'no_addresses',
  'bad_interval',
  // These three need more than the packet: `receive.ts` makes them.
  'wrong_destination',
  'unknown_vrid',
  'own_echo',
  // Refused by the kernel filter and lost before it could be looked at.
  'unexamined',
] as const;
export type DiscardReason = (typeof discardReasons)[number];

export type Decoded =
  | { readonly ok: true; readonly advertisement: Advertisement; readonly checksum: Checksum }
  | { readonly ok: false; readonly reason: DiscardReason };

const headerLength = 8;
const typeAdvertisement = 1;

function addressLength(family: Family): number {
  return family === 'ipv4' ? 4 : 16;
}

/** The running sum in front of the message: nothing, or the pseudo-header. */
function checksumStart(
  checksum: Checksum,
  { family, source, destination }: PacketContext,
  length: number,
): number {
  if (family === 'ipv4' && checksum === 'rfc9568') return 0;
  return sumPseudoHeader(addressBytes(source), addressBytes(destination), vrrpProtocol, length);
}

/** Which reading makes the checksum right; undefined when none does. The two differ by a constant, so that a damaged message
 *  hardly ever passes the one it was not made for. */
function matchChecksum(bytes: Uint8Array, context: PacketContext): Checksum | undefined {
  const message = sumWords(bytes);
  const readings: readonly Checksum[] =
    context.family === 'ipv4' ? ['rfc9568', 'pseudo_header'] : ['pseudo_header'];
  return readings.find(
    (reading) => foldChecksum(message + checksumStart(reading, context, bytes.length)) === 0,
  );
}

/** Decodes a VRRPv3 Advertisement and makes the checks of RFC 9568 7.1 that need no configuration, in its order: hop limit,
 *  version, type, completeness, checksum; then errata 8299 (count) and 8301 (interval). Erratum 8300 (the first IPv6 address
 *  must be link-local) is left to `listsLinkLocalFirst`: keepalived and FRR break it, and to discard theirs would make two masters.
 *  @param bytes from the version octet on, without the IP header and without link-layer padding
 *  @returns the Advertisement and the checksum reading it used, or the first check that failed; never throws */
export function decodeAdvertisement(
  bytes: Uint8Array,
  context: PacketContext & { hopLimit: number },
): Decoded {
  if (context.hopLimit !== 255) return { ok: false, reason: 'bad_hop_limit' };
  const [versionAndType = 0, vrid = 0, priority = 0, count = 0, intervalHigh = 0, intervalLow = 0] = bytes;
  if (bytes.length > 0 && versionAndType >> 4 !== 3) return { ok: false, reason: 'bad_version' };
  if (bytes.length > 0 && (versionAndType & 0xf) !== typeAdvertisement)
    return { ok: false, reason: 'bad_type' };
  const size = addressLength(context.family);
  if (bytes.length < headerLength || bytes.length !== headerLength + count * size) {
    return { ok: false, reason: 'bad_length' };
  }
  const checksum = matchChecksum(bytes, context);
  if (checksum === undefined) return { ok: false, reason: 'bad_checksum' };
  if (count === 0) return { ok: false, reason: 'no_addresses' };
  // The four bits in front of the interval are reserved: ignored here, zero when we send (RFC 9568 5.2.6).
  const intervalCs = ((intervalHigh & 0x0f) << 8) | intervalLow;
  if (intervalCs === 0) return { ok: false, reason: 'bad_interval' };
  const addresses = Array.from({ length: count }, (_, index) =>
    formatAddress(bytes.subarray(headerLength + index * size, headerLength + (index + 1) * size)),
  );
  return { ok: true, checksum, advertisement: { vrid, priority, intervalMs: intervalCs * 10, addresses } };
}

/** Encodes an Advertisement (RFC 9568 5.2) for one family.
 *  @param context what the IP header will say; the checksum may cover it
 *  @param checksum the reading to use over IPv4
 *  @returns the IP payload, 8 octets and 4 or 16 for each address */
export function encodeAdvertisement(
  advertisement: Advertisement,
  context: PacketContext,
  checksum: Checksum,
): Uint8Array {
  if (advertisement.addresses.length > 255 || advertisement.intervalMs > 40_950) {
    throw new Error('an Advertisement that does not fit its fields: the configuration lets none through');
  }
  const size = addressLength(context.family);
  const bytes = new Uint8Array(headerLength + advertisement.addresses.length * size);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, (3 << 4) | typeAdvertisement);
  view.setUint8(1, advertisement.vrid);
  view.setUint8(2, advertisement.priority);
  view.setUint8(3, advertisement.addresses.length);
  view.setUint16(4, Math.round(advertisement.intervalMs / 10));
  for (const [index, address] of advertisement.addresses.entries()) {
    bytes.set(addressBytes(address), headerLength + index * size);
  }
  view.setUint16(6, foldChecksum(sumWords(bytes, checksumStart(checksum, context, bytes.length))));
  return bytes;
}

/** Whether an IPv6 list starts with a link-local address, as RFC 9568 5.2.9 and erratum 8300 ask. */
export function listsLinkLocalFirst({ addresses }: Advertisement): boolean {
  const [first] = addresses;
  return first !== undefined && isLinkLocal(first);
}

/** The multicast context of an Advertisement of our own. */
export function multicastContext(family: Family, source: string): PacketContext {
  return { family, source, destination: advertisementGroup[family] };
}
