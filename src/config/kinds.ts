import * as z from 'zod/mini';
import { canonicalAddress } from '../protocol/address.ts';
import { durationPattern, formatDuration, parseDuration } from './duration.ts';
import { eitherOf } from './suggest.ts';
import { parseVirtualAddress } from './virtual-address.ts';
import type { VirtualAddress } from './virtual-address.ts';

/** What a key may hold. */
export interface Kind<Value> {
  /** For people; completes "use ...". */
  readonly holds: string;
  /** Reads the value. Its messages complete "KEY VALUE ...", its JSON Schema is the one for editors. */
  readonly schema: z.ZodMiniType<Value>;
  /** Forms that are right, but not built yet. */
  readonly later?: z.ZodMiniType;
}

export function wholeNumber(low: number, high: number): Kind<number> {
  const outside = 'is out of range';
  const schema = z.int('is no whole number').check(z.minimum(low, outside), z.maximum(high, outside));
  return { holds: `${low} to ${high}`, schema };
}

export function yesOrNo(): Kind<boolean> {
  return { holds: 'true or false', schema: z.boolean('is neither true nor false') };
}

/** One answer to a yes-or-no question; the other is not built yet. */
export function always<const Answer extends boolean>(answer: Answer): Kind<Answer> {
  const schema = z.literal(answer, 'is neither true nor false');
  return { holds: String(answer), schema, later: z.boolean() };
}

export function oneOf<const Word extends string>(...words: Word[]): Kind<Word> {
  return { holds: eitherOf(words), schema: z.enum(words, 'is not known') };
}

function text(holds: string, pattern: RegExp, otherwise: string): Kind<string> {
  return { holds, schema: z.string('is not text').check(z.regex(pattern, otherwise)) };
}

/** Names of nodes, groups and instances: they become metric labels, environment variables and parts of URLs. */
export function plainName(): Kind<string> {
  const holds = '1 to 64 letters, digits, dots, dashes and underscores';
  return text(holds, /^[A-Za-z0-9_.-]{1,64}$/, 'is no plain name');
}

/** As useradd(8) and systemd accept it. */
export function unixGroup(): Kind<string> {
  return text('the name of a Unix group', /^[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?$/, 'is no name of a Unix group');
}

/** dev_valid_name() of the kernel. */
export function interfaceName(): Kind<string> {
  const { schema } = text('', /^(?!\.{1,2}$)[^\s/:]+$/, 'is no name of an interface');
  const holds = 'a name such as eth0, at most 15 octets';
  return { holds, schema: schema.check(...atMost(15, 'is too long for the name of an interface')) };
}

/** An IPv4 address label: IFA_LABEL takes IFNAMSIZ octets with the NUL. */
export function addressLabel(): Kind<string> {
  const { schema } = text('', /^[^\s/]+$/, 'is no label');
  const holds = 'at most 15 octets that start with the name of the interface';
  return { holds, schema: schema.check(...atMost(15, 'is too long for a label')) };
}

export function directory(longest: number): Kind<string> {
  const { schema } = text('', /^\//, 'is no absolute path');
  const holds = `an absolute path of at most ${longest} octets`;
  return { holds, schema: schema.check(...atMost(longest, 'is too long')) };
}

/** A limit in octets; JSON Schema can only say characters. */
function atMost(octets: number, otherwise: string): z.core.$ZodCheck<string>[] {
  return [z.refine((value) => Buffer.byteLength(value) <= octets, otherwise), z.meta({ maxLength: octets })];
}

/** A duration, in whole milliseconds once read. */
export function duration(low: number, high: number, step: number = 1): Kind<number> {
  const steps = step > 1 ? ` in steps of ${formatDuration(step)}` : '';
  const holds = `${formatDuration(low)} to ${formatDuration(high)}${steps}`;
  const worded = z.string().check(z.regex(durationPattern, 'is no duration'));
  const written = z.union([worded, z.number().check(z.minimum(0, 'is out of range'))], 'is no duration');
  const read = z.transform((value: string | number, context) => {
    const ms = parseDuration(value);
    if (ms === undefined) return refuse(context, value, 'is no duration');
    if (ms < low || ms > high) return refuse(context, value, 'is out of range');
    if (ms % step === 0) return ms;
    const below = Math.floor(ms / step) * step;
    const near = [below, below + step].filter((each) => each >= low && each <= high).map(formatDuration);
    return refuse(context, value, `is no multiple of ${formatDuration(step)}`, `use ${eitherOf(near)}`);
  });
  return { holds, schema: z.pipe(written, read) };
}

/** `ADDR/LEN`, fit for a Virtual Router. */
export function virtualAddress(): Kind<VirtualAddress> {
  const written = z.string('is not text').check(z.meta({ pattern: '^[0-9A-Fa-f:.]+/[0-9]{1,3}$' }));
  const read = z.transform((value: string, context) => {
    const parsed = parseVirtualAddress(value);
    return 'what' in parsed ? refuse(context, value, parsed.what, parsed.fix) : parsed;
  });
  return { holds: 'ADDRESS/LENGTH, such as 203.0.113.1/24', schema: z.pipe(written, read) };
}

/** `HOST:PORT`, an IPv6 host in brackets. */
export function listener(): Kind<{ readonly host: string; readonly port: number }> {
  const holds = 'HOST:PORT, such as 127.0.0.1:9112 or "[::1]:9112"';
  const pattern = /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):([0-9]{1,5})$/;
  const written = z.string('is not text').check(z.regex(pattern, 'is no HOST:PORT'));
  const read = z.transform((value: string, context) => {
    const [, bracketed = '', digits] = pattern.exec(value) ?? [];
    const host = bracketed.replace(/^\[|\]$/g, '');
    // What looks like an address has to be one: a resolver would search for a host of that name.
    if (/^[0-9.]+$|:/.test(host) && canonicalAddress(host) === undefined) {
      return refuse(context, value, 'holds no IP address');
    }
    const port = Number(digits);
    if (port < 1 || port > 65535) return refuse(context, value, 'has no port', 'use a port from 1 to 65535');
    return { host, port };
  });
  return { holds, schema: z.pipe(written, read) };
}

/** Adds a complaint of our own; without a fix the reader says what the key holds. */
function refuse(context: z.core.ParsePayload, input: unknown, message: string, fix?: string): never {
  context.issues.push({ code: 'custom', message, input, params: { fix } });
  return z.NEVER;
}
