import type { HookName, HooksConfig } from './config.ts';
import { hooksKeys } from './group-schema.ts';
import type { groupKeys } from './schema.ts';
import type { Key } from './keys.ts';
import { absolutePath, argument } from './kinds.ts';
import type { Entry, Reader, Section } from './reader.ts';

/** A program that is to be run, and where it stands in the file. */
export interface PlacedProgram {
  readonly path: string;
  readonly at: number;
}

/** A program and its arguments. */
export interface PlacedCommand {
  readonly argv: readonly string[];
  readonly program: PlacedProgram;
}

const hookNames: readonly HookName[] = ['master', 'backup', 'fault', 'stop', 'any'];
const programKey: Key<string> = { meaning: 'a program', ...absolutePath() };
const argumentKey: Key<string> = { meaning: 'its argument', ...argument() };

/** The hooks of a group; none where there is no such key. */
export function readHooks(
  reader: Reader,
  group: Section<typeof groupKeys>,
): { readonly config: HooksConfig; readonly programs: readonly PlacedProgram[] } {
  const section = reader.section(reader.find(group, 'hooks'), hooksKeys, 'hooks');
  const read = hookNames.map((name) => {
    const entry = reader.find(section, name);
    const commands = entry === undefined ? [] : readCommands(reader, entry, hooksKeys[name]);
    return { name, commands };
  });
  const of = (wanted: HookName): readonly (readonly string[])[] =>
    read.flatMap(({ name, commands }) => (name === wanted ? commands.map(({ argv }) => argv) : []));
  return {
    config: {
      commands: {
        master: of('master'),
        backup: of('backup'),
        fault: of('fault'),
        stop: of('stop'),
        any: of('any'),
      },
      timeoutMs: reader.get(section, 'timeout'),
    },
    programs: read.flatMap(({ commands }) => commands.map(({ program }) => program)),
  };
}

/** One list of a program and its arguments, or a list of such lists. */
function readCommands(reader: Reader, entry: Entry, key: Key<unknown>): PlacedCommand[] {
  const items = reader.items(entry, entry.name, key);
  if (items === undefined) return [];
  const lists = items.filter((item) => reader.isList(item));
  if (lists.length === 0) return [readCommand(reader, entry, key)].filter((each) => each !== undefined);
  const odd = items.find((item) => !reader.isList(item));
  if (odd !== undefined) {
    reader.complain(odd.at, `${entry.name} mixes lists with single words`, `use ${key.holds}`);
  }
  return lists.map((each) => readCommand(reader, each, key)).filter((each) => each !== undefined);
}

/** Reads a program and its arguments.
 *  @returns undefined where they are wrong (and complained about) */
export function readCommand(reader: Reader, entry: Entry, key: Key<unknown>): PlacedCommand | undefined {
  const items = reader.items(entry, 'argument', key);
  const [first, ...rest] = items ?? [];
  if (items === undefined) return undefined;
  if (first === undefined) {
    reader.complain(entry.at, `${entry.name} is an empty list`, `use ${key.holds}`);
    return undefined;
  }
  const path = reader.read({ ...first, name: 'program' }, programKey);
  const argv = rest.map((each) => reader.read(each, argumentKey));
  if (path === undefined || argv.includes(undefined)) return undefined;
  return {
    argv: [path, ...argv.filter((each) => each !== undefined)],
    program: { path, at: first.at },
  };
}
