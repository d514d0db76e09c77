import { type Family, addressBytes } from '../../src/protocol/address.ts';
import { type Checksum, type PacketContext, multicastContext } from '../../src/protocol/vrrp-packet.ts';

/** A second, plain encoder for tests: it can say everything that is wrong, and shares no line with the one it judges. */
export interface Message {
  readonly family: Family;
  readonly version: number;
  readonly type: number;
  readonly vrid: number;
  readonly priority: number;
  /** What the count octet says, whatever is listed. */
  readonly count: number;
  readonly reserved: number;
  readonly intervalCs: number;
  readonly addresses: readonly string[];
  /** Octets after the list. */
  readonly trailer: readonly number[];
  readonly checksum: Checksum;
  /** Added to the right checksum. */
  readonly checksumError: number;
  readonly context: PacketContext;
}

/** A correct message, but for what the caller changes. */
export function message(changes: Partial<Message> = {}): Message {
  const family = changes.family ?? 'ipv4';
  const addresses = changes.addresses ?? (family === 'ipv4' ? ['192.0.2.100'] : ['fe80::33', '2001:db8::33']);
  return {
    family,
    version: 3,
    type: 1,
    vrid: 51,
    priority: 100,
    count: addresses.length,
    reserved: 0,
    intervalCs: 100,
    addresses,
    trailer: [],
    checksum: family === 'ipv4' ? 'rfc9568' : 'pseudo_header',
    checksumError: 0,
    context: multicastContext(family, family === 'ipv4' ? '192.0.2.1' : 'fe80::1'),
    ...changes,
  };
}

/** RFC 1071, word by word as the RFC tells it. */
function internetChecksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) {
    sum += (bytes[index] ?? 0) * 256 + (bytes[index + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return 0xffff - sum;
}

export function octetsOf(what: Message): Uint8Array {
  const head = [
    what.version * 16 + what.type,
    what.vrid,
    what.priority,
    what.count,
    what.reserved * 16 + (what.intervalCs >> 8),
    what.intervalCs & 0xff,
  ];
  const tail = [...what.addresses.flatMap((address) => [...addressBytes(address)]), ...what.trailer];
  const length = head.length + 2 + tail.length;
  const { source, destination } = what.context;
  const pseudoHeader =
    what.checksum === 'pseudo_header'
      ? [...addressBytes(source), ...addressBytes(destination), 0, 112, length >> 8, length & 0xff]
      : [];
  const right = internetChecksum([...pseudoHeader, ...head, 0, 0, ...tail]);
  const sum = (right + what.checksumError) & 0xffff;
  return Uint8Array.from([...head, sum >> 8, sum & 0xff, ...tail]);
}
