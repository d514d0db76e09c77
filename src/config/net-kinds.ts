import * as z from 'zod/mini';
import { canonicalAddress, isLinkLocal } from '../protocol/address.ts';
import type { FirewallMark } from './config.ts';
import { interfaceName, refuse } from './kinds.ts';
import type { Kind } from './kinds.ts';
import { parsePrefix } from './prefix.ts';
import type { Prefix } from './prefix.ts';
import { parseHostAddress, parseVirtualAddress } from './virtual-address.ts';

const prefixPattern = '^[0-9A-Fa-f:.]+/[0-9]{1,3}$';

/** `ADDR/LEN`, fit for a Virtual Router. */
export function virtualAddress(): Kind<Prefix> {
  const written = z.string('is not text').check(z.meta({ pattern: prefixPattern }));
  const read = z.transform((value: string, context) => {
    const parsed = parseVirtualAddress(value);
    return 'what' in parsed ? refuse(context, value, parsed.what, parsed.fix) : parsed;
  });
  return { holds: 'ADDRESS/LENGTH, such as 203.0.113.1/24', schema: z.pipe(written, read) };
}

/** A network, `ADDR/LEN` without host bits. */
export function prefix(): Kind<Prefix> {
  const written = z.string('is not text').check(z.meta({ pattern: prefixPattern }));
  const read = z.transform(readPrefix);
  return { holds: 'NETWORK/LENGTH, such as 203.0.113.0/24', schema: z.pipe(written, read) };
}

/** Where a route leads: a network, or everywhere. */
export function destination(): Kind<Prefix | 'default'> {
  const written = z.string('is not text').check(z.meta({ pattern: `^default$|${prefixPattern}` }));
  const read = z.transform((value: string, context) =>
    value === 'default' ? value : readPrefix(value, context),
  );
  return { holds: `default, or ${prefix().holds}`, schema: z.pipe(written, read) };
}

function readPrefix(value: string, context: z.core.ParsePayload): Prefix {
  const parsed = parsePrefix(value);
  return 'what' in parsed ? refuse(context, value, parsed.what, parsed.fix) : parsed;
}

/** The address of a host, canonical once read. */
export function hostAddress(): Kind<string> {
  const written = z.string('is not text').check(z.meta({ pattern: '^[0-9A-Fa-f:.]+$' }));
  const read = z.transform((value: string, context) => {
    const parsed = parseHostAddress(value);
    return typeof parsed === 'string' ? parsed : refuse(context, value, parsed.what, parsed.fix);
  });
  return { holds: 'an address such as 203.0.113.254', schema: z.pipe(written, read) };
}

/** What is pinged, and through which interface. */
export function pingTarget(): Kind<{ readonly address: string; readonly interface: string | undefined }> {
  const holds = 'an address such as 203.0.113.254 or fe80::1%eth0';
  const written = z.string('is not text').check(z.meta({ pattern: '^[0-9A-Fa-f:.]+(%[^\\s/:]+)?$' }));
  const read = z.transform((value: string, context) => {
    const [host = '', ...zones] = value.split('%');
    const zone = zones.length === 0 ? undefined : zones.join('%');
    if (zone !== undefined && !interfaceName().schema.safeParse(zone).success) {
      return refuse(context, value, 'names no interface after the %', 'write one such as fe80::1%eth0');
    }
    const address = canonicalAddress(host);
    // Nobody else answers there, but it is an address.
    const isLoopback = address !== undefined && (address.startsWith('127.') || address === '::1');
    const parsed = isLoopback ? address : parseHostAddress(host);
    if (typeof parsed !== 'string') return refuse(context, value, parsed.what, parsed.fix);
    if (zone === undefined && isLinkLocal(parsed)) {
      const fix = `add its interface, such as ${parsed}%eth0`;
      return refuse(context, value, 'is link-local: it is another one on each link', fix);
    }
    return { address: parsed, interface: zone };
  });
  return { holds, schema: z.pipe(written, read) };
}

/** `HOST:PORT`, an IPv6 host in brackets; an address is canonical once read. */
export function hostAndPort(
  ipv4: string,
  ipv6: string,
): Kind<{ readonly host: string; readonly port: number }> {
  const holds = `HOST:PORT, such as ${ipv4} or "${ipv6}"`;
  const pattern = /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):([0-9]{1,5})$/;
  const written = z.string('is not text').check(z.regex(pattern, 'is no HOST:PORT'));
  const read = z.transform((value: string, context) => {
    const [, bracketed = '', digits] = pattern.exec(value) ?? [];
    const host = bracketed.replace(/^\[|\]$/g, '');
    const address = canonicalAddress(host);
    // What looks like an address has to be one: a resolver would search for a host of that name.
    if (/^[0-9.]+$|:/.test(host) && address === undefined) {
      return refuse(context, value, 'holds no IP address');
    }
    const port = Number(digits);
    if (port < 1 || port > 65535) return refuse(context, value, 'has no port', 'use a port from 1 to 65535');
    return { host: address ?? host, port };
  });
  return { holds, schema: z.pipe(written, read) };
}

const allBits = 0xffff_ffff;

/** `MARK` or `MARK/MASK`, decimal or hexadecimal, as `ip rule` takes it. */
export function firewallMark(): Kind<FirewallMark> {
  const pattern = /^(0x[0-9a-fA-F]{1,8}|0|[1-9][0-9]{0,9})(?:\/(0x[0-9a-fA-F]{1,8}|0|[1-9][0-9]{0,9}))?$/;
  const worded = z.string().check(z.regex(pattern, 'is no mark'));
  const written = z.union([worded, z.int().check(z.minimum(0, 'is out of range'))], 'is no mark');
  const read = z.transform((text: string | number, context): FirewallMark => {
    const [, bits, bitsToLookAt = String(allBits)] = pattern.exec(String(text)) ?? [];
    const [value, mask] = [Number(bits), Number(bitsToLookAt)];
    if (!(value <= allBits && mask <= allBits)) return refuse(context, text, 'is out of range');
    if (mask === 0) {
      return refuse(context, text, 'has a mask without bits', 'write the bits to look at, such as 0x1/0xff');
    }
    if ((value & ~mask) !== 0) {
      return refuse(context, text, 'has bits that its mask has not: nothing ever matches', 'widen the mask');
    }
    return { value, mask };
  });
  return { holds: 'MARK or MARK/MASK of 32 bits, such as 0x1/0xff', schema: z.pipe(written, read) };
}
