import { type Family, addressBytes } from '../../src/protocol/address.ts';

/** An IP packet for protocol 112, every part of it open to be wrong. */
export interface IpPacket {
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  /** IPv4 only, a multiple of four octets. */
  readonly options?: Uint8Array;
  readonly payload: Uint8Array;
}

/** A plausible Advertisement, except for its checksum, which no filter looks at. */
export function advertisement(family: Family, vrid: number, count = 1): Uint8Array {
  const bytes = new Uint8Array(8 + count * (family === 'ipv4' ? 4 : 16));
  bytes.set([0x31, vrid, 100, count, 0, 100]);
  return bytes;
}

function ipv4Checksum(header: Uint8Array): number {
  const view = new DataView(header.buffer, header.byteOffset);
  let sum = 0;
  for (let offset = 0; offset < header.length; offset += 2) sum += view.getUint16(offset);
  while (sum > 0xffff) sum = (sum >>> 16) + (sum & 0xffff);
  return ~sum & 0xffff;
}

/** The IP header: RFC 791 3.1, RFC 8200 3. */
export function ipHeader({ family, source, destination, hopLimit, options, payload }: IpPacket): Uint8Array {
  if (family === 'ipv6') {
    const header = new Uint8Array(40);
    header.set([0x6c, 0, 0, 0, payload.length >> 8, payload.length & 255, 112, hopLimit]);
    header.set(addressBytes(source), 8);
    header.set(addressBytes(destination), 24);
    return header;
  }
  const header = new Uint8Array(20 + (options?.length ?? 0));
  const total = header.length + payload.length;
  header.set([0x40 | (header.length / 4), 0xc0, total >> 8, total & 255, 0, 0, 0, 0, hopLimit, 112]);
  header.set(addressBytes(source), 12);
  header.set(addressBytes(destination), 16);
  header.set(options ?? [], 20);
  new DataView(header.buffer).setUint16(10, ipv4Checksum(header));
  return header;
}

/** What a raw socket shows its filter, and the IP header it may look back at. */
export function filterView(packet: IpPacket): { shown: Uint8Array; header: Uint8Array } {
  const header = ipHeader(packet);
  return {
    header,
    shown: packet.family === 'ipv4' ? Buffer.concat([header, packet.payload]) : packet.payload,
  };
}

/** The same on Ethernet, to the group's MAC address. */
export function ethernetFrame(packet: IpPacket): Uint8Array {
  const destination = addressBytes(packet.destination);
  const [, b = 0, c = 0, d = 0] = destination;
  const mac =
    packet.family === 'ipv4' ? [1, 0, 0x5e, b & 0x7f, c, d] : [0x33, 0x33, ...destination.subarray(12)];
  const type = packet.family === 'ipv4' ? [0x08, 0x00] : [0x86, 0xdd];
  return Buffer.concat([
    Uint8Array.from([...mac, 2, 0, 0, 0, 0, 9, ...type]),
    ipHeader(packet),
    packet.payload,
  ]);
}
