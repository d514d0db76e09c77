import { isUtf8 } from 'node:buffer';
import { open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { ConfigError } from '../errors.ts';
import type { Complaint } from '../errors.ts';
import type {
  Config,
  ConntrackdConfig,
  GarpConfig,
  GroupConfig,
  InstanceConfig,
  RouteConfig,
  RuleConfig,
} from './config.ts';
import { conntrackdKeys } from './group-schema.ts';
import { checkProgram } from './program-file.ts';
import { readHooks } from './read-hooks.ts';
import type { PlacedProgram } from './read-hooks.ts';
import { checkRoutes, checkRules, readRoutes, readRules } from './read-routing.ts';
import type { Placed } from './read-routing.ts';
import { readTrackers } from './read-trackers.ts';
import { Reader } from './reader.ts';
import type { Entry, Section } from './reader.ts';
import { checkAddress, checkAdvertised, checkOwners, checkVrids, orderAddresses, scopeOf } from './rules.ts';
import type { PlacedAddress, PlacedInstance } from './rules.ts';
import {
  addressKeys,
  controlKeys,
  groupGarpKeys,
  groupKeys,
  instanceGarpKeys,
  instanceKeys,
  logKeys,
  metricsKeys,
  topKeys,
} from './schema.ts';
import { maxOctets, parseYaml } from './yaml-text.ts';

/** Reads a configuration from YAML text. Whether the programs it names may be run is another question: `checkConfig`.
 *  @param file how complaints name it
 *  @throws ConfigError with every complaint, in the order of the file */
export function loadConfig(text: string, file: string): Config {
  return parseConfig(text, file).config;
}

/** The same, and looks at the programs on this host that it names.
 *  @throws ConfigError also where one of them cannot be run, or could be exchanged by others than root */
export async function checkConfig(text: string, file: string): Promise<Config> {
  const { config, programs, place } = parseConfig(text, file);
  const complaints: Complaint[] = [];
  const known = new Set<string>();
  for (const { path, at } of programs) {
    if (known.has(path)) continue;
    known.add(path);
    const complaint = await checkProgram(path);
    if (complaint !== undefined) complaints.push({ where: place(at), ...complaint });
  }
  if (complaints.length > 0) throw new ConfigError(complaints);
  return config;
}

/** Reads a configuration file, and looks at the programs it names unless it is said that none will be run.
 *  @throws ConfigError also when it cannot be read */
export async function readConfig(
  file: string,
  { withPrograms = true }: { readonly withPrograms?: boolean } = {},
): Promise<Config> {
  const text = await readText(file);
  return withPrograms ? await checkConfig(text, file) : loadConfig(text, file);
}

interface ParsedConfig {
  readonly config: Config;
  /** In the order of the file. */
  readonly programs: readonly PlacedProgram[];
  readonly place: (at: number) => string;
}

function parseConfig(text: string, file: string): ParsedConfig {
  const tree = parseYaml(text, file);
  if (tree.root === undefined) {
    const fix = 'describe at least one group, as the files in docs/examples do';
    throw new ConfigError([{ where: tree.place(0), what: 'the file is empty', fix }]);
  }
  const reader = new Reader(tree);
  const { config, programs } = readTop(reader, file);
  reader.finish();
  return { config, programs: programs.toSorted((left, right) => left.at - right.at), place: tree.place };
}

const noSuchFile = { what: 'there is no such file', fix: 'write it, or name another with --config' };
const readFailures: Readonly<Record<string, { what: string; fix: string }>> = {
  ENOENT: noSuchFile,
  ENOTDIR: noSuchFile,
  EACCES: { what: 'no permission to read the file', fix: 'run as root, or change its mode' },
  EISDIR: { what: 'this is a directory', fix: 'name a file in it' },
};

async function readText(file: string): Promise<string> {
  const octets = await readOctets(file).catch((error: unknown): never => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const failure = readFailures[code] ?? { what: `the file cannot be read (${code})`, fix: 'name another' };
    throw new ConfigError([{ where: file, ...failure }]);
  });
  if (!isUtf8(octets)) {
    const lines = octets.toString('latin1').split('\n');
    const line = lines.findIndex((each) => !isUtf8(Buffer.from(each, 'latin1'))) + 1;
    throw new ConfigError([
      { where: `${file}:${line}:1`, what: 'this line is no UTF-8', fix: 'save the file as UTF-8' },
    ]);
  }
  return octets.toString('utf8');
}

/** At most one octet more than a configuration may have: `file` may be a device that never ends. */
async function readOctets(file: string): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const octets = Buffer.alloc(maxOctets + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(octets, length);
      length += bytesRead;
      if (bytesRead === 0) return octets.subarray(0, length);
    }
  } finally {
    await handle.close();
  }
}

function readTop(reader: Reader, file: string): Pick<ParsedConfig, 'config' | 'programs'> {
  const top = reader.section(reader.root(), topKeys, 'the file');
  reader.refuseUnfit(top);
  const metrics = reader.find(top, 'metrics');
  const control = reader.find(top, 'control');
  const log = reader.find(top, 'log');
  const groups = reader.find(top, 'groups');
  const named = groups === undefined ? [] : reader.named(groups, 'group');
  const readGroups = named.map((entry) => readGroup(reader, entry));
  const instances = readGroups.flatMap((group) => group.instances);
  checkVrids(reader, instances);
  checkOwners(reader, instances);
  checkRoutes(
    reader,
    readGroups.flatMap(({ routes }) => routes),
  );
  checkRules(
    reader,
    readGroups.flatMap(({ rules }) => rules),
  );
  const config: Config = {
    file,
    node: reader.get(top, 'node') ?? hostname(),
    runtimeDirectory: reader.get(top, 'runtime_directory'),
    stateDirectory: reader.get(top, 'state_directory'),
    metricsListen: metrics && reader.get(reader.section(metrics, metricsKeys, 'metrics'), 'listen'),
    controlGroup: control && reader.get(reader.section(control, controlKeys, 'control'), 'group'),
    logLevel: reader.get(reader.section(log, logKeys, 'log'), 'level'),
    startupDelayMs: reader.get(top, 'startup_delay'),
    groups: readGroups.map((group) => group.config),
  };
  return { config, programs: readGroups.flatMap(({ programs }) => programs) };
}

interface ReadGroup {
  readonly config: GroupConfig;
  readonly instances: readonly PlacedInstance[];
  readonly routes: readonly Placed<RouteConfig>[];
  readonly rules: readonly Placed<RuleConfig>[];
  readonly programs: readonly PlacedProgram[];
}

/** What a group says for those of its instances that do not say it themselves. */
type Inherited = Pick<InstanceConfig, 'priority' | 'intervalMs' | 'protocol' | 'checksum' | 'garp'>;

function readGroup(reader: Reader, entry: Entry): ReadGroup {
  const group = reader.section(entry, groupKeys, `group ${entry.name}`);
  const spoken = reader.word(group.entries.get('protocol')) ?? 'vrrp3';
  reader.refuseUnfit(group, spoken);
  reader.get(group, 'virtual_mac');
  const inherited: Inherited = {
    priority: reader.get(group, 'priority'),
    intervalMs: reader.get(group, 'interval'),
    protocol: reader.get(group, 'protocol'),
    checksum: reader.get(group, 'checksum'),
    garp: readGroupGarp(reader, group),
  };
  const members = reader.find(group, 'instances');
  const named = members === undefined ? [] : reader.named(members, 'instance');
  const instances = named.map((member) =>
    readInstance(reader, member, { group: entry.name, spoken, inherited }),
  );
  const preempt = reader.get(group, 'preempt');
  const track = readTrackers(reader, group);
  const hooks = readHooks(reader, group);
  const routes = readRoutes(reader, group);
  const addresses = instances.flatMap((instance) => instance.addresses);
  const used = new Set([...addresses, ...routes].map(({ config: { family } }) => family));
  const rules = readRules(reader, group, used);
  const config: GroupConfig = {
    name: entry.name,
    preempt: preempt !== false,
    preemptDelayMs: typeof preempt === 'number' ? preempt : 0,
    takeover: reader.get(group, 'takeover'),
    track: track.config,
    conntrackd: readConntrackd(reader, group),
    hooks: hooks.config,
    routes: routes.map((route) => route.config),
    rules: rules.map((rule) => rule.config),
    instances: instances.map((instance) => instance.config),
  };
  return { config, instances, routes, rules, programs: [...track.programs, ...hooks.programs] };
}

/** `true` is all of its defaults. */
function readConntrackd(reader: Reader, group: Section<typeof groupKeys>): ConntrackdConfig | undefined {
  const entry = reader.find(group, 'conntrackd');
  if (entry === undefined) return undefined;
  const isMapping = reader.isMapping(entry);
  if (!isMapping && reader.read(entry, groupKeys.conntrackd) !== true) return undefined;
  const conntrackd = reader.section(isMapping ? entry : undefined, conntrackdKeys, 'conntrackd');
  return {
    config: reader.get(conntrackd, 'config'),
    binary: reader.get(conntrackd, 'binary'),
    commitTimeoutMs: reader.get(conntrackd, 'commit_timeout'),
    holdUntilSyncedMs: reader.get(conntrackd, 'hold_until_synced'),
  };
}

function readGroupGarp(reader: Reader, group: Section<typeof groupKeys>): GarpConfig {
  const garp = reader.section(reader.find(group, 'garp'), groupGarpKeys, 'garp');
  return {
    repeat: reader.get(garp, 'repeat'),
    delayMs: reader.get(garp, 'delay'),
    refreshMs: reader.get(garp, 'refresh'),
    intervalMs: reader.get(garp, 'interval'),
  };
}

function readInstance(
  reader: Reader,
  entry: Entry,
  { group, spoken, inherited }: { group: string; spoken: string; inherited: Inherited },
): PlacedInstance {
  const { name, keyAt: at } = entry;
  const instance = reader.section(entry, instanceKeys, `instance ${name}`);
  reader.refuseUnfit(instance, reader.word(instance.entries.get('protocol')) ?? spoken);
  reader.get(instance, 'virtual_mac');
  reader.get(instance, 'accept');
  const own = {
    interface: reader.get(instance, 'interface') ?? '',
    vrid: reader.get(instance, 'vrid') ?? 0,
    at,
  };
  const read = readAddresses(reader, instance, own.interface);
  const addresses = orderAddresses(
    read.filter((address) => address !== undefined),
    own,
  );
  const garp = reader.section(reader.find(instance, 'garp'), instanceGarpKeys, 'garp');
  const config: InstanceConfig = {
    name,
    interface: own.interface,
    vrid: own.vrid,
    priority: reader.get(instance, 'priority') ?? inherited.priority,
    intervalMs: reader.get(instance, 'interval') ?? inherited.intervalMs,
    protocol: reader.get(instance, 'protocol') ?? inherited.protocol,
    checksum: reader.get(instance, 'checksum') ?? inherited.checksum,
    garp: {
      repeat: reader.get(garp, 'repeat') ?? inherited.garp.repeat,
      delayMs: reader.get(garp, 'delay') ?? inherited.garp.delayMs,
      refreshMs: reader.get(garp, 'refresh') ?? inherited.garp.refreshMs,
      intervalMs: reader.get(garp, 'interval') ?? inherited.garp.intervalMs,
    },
    addresses: addresses.map((address) => address.config),
  };
  // One that could not be read may be the one that is advertised.
  if (!read.includes(undefined)) checkAdvertised(reader, instance, addresses);
  return { group, config, vridAt: instance.entries.get('vrid')?.at ?? at, addresses };
}

/** @returns the addresses in the order of the file; undefined for each that could not be read */
function readAddresses(
  reader: Reader,
  instance: Section<typeof instanceKeys>,
  instanceInterface: string,
): (PlacedAddress | undefined)[] {
  const list = reader.find(instance, 'addresses');
  const items = list && reader.items(list, 'address', instanceKeys.addresses);
  if (items === undefined) return [undefined];
  return items.map((item) => readAddress(reader, item, instanceInterface));
}

function readAddress(reader: Reader, entry: Entry, instanceInterface: string): PlacedAddress | undefined {
  if (!reader.isMapping(entry)) {
    const bare = reader.read(entry, addressKeys.address);
    if (bare === undefined) return undefined;
    const scope = scopeOf(bare.address);
    const config = { ...bare, interface: instanceInterface, advertise: true, label: undefined, scope };
    return { config, at: entry.at };
  }
  const section = reader.section(entry, addressKeys, 'the list item');
  const own = reader.get(section, 'address');
  const settings = {
    interface: reader.get(section, 'interface') ?? instanceInterface,
    advertise: reader.get(section, 'advertise'),
    label: reader.get(section, 'label'),
    scope: reader.get(section, 'scope'),
  };
  if (own === undefined) return undefined;
  const config = { ...own, ...settings, scope: settings.scope ?? scopeOf(own.address) };
  checkAddress(reader, config, section);
  return { config, at: section.entries.get('address')?.at ?? entry.at };
}
