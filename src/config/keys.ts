import * as z from 'zod/mini';
import type { Kind } from './kinds.ts';

export type Protocol = 'vrrp3' | 'vrrp2' | 'carp';

export const protocols: readonly Protocol[] = ['vrrp3', 'vrrp2', 'carp'];

/** One key of the file, all there is to say about it. */
export interface Key<Value> extends Kind<Value> {
  readonly meaning: string;
  readonly required?: true;
  /** What holds where the key is absent, as it would stand in the file. */
  readonly default?: string | number | boolean;
  /** The same in words, where it is no constant. */
  readonly otherwise?: string;
  /** The protocols that know the key; all of them, unless it says so. */
  readonly protocols?: readonly Protocol[];
  /** Named by the interface, but not built yet: refused. */
  readonly built?: false;
}

/** A key that always has a value. */
export interface DefaultKey<Value> extends Key<Value> {
  readonly default: string | number | boolean;
}

export type Keys = Readonly<Record<string, Key<unknown>>>;

export function notYet(meaning: string, of: readonly Protocol[] = protocols): Key<never> {
  return { meaning, protocols: of, holds: '', schema: z.never(), built: false };
}

export function mapping(keys: Keys): Kind<unknown> {
  return { holds: 'a mapping', schema: objectOf(keys) };
}

export function mappingByName(keys: Keys): Kind<unknown> {
  return {
    holds: 'a mapping of names',
    schema: z.record(z.string().check(z.regex(/^[A-Za-z0-9_.-]{1,64}$/)), objectOf(keys)),
  };
}

export function listOf(keys: Keys): Kind<unknown> {
  return { holds: 'a list of mappings', schema: z.array(objectOf(keys)) };
}

/** The zod schema of a mapping, with descriptions and defaults: what the JSON Schema for editors is made from. */
export function objectOf(keys: Keys): z.ZodMiniType {
  const shape = Object.entries(keys).map(([name, key]): [string, z.ZodMiniType] => {
    const described = key.schema.check(
      z.describe(key.built === false ? `Not supported yet: ${key.meaning}` : key.meaning),
    );
    if (key.default !== undefined) return [name, z.prefault(described, key.default)];
    return [name, key.required === true ? described : z.optional(described)];
  });
  return z.strictObject(Object.fromEntries(shape));
}
