import { addressBytes } from './address.ts';
import { foldChecksum, sumPseudoHeader, sumWords } from './bytes.ts';

/** Whole Ethernet frames for a packet socket: what tells the neighbours where an address lives now. */

const broadcastMac = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
const allNodesMac = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
const allNodes = addressBytes('ff02::1');

const ethernetLength = 14;
const ipv6Length = 40;
const icmpv6 = 58;

function ethernet(
  destination: Uint8Array,
  source: Uint8Array,
  etherType: number,
  payload: number,
): Uint8Array {
  const frame = new Uint8Array(ethernetLength + payload);
  frame.set(destination, 0);
  frame.set(source, 6);
  new DataView(frame.buffer).setUint16(12, etherType);
  return frame;
}

/** A gratuitous ARP request (RFC 9568 6.4.1): broadcast, sender and target protocol address both the virtual address. The target
 *  hardware address is all ones, as keepalived, FRR and holo send it.
 *  @param mac six octets: where the address lives
 *  @param address canonical IPv4 address
 *  @returns 42 octets; the driver pads */
export function gratuitousArp(mac: Uint8Array, address: string): Uint8Array {
  const frame = ethernet(broadcastMac, mac, 0x0806, 28);
  const view = new DataView(frame.buffer);
  const ip = addressBytes(address);
  view.setUint16(14, 1); // hardware type: Ethernet
  view.setUint16(16, 0x0800); // protocol type: IPv4
  view.setUint8(18, 6);
  view.setUint8(19, 4);
  view.setUint16(20, 1); // operation: request
  frame.set(mac, 22);
  frame.set(ip, 28);
  frame.set(broadcastMac, 32);
  frame.set(ip, 38);
  return frame;
}

/** An unsolicited Neighbor Advertisement (RFC 9568 6.4.1, RFC 4861 4.4) from the address itself to all nodes: Router and Override
 *  set, Solicited clear, target link-layer address option present.
 *  @param mac six octets: where the address lives
 *  @param address canonical IPv6 address
 *  @returns 86 octets */
export function unsolicitedNeighborAdvertisement(mac: Uint8Array, address: string): Uint8Array {
  const messageLength = 32;
  const frame = ethernet(allNodesMac, mac, 0x86dd, ipv6Length + messageLength);
  const view = new DataView(frame.buffer);
  const ip = addressBytes(address);
  view.setUint32(14, 0x60000000); // version 6, no traffic class, no flow
  view.setUint16(18, messageLength);
  view.setUint8(20, icmpv6);
  view.setUint8(21, 255); // hop limit (RFC 4861 7.1.2)
  frame.set(ip, 22);
  frame.set(allNodes, 38);
  const message = frame.subarray(ethernetLength + ipv6Length);
  message[0] = 136; // Neighbor Advertisement
  message[4] = 0xa0; // R and O
  message.set(ip, 8);
  message[24] = 2; // option: target link-layer address
  message[25] = 1; // in units of eight octets
  message.set(mac, 26);
  const checksum = foldChecksum(sumWords(message, sumPseudoHeader(ip, allNodes, icmpv6, messageLength)));
  view.setUint16(ethernetLength + ipv6Length + 2, checksum);
  return frame;
}
