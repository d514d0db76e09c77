import { SocketAddress } from 'node:net';

/** What a frame says, read field by field from the octets of the RFCs' pictures. This shares nothing with the codec of
 *  the daemon: it is one of the judges. Values are as on the wire, right or wrong. */
export type SeenFrame =
  | {
      readonly kind: 'advert';
      readonly family: 'ipv4' | 'ipv6';
      readonly ethernetSource: string;
      readonly ethernetDestination: string;
      readonly source: string;
      readonly destination: string;
      readonly hopLimit: number;
      readonly version: number;
      readonly type: number;
      readonly vrid: number;
      readonly priority: number;
      readonly count: number;
      readonly reserved: number;
      readonly maxAdvertiseIntervalCs: number;
      readonly checksum: number;
      readonly addresses: readonly string[];
      /** Octets after the IP header. */
      readonly length: number;
    }
  | {
      readonly kind: 'arp';
      readonly ethernetSource: string;
      readonly ethernetDestination: string;
      /** 1 request, 2 reply. */
      readonly operation: number;
      readonly senderMac: string;
      readonly senderAddress: string;
      readonly targetMac: string;
      readonly targetAddress: string;
      readonly gratuitous: boolean;
    }
  | {
      readonly kind: 'neighbor-advertisement';
      readonly ethernetSource: string;
      readonly ethernetDestination: string;
      readonly source: string;
      readonly destination: string;
      readonly hopLimit: number;
      readonly router: boolean;
      readonly solicited: boolean;
      readonly override: boolean;
      readonly target: string;
      /** Target link-layer address option. */
      readonly targetMac: string | undefined;
    }
  | { readonly kind: 'other' };

const other: SeenFrame = { kind: 'other' };

/** @param bytes a whole Ethernet frame; one cut short is `other` */
export function readFrame(bytes: Uint8Array): SeenFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    switch (view.getUint16(12)) {
      case 0x0800:
        return readIpv4(view);
      case 0x86dd:
        return readIpv6(view);
      case 0x0806:
        return readArp(view);
      default:
        return other;
    }
  } catch (error) {
    if (error instanceof RangeError) return other;
    throw error;
  }
}

/** Does the frame tell everybody that an address is at its sender's: gratuitous ARP (RFC 5944 4.6) or an unsolicited
 *  Neighbor Advertisement (RFC 4861 7.2.6)? */
export function isAnnouncementOf(frame: SeenFrame, address: string): boolean {
  switch (frame.kind) {
    case 'arp':
      return frame.gratuitous && frame.senderAddress === address;
    case 'neighbor-advertisement':
      return !frame.solicited && frame.target === address;
    default:
      return false;
  }
}

const ethernet = 14;

function readIpv4(view: DataView): SeenFrame {
  if (view.getUint8(ethernet + 9) !== 112) return other;
  const headerLength = (view.getUint8(ethernet) & 0x0f) * 4;
  return readVrrp(view, ethernet + headerLength, view.getUint16(ethernet + 2) - headerLength, {
    family: 'ipv4',
    source: ipv4(view, ethernet + 12),
    destination: ipv4(view, ethernet + 16),
    hopLimit: view.getUint8(ethernet + 8),
  });
}

function readIpv6(view: DataView): SeenFrame {
  const nextHeader = view.getUint8(ethernet + 6);
  const header = {
    source: ipv6(view, ethernet + 8),
    destination: ipv6(view, ethernet + 24),
    hopLimit: view.getUint8(ethernet + 7),
  };
  const payload = ethernet + 40;
  const length = view.getUint16(ethernet + 4);
  if (nextHeader === 112) return readVrrp(view, payload, length, { family: 'ipv6', ...header });
  if (nextHeader === 58 && view.getUint8(payload) === 136) return readNeighbor(view, payload, length, header);
  return other;
}

interface IpHeader {
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
}

function readVrrp(
  view: DataView,
  start: number,
  length: number,
  header: IpHeader & { readonly family: 'ipv4' | 'ipv6' },
): SeenFrame {
  const count = view.getUint8(start + 3);
  const [addressLength, read] = header.family === 'ipv4' ? ([4, ipv4] as const) : ([16, ipv6] as const);
  const room = Math.max(0, Math.floor((length - 8) / addressLength));
  return {
    kind: 'advert',
    ...ethernetHeader(view),
    ...header,
    version: view.getUint8(start) >> 4,
    type: view.getUint8(start) & 0x0f,
    vrid: view.getUint8(start + 1),
    priority: view.getUint8(start + 2),
    count,
    reserved: view.getUint8(start + 4) >> 4,
    maxAdvertiseIntervalCs: view.getUint16(start + 4) & 0x0fff,
    checksum: view.getUint16(start + 6),
    addresses: Array.from({ length: Math.min(count, room) }, (_, index) =>
      read(view, start + 8 + index * addressLength),
    ),
    length,
  };
}

function readNeighbor(view: DataView, start: number, length: number, header: IpHeader): SeenFrame {
  const flags = view.getUint8(start + 4);
  let targetMac: string | undefined;
  for (let option = start + 24; option + 8 <= start + length; option += view.getUint8(option + 1) * 8) {
    if (view.getUint8(option) === 2) targetMac = mac(view, option + 2);
    if (view.getUint8(option + 1) === 0) break;
  }
  return {
    kind: 'neighbor-advertisement',
    ...ethernetHeader(view),
    ...header,
    router: (flags & 0x80) !== 0,
    solicited: (flags & 0x40) !== 0,
    override: (flags & 0x20) !== 0,
    target: ipv6(view, start + 8),
    targetMac,
  };
}

function readArp(view: DataView): SeenFrame {
  const senderAddress = ipv4(view, ethernet + 14);
  const targetAddress = ipv4(view, ethernet + 24);
  return {
    kind: 'arp',
    ...ethernetHeader(view),
    operation: view.getUint16(ethernet + 6),
    senderMac: mac(view, ethernet + 8),
    senderAddress,
    targetMac: mac(view, ethernet + 18),
    targetAddress,
    gratuitous: senderAddress === targetAddress,
  };
}

function ethernetHeader(view: DataView): { ethernetSource: string; ethernetDestination: string } {
  return { ethernetDestination: mac(view, 0), ethernetSource: mac(view, 6) };
}

function mac(view: DataView, start: number): string {
  return Array.from({ length: 6 }, (_, index) =>
    view
      .getUint8(start + index)
      .toString(16)
      .padStart(2, '0'),
  ).join(':');
}

function ipv4(view: DataView, start: number): string {
  return Array.from({ length: 4 }, (_, index) => String(view.getUint8(start + index))).join('.');
}

function ipv6(view: DataView, start: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(start + 2 * index).toString(16));
  return new SocketAddress({ family: 'ipv6', address: groups.join(':') }).address;
}
