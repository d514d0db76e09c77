import { basename } from 'node:path';
import type { TrackerConfig, TrackerTarget } from './config.ts';
import { defaultPace, trackKeys, trackerKinds } from './group-schema.ts';
import type { TrackerKind } from './group-schema.ts';
import { readCommand } from './read-hooks.ts';
import type { PlacedProgram } from './read-hooks.ts';
import type { Entry, Reader, Section } from './reader.ts';
import { groupKeys } from './schema.ts';
import { eitherOf } from './suggest.ts';

interface PlacedTracker {
  readonly config: TrackerConfig;
  readonly at: number;
  readonly programs: readonly PlacedProgram[];
}

interface PlacedTarget {
  readonly target: TrackerTarget;
  readonly programs: readonly PlacedProgram[];
}

/** The trackers of a group. */
export function readTrackers(
  reader: Reader,
  group: Section<typeof groupKeys>,
): { readonly config: readonly TrackerConfig[]; readonly programs: readonly PlacedProgram[] } {
  const list = reader.find(group, 'track');
  const items = (list && reader.items(list, 'tracker', groupKeys.track)) ?? [];
  const trackers = items.map((item) => readTracker(reader, item)).filter((each) => each !== undefined);
  checkNames(reader, trackers);
  return {
    config: trackers.map(({ config }) => config),
    programs: trackers.flatMap(({ programs }) => programs),
  };
}

function readTracker(reader: Reader, entry: Entry): PlacedTracker | undefined {
  const section = reader.section(entry, trackKeys, 'the tracker');
  const demote = reader.get(section, 'demote');
  const pace = {
    everyMs: reader.get(section, 'every'),
    timeoutMs: reader.get(section, 'timeout'),
    fall: reader.get(section, 'fall'),
    rise: reader.get(section, 'rise'),
  };
  const name = reader.get(section, 'name');
  const kind = pickKind(reader, section);
  const placed = kind && readTarget(reader, section, kind);
  if (placed === undefined) return undefined;
  const { target, programs } = placed;
  const standard = defaultPace[target.kind];
  const config: TrackerConfig = {
    ...target,
    name: name ?? defaultName(target),
    demote: demote ?? (target.kind === 'interface' ? 'fault' : 50),
    everyMs: pace.everyMs ?? standard.everyMs,
    timeoutMs: pace.timeoutMs ?? standard.timeoutMs,
    fall: pace.fall ?? standard.fall,
    rise: pace.rise ?? standard.rise,
  };
  return { config, at: section.entries.get('name')?.at ?? section.at, programs };
}

/** What it watches: exactly one thing. */
function pickKind(reader: Reader, section: Section<typeof trackKeys>): TrackerKind | undefined {
  const [kind, other] = trackerKinds.filter((each) => section.entries.has(each));
  if (kind === undefined) {
    // A misspelt one is complained about already.
    if (section.misspelt.size === 0) {
      reader.complain(section.at, 'the tracker watches nothing', `add ${eitherOf(trackerKinds)}`);
    }
    return undefined;
  }
  const extra = other && section.entries.get(other);
  if (extra === undefined) return kind;
  reader.complain(
    extra.keyAt,
    `the tracker watches both ${kind} and ${extra.name}`,
    'make two trackers of them',
  );
  return undefined;
}

function readTarget(
  reader: Reader,
  section: Section<typeof trackKeys>,
  kind: TrackerKind,
): PlacedTarget | undefined {
  const watching = (target: TrackerTarget): PlacedTarget => ({ target, programs: [] });
  switch (kind) {
    case 'interface': {
      const link = reader.get(section, 'interface');
      return link === undefined ? undefined : watching({ kind, interface: link });
    }
    case 'ping': {
      const whom = reader.get(section, 'ping');
      return whom && watching({ kind, ...whom });
    }
    case 'tcp': {
      const where = reader.get(section, 'tcp');
      return where && watching({ kind, ...where });
    }
    case 'command': {
      const entry = reader.find(section, 'command');
      const command = entry && readCommand(reader, entry, trackKeys.command);
      return command && { target: { kind, command: command.argv }, programs: [command.program] };
    }
    case 'process': {
      const process = reader.get(section, 'process');
      return process === undefined ? undefined : watching({ kind, process });
    }
    case 'file': {
      const file = reader.get(section, 'file');
      return file === undefined ? undefined : watching({ kind, file });
    }
  }
}

/** A script of several lines, or a long path, in a table. */
const longestName = 64;

/** What a tracker is called that was given no name: `ping 203.0.113.254`. */
function defaultName(target: TrackerTarget): string {
  const name = `${target.kind} ${targetName(target)}`.replace(/[\p{Cc}\s]+/gu, ' ').trimEnd();
  return name.length > longestName ? `${name.slice(0, longestName - 1)}…` : name;
}

function targetName(target: TrackerTarget): string {
  switch (target.kind) {
    case 'interface':
      return target.interface;
    case 'ping':
      return target.interface === undefined ? target.address : `${target.address}%${target.interface}`;
    case 'tcp':
      return `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
    case 'command': {
      const [program = '', ...args] = target.command;
      return [basename(program), ...args].join(' ');
    }
    case 'process':
      return target.process;
    case 'file':
      return target.file;
  }
}

/** The name says which tracker it is: in status, as the source of its demotion, across a reload. */
function checkNames(reader: Reader, trackers: readonly PlacedTracker[]): void {
  const first = new Map<string, number>();
  for (const { config, at } of trackers) {
    const known = first.get(config.name);
    if (known === undefined) first.set(config.name, at);
    else {
      const what = `a second tracker is called ${JSON.stringify(config.name)}: the first is at ${reader.place(known)}`;
      reader.complain(at, what, 'remove it, or give it a name of its own');
    }
  }
}
