import { isIPv6, SocketAddress } from 'node:net';

/** A VRRP message as somebody else might send it, right or wrong: every field can be set to anything. Shares nothing with
 *  the codec of the daemon. */
export interface CraftedAdvert {
  readonly version?: number;
  readonly type?: number;
  readonly vrid: number;
  readonly priority: number;
  /** What the count field says; the number of addresses unless set. */
  readonly count?: number;
  readonly reserved?: number;
  readonly maxAdvertiseIntervalCs?: number;
  readonly addresses: readonly string[];
  /** Octets after the last address. */
  readonly trailer?: Uint8Array;
  /** IPv4: `message` is RFC 9568's reading, `pseudo-header` that of keepalived; a number is written as it is. IPv6 always
   *  has a pseudo-header. */
  readonly checksum?: 'message' | 'pseudo-header' | number;
}

/** The addresses of the IP header that will carry a message: the pseudo-header needs them. */
export interface Carriage {
  readonly source: string;
  readonly destination: string;
}

/** The octets after the IP header. */
export function craftAdvert(advert: CraftedAdvert, carriage: Carriage): Uint8Array {
  const addresses = advert.addresses.map(addressBytes);
  const fixed = Uint8Array.of(
    ((advert.version ?? 3) << 4) | (advert.type ?? 1),
    advert.vrid,
    advert.priority,
    advert.count ?? addresses.length,
    ((advert.reserved ?? 0) << 4) | ((advert.maxAdvertiseIntervalCs ?? 100) >> 8),
    (advert.maxAdvertiseIntervalCs ?? 100) & 0xff,
    0,
    0,
  );
  const message = join([fixed, ...addresses, advert.trailer ?? new Uint8Array()]);
  const rule = advert.checksum ?? (isIPv6(carriage.source) ? 'pseudo-header' : 'message');
  const value =
    typeof rule === 'number'
      ? rule
      : internetChecksum(join([pseudoHeader(rule, carriage, message), message]));
  message.set([value >> 8, value & 0xff], 6);
  return message;
}

/** A whole IPv4 packet, protocol 112 unless told otherwise; the kernel fills in id and header checksum. */
export function craftIpv4(
  payload: Uint8Array,
  {
    source,
    destination,
    hopLimit = 255,
    protocol = 112,
  }: Carriage & { hopLimit?: number; protocol?: number },
): Uint8Array {
  const length = 20 + payload.length;
  return join([
    Uint8Array.of(0x45, 0xc0, length >> 8, length & 0xff, 0, 0, 0, 0, hopLimit, protocol, 0, 0),
    addressBytes(source),
    addressBytes(destination),
    payload,
  ]);
}

export function craftIpv6(
  payload: Uint8Array,
  {
    source,
    destination,
    hopLimit = 255,
    protocol = 112,
  }: Carriage & { hopLimit?: number; protocol?: number },
): Uint8Array {
  return join([
    Uint8Array.of(0x6c, 0, 0, 0, payload.length >> 8, payload.length & 0xff, protocol, hopLimit),
    addressBytes(source),
    addressBytes(destination),
    payload,
  ]);
}

/** RFC 1071. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2)
    sum += ((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function pseudoHeader(
  rule: 'message' | 'pseudo-header',
  { source, destination }: Carriage,
  message: Uint8Array,
): Uint8Array {
  if (rule === 'message') return new Uint8Array();
  // IPv4: zero, protocol, 16 bits of length; IPv6: 32 bits of length, three zeros, next header (RFC 8200 8.1).
  const { length } = message;
  const rest = isIPv6(source)
    ? [0, 0, length >> 8, length & 0xff, 0, 0, 0, 112]
    : [0, 112, length >> 8, length & 0xff];
  return join([addressBytes(source), addressBytes(destination), Uint8Array.from(rest)]);
}

export function addressBytes(address: string): Uint8Array {
  if (!isIPv6(address)) return Uint8Array.from(address.split('.').map(Number));
  const canonical = new SocketAddress({ family: 'ipv6', address }).address;
  const [head = '', tail] = canonical.split('::');
  const before = head.split(':').filter(Boolean);
  const after = (tail ?? '').split(':').filter(Boolean);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return Uint8Array.from(
    [...before, ...zeros, ...after].flatMap((group) => [
      parseInt(group, 16) >> 8,
      parseInt(group, 16) & 0xff,
    ]),
  );
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
