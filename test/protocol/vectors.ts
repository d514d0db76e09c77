import { readFileSync } from 'node:fs';
import { type Family, formatAddress } from '../../src/protocol/address.ts';

/** A frame captured from keepalived, FRR or the Linux kernel, and what an independent reader made of it. */
export interface Vector {
  readonly name: string;
  readonly comment: string;
  readonly source: string;
  readonly frame_hex: string;
  readonly frame_len: number;
  readonly decoded: {
    readonly kind: string;
    readonly eth_src: string;
    readonly ip_src?: string;
    readonly ip_dst?: string;
    readonly ttl?: number;
    readonly hop_limit?: number;
    readonly arp?: { readonly op: number; readonly sha: string; readonly spa: string };
    readonly na?: {
      readonly router: boolean;
      readonly solicited: boolean;
      readonly override: boolean;
      readonly target: string;
      readonly tlla: string;
    };
    readonly vrrp?: {
      readonly version: number;
      readonly vrid: number;
      readonly priority: number;
      readonly count: number;
      readonly max_advert_int_cs?: number;
      readonly addresses: readonly string[];
      readonly checksum_rule: readonly string[];
    };
  };
}

const file = new URL('../../../test/vectors/vrrp.json', import.meta.url);

export const vectors: readonly Vector[] = JSON.parse(readFileSync(file, 'utf8')) as Vector[];

export function frameOf({ frame_hex }: Vector): Uint8Array {
  return Uint8Array.from(Buffer.from(frame_hex, 'hex'));
}

export function vectorNamed(name: string): Vector {
  const found = vectors.find((vector) => vector.name === name);
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found;
}

/** A frame without its Ethernet and IP headers, as a raw socket of protocol 112 hands it over. */
export interface Datagram {
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

/** @param frame Ethernet II with IPv4 or IPv6 inside, no extension headers */
export function datagramIn(frame: Uint8Array): Datagram {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const ip = 14;
  if (view.getUint16(12) === 0x0800) {
    const headerLength = (view.getUint8(ip) & 0xf) * 4;
    return {
      family: 'ipv4',
      hopLimit: view.getUint8(ip + 8),
      protocol: view.getUint8(ip + 9),
      source: formatAddress(frame.subarray(ip + 12, ip + 16)),
      destination: formatAddress(frame.subarray(ip + 16, ip + 20)),
      payload: frame.subarray(ip + headerLength, ip + view.getUint16(ip + 2)),
    };
  }
  return {
    family: 'ipv6',
    protocol: view.getUint8(ip + 6),
    hopLimit: view.getUint8(ip + 7),
    source: formatAddress(frame.subarray(ip + 8, ip + 24)),
    destination: formatAddress(frame.subarray(ip + 24, ip + 40)),
    payload: frame.subarray(ip + 40, ip + 40 + view.getUint16(ip + 4)),
  };
}
