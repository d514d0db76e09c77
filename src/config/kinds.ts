import * as z from 'zod/mini';
import { durationPattern, formatDuration, parseDuration } from './duration.ts';
import { eitherOf } from './suggest.ts';

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

/** A file or a directory. */
export function absolutePath(longest: number = longestPath): Kind<string> {
  const { schema } = text('', /^\/[^\0]*$/, 'is no absolute path');
  const holds = `an absolute path of at most ${longest} octets`;
  return { holds, schema: schema.check(...atMost(longest, 'is too long')) };
}

/** PATH_MAX without the NUL. */
const longestPath = 4095;

/** A program that is started as it is, or looked for where programs are. */
export function programName(): Kind<string> {
  const holds = 'the name of a program, or an absolute path';
  return text(holds, /^(\/[^\0]*|[^\0/]+)$/, 'is neither a name nor an absolute path');
}

/** What a process is known by: its name, or the absolute path of its program. */
export function processName(): Kind<string> {
  const holds = 'the name of a process as ps shows it, or the absolute path of its program';
  return text(holds, /^(\/[^\0]*|[^\0/]+)$/, 'is neither a name nor an absolute path');
}

/** An argument of a program; the kernel ends it at the first NUL. */
export function argument(): Kind<string> {
  return text('text', /^[^\0]*$/, 'holds a NUL character');
}

/** A program and its arguments, as a list. */
export function argumentList(example: string): Kind<string[]> {
  return { holds: `a list such as ${example}`, schema: z.array(argument().schema).check(z.minLength(1)) };
}

/** One list of a program and its arguments, or several. */
export function argumentLists(example: string): Kind<string[] | string[][]> {
  const one = argumentList(example);
  const schema = z.union([one.schema, z.array(one.schema).check(z.minLength(1))]);
  return { holds: `${one.holds}, or a list of such lists`, schema };
}

/** The name of a tracker stands beside that of the operator, as the source of a demotion. */
export function trackerName(): Kind<string> {
  const { schema } = text('', /^(?! )[^\u0000-\u001f\u007f-\u009f\u2028\u2029]{1,64}(?<! )$/, 'is no name');
  const free = z.refine((value) => value !== 'operator', "is what the operator's demotion is called");
  return { holds: '1 to 64 characters, other than operator', schema: schema.check(free) };
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

/** One word, or what another kind holds. */
export function wordOr<const Word extends string, Value>(word: Word, other: Kind<Value>): Kind<Word | Value> {
  return {
    holds: `${word}, or ${other.holds}`,
    schema: z.union([z.literal(word), other.schema], lastObjection),
  };
}

/** true, false, or what another kind holds. */
export function yesNoOr<Value>(other: Kind<Value>): Kind<boolean | Value> {
  return {
    holds: `true, false, or ${other.holds}`,
    schema: z.union([z.boolean(), other.schema], lastObjection),
  };
}

/** Of a union, what its last member objects to. */
const lastObjection = {
  error: (issue: { readonly errors?: readonly (readonly { readonly message: string }[])[] }): string =>
    issue.errors?.at(-1)?.[0]?.message ?? 'is wrong',
};

/** Adds a complaint of our own; without a fix the reader says what the key holds. */
export function refuse(context: z.core.ParsePayload, input: unknown, message: string, fix?: string): never {
  context.issues.push({ code: 'custom', message, input, params: { fix } });
  return z.NEVER;
}
