import type { Logger } from 'pino';
import type { Packet } from '../net/packet-socket.ts';
import { type Family, advertisementGroup } from '../protocol/address.ts';
import { type Decoded, type DiscardReason, decodeAdvertisement } from '../protocol/vrrp-packet.ts';
import { type CounterTable, countDiscard } from './counters.ts';
import type { FailoverGroup } from './failover-group.ts';
import type { Member } from './member.ts';
import type { RateLimit } from './rate-limit.ts';

/** A Virtual Router and the group it belongs to. */
export interface Seat {
  readonly group: FailoverGroup;
  readonly member: Member;
}

/** A datagram becomes an event of the router it is for, or a count: nothing that arrives can do more than that. */
export class Receiver {
  readonly #counters: CounterTable;
  readonly #log: Logger;
  readonly #limit: RateLimit;
  /** By interface and family; the routers of one wire, in the order of the configuration. */
  #seats = new Map<string, readonly Seat[]>();

  constructor(options: { counters: CounterTable; log: Logger; limit: RateLimit }) {
    this.#counters = options.counters;
    this.#log = options.log;
    this.#limit = options.limit;
  }

  /** The routers that listen from now on. */
  configure(seats: readonly Seat[]): void {
    this.#seats = new Map();
    for (const seat of seats) {
      const key = `${seat.member.instance.interface}/${seat.member.family}`;
      this.#seats.set(key, [...(this.#seats.get(key) ?? []), seat]);
    }
  }

  receive(interfaceName: string, family: Family, packet: Packet): void {
    const seats = this.#seats.get(`${interfaceName}/${family}`) ?? [];
    const { source, destination, hopLimit } = packet;
    const decoded = decodeAdvertisement(packet.bytes, { family, source, destination, hopLimit });
    const vrid = packet.bytes[1];
    const seat = seats.find(({ member }) => member.instance.vrid === vrid);
    const reason = discardReason(decoded, family, packet, seat);
    // What is for none of our VRIDs is counted where it was seen: at the first router of that wire.
    const blamed = seat ?? seats[0];
    if (blamed === undefined) return;
    const counters = this.#counters.of(blamed.group.name, blamed.member.id);
    counters.received += 1;
    if (reason !== undefined || !decoded.ok || seat === undefined) {
      this.#discard(blamed, reason ?? 'unknown_vrid', packet);
      return;
    }
    counters.checksumHeard = decoded.checksum;
    const { advertisement } = decoded;
    seat.group.step({
      type: 'advertisement-received',
      id: seat.member.id,
      advertisement,
      source,
      arrivedAt: packet.arrivedAt,
    });
  }

  #discard({ group, member }: Seat, reason: DiscardReason, packet: Packet): void {
    countDiscard(this.#counters.of(group.name, member.id), reason);
    const suppressed = this.#limit.pass(`${group.name}/${member.id}/${reason}`);
    if (suppressed === undefined) return;
    this.#log.warn(
      {
        group: group.name,
        router: member.id,
        interface: member.instance.interface,
        reason,
        source: packet.source,
        vrid: packet.bytes[1],
        suppressed,
      },
      'discarded a packet',
    );
  }
}

/** The checks of RFC 9568 7.1 in its order: what the packet alone shows, then what needs our configuration. */
function discardReason(
  decoded: Decoded,
  family: Family,
  packet: Packet,
  seat: Seat | undefined,
): DiscardReason | undefined {
  if (!decoded.ok) return decoded.reason;
  if (packet.destination !== advertisementGroup[family]) return 'wrong_destination';
  // What the kernel filter had refused is only counted; if it looks good by now, the VRID was configured meanwhile.
  if (seat === undefined || packet.sampled) return 'unknown_vrid';
  if (packet.source === seat.group.value.members.get(seat.member.id)?.primaryAddress) return 'own_echo';
  return undefined;
}
