import { isDeepStrictEqual } from 'node:util';
import type {
  AddressConfig,
  Config,
  GroupConfig,
  InstanceConfig,
  RouteConfig,
  RuleConfig,
} from './config.ts';
import { formatDuration } from './duration.ts';

/** What to do so that a daemon of one configuration serves another; what is not named stays as it is. Remove before you
 *  add: the new may take over VRIDs and addresses of the old. */
export interface ConfigPlan {
  readonly removed: readonly GroupConfig[];
  readonly changed: readonly GroupChange[];
  readonly added: readonly GroupConfig[];
  /** Settings of the top level that change under a running daemon, by their keys in the file. */
  readonly settings: readonly LiveKey[];
  /** Settings that stay as they were until the next start. */
  readonly needRestart: readonly RestartKey[];
}

/** `startup_delay` is for the time after the next boot. */
export type LiveKey = 'node' | 'log.level' | 'startup_delay';
export type RestartKey = 'metrics.listen' | 'control.group' | 'runtime_directory' | 'state_directory';

/** What a group says for itself, by its keys in the file; what it says for its instances is told with these. */
export type GroupKey = 'preempt' | 'takeover' | 'track' | 'conntrackd' | 'hooks' | 'routes' | 'rules';

export interface GroupChange {
  readonly name: string;
  readonly old: GroupConfig;
  readonly next: GroupConfig;
  /** What differs in the group's own settings. */
  readonly settings: readonly GroupKey[];
  readonly removed: readonly InstanceConfig[];
  /** Another VRID, interface or protocol: other Virtual Routers under the same name. */
  readonly replaced: readonly InstanceChange[];
  /** The same Virtual Routers, told something new; new addresses may bring or take one of the two families. */
  readonly changed: readonly InstanceChange[];
  readonly added: readonly InstanceConfig[];
}

export interface InstanceChange {
  readonly old: InstanceConfig;
  readonly next: InstanceConfig;
  /** What differs. */
  readonly keys: readonly (keyof InstanceConfig)[];
}

const liveKeys: readonly (readonly [LiveKey, keyof Config])[] = [
  ['node', 'node'],
  ['log.level', 'logLevel'],
  ['startup_delay', 'startupDelayMs'],
];
const restartKeys: readonly (readonly [RestartKey, keyof Config])[] = [
  ['metrics.listen', 'metricsListen'],
  ['control.group', 'controlGroup'],
  ['runtime_directory', 'runtimeDirectory'],
  ['state_directory', 'stateDirectory'],
];
const groupKeys: readonly (readonly [GroupKey, ...(keyof GroupConfig)[]])[] = [
  ['preempt', 'preempt', 'preemptDelayMs'],
  ['takeover', 'takeover'],
  ['track', 'track'],
  ['conntrackd', 'conntrackd'],
  ['hooks', 'hooks'],
  ['routes', 'routes'],
  ['rules', 'rules'],
];
const identity: readonly (keyof InstanceConfig)[] = ['interface', 'vrid', 'protocol'];
const instanceKeys: readonly (keyof InstanceConfig)[] = [
  ...identity,
  'priority',
  'intervalMs',
  'checksum',
  'garp',
  'addresses',
];

/** Compares by name: a group or an instance under a new name is a new one, and their order means nothing. */
export function diffConfig(old: Config, next: Config): ConfigPlan {
  const differs = (key: keyof Config): boolean => !isDeepStrictEqual(old[key], next[key]);
  const { removed, added, common } = matchByName(old.groups, next.groups);
  return {
    removed,
    changed: common.map(([before, after]) => diffGroup(before, after)).filter(changesSomething),
    added,
    settings: liveKeys.filter(([, key]) => differs(key)).map(([name]) => name),
    needRestart: restartKeys.filter(([, key]) => differs(key)).map(([name]) => name),
  };
}

function diffGroup(old: GroupConfig, next: GroupConfig): GroupChange {
  const { removed, added, common } = matchByName(old.instances, next.instances);
  const changes = common
    .map(([before, after]): InstanceChange => {
      const keys = instanceKeys.filter((key) => !isDeepStrictEqual(before[key], after[key]));
      return { old: before, next: after, keys };
    })
    .filter(({ keys }) => keys.length > 0);
  const isReplaced = ({ keys }: InstanceChange): boolean => keys.some((key) => identity.includes(key));
  return {
    name: next.name,
    old,
    next,
    settings: groupKeys
      .filter(([, ...fields]) => fields.some((field) => !isDeepStrictEqual(old[field], next[field])))
      .map(([key]) => key),
    removed,
    replaced: changes.filter(isReplaced),
    changed: changes.filter((change) => !isReplaced(change)),
    added,
  };
}

function changesSomething(change: GroupChange): boolean {
  const { settings, removed, replaced, changed, added } = change;
  return [settings, removed, replaced, changed, added].some(({ length }) => length > 0);
}

function matchByName<Item extends { readonly name: string }>(
  old: readonly Item[],
  next: readonly Item[],
): { removed: Item[]; added: Item[]; common: [Item, Item][] } {
  const before = new Map(old.map((item) => [item.name, item]));
  const after = new Set(next.map(({ name }) => name));
  return {
    removed: old.filter(({ name }) => !after.has(name)),
    added: next.filter(({ name }) => !before.has(name)),
    common: next.flatMap((item): [Item, Item][] => {
      const match = before.get(item.name);
      return match === undefined ? [] : [[match, item]];
    }),
  };
}

/** The plan for people, one line for each change; no line where nothing changes. */
export function describePlan(plan: ConfigPlan): string[] {
  return [
    ...plan.removed.map(({ name }) => `group ${name}: removed`),
    ...plan.changed.flatMap(describeGroup),
    ...plan.added.map(
      ({ name, instances }) =>
        `group ${name}: added with ${instances.map((each) => `${each.name} (${describeRouter(each)})`).join(', ')}`,
    ),
    ...plan.settings.map((key) => `${key}: changed`),
    ...plan.needRestart.map((key) => `${key}: changed, but takes effect only after a restart`),
  ];
}

function describeGroup(change: GroupChange): string[] {
  const { name, settings, removed, replaced, changed, added } = change;
  const lines = [
    ...settings.map((key) => describeSetting(key, change)),
    ...removed.map((instance) => `instance ${instance.name}: removed`),
    ...replaced.map(
      ({ old, next: now }) =>
        `instance ${now.name}: replaced, ${describeRouter(old)} -> ${describeRouter(now)}`,
    ),
    ...changed.map(
      (each) => `instance ${each.next.name}: ${each.keys.map((key) => describeKey(key, each)).join(', ')}`,
    ),
    ...added.map((instance) => `instance ${instance.name}: added, ${describeRouter(instance)}`),
  ];
  return lines.map((line) => `group ${name}: ${line}`);
}

function describeSetting(key: GroupKey, { old, next }: GroupChange): string {
  switch (key) {
    case 'preempt':
      return `preempt ${preemptText(old)} -> ${preemptText(next)}`;
    case 'takeover':
      return `takeover ${old.takeover} -> ${next.takeover}`;
    case 'track':
      return `track ${describeItems(old.track, next.track, ({ name }) => name)}`;
    case 'conntrackd':
      if (old.conntrackd === undefined || next.conntrackd === undefined) {
        return `conntrackd ${old.conntrackd === undefined ? 'off -> on' : 'on -> off'}`;
      }
      return 'conntrackd with other settings';
    case 'hooks': {
      const { commands: before } = old.hooks;
      const { commands: after } = next.hooks;
      const texts = (commands: typeof before): string[] =>
        Object.entries(commands).flatMap(([hook, list]) => list.map((argv) => `${hook} ${argv.join(' ')}`));
      return `hooks ${describeItems(texts(before), texts(after), (text) => text)}`;
    }
    case 'routes':
      return `routes ${describeItems(old.routes, next.routes, routeText)}`;
    case 'rules':
      return `rules ${describeItems(old.rules, next.rules, ruleText)}`;
  }
}

function preemptText({ preempt, preemptDelayMs }: GroupConfig): string {
  return preemptDelayMs > 0 ? formatDuration(preemptDelayMs) : String(preempt);
}

/** `+ping 203.0.113.254, -interface eth3, tcp 192.0.2.1:443 with other settings` */
function describeItems<Item>(
  old: readonly Item[],
  next: readonly Item[],
  nameOf: (item: Item) => string,
): string {
  const before = new Map(old.map((item) => [nameOf(item), item]));
  const after = new Map(next.map((item) => [nameOf(item), item]));
  const changes = [
    ...[...after.keys()].filter((name) => !before.has(name)).map((name) => `+${name}`),
    ...[...before.keys()].filter((name) => !after.has(name)).map((name) => `-${name}`),
    ...[...after]
      .filter(([name, item]) => before.has(name) && !isDeepStrictEqual(before.get(name), item))
      .map(([name]) => `${name} with other settings`),
  ];
  return changes.length === 0 ? 'in another order or with other settings' : changes.join(', ');
}

/** As `ip route` has it. */
function routeText({ to, via, interface: link, source, table, metric, onlink }: RouteConfig): string {
  return joined([
    to,
    pair('via', via),
    pair('dev', link),
    pair('src', source),
    pair('table', table),
    pair('metric', metric),
    onlink ? 'onlink' : undefined,
  ]);
}

/** As `ip rule` has it. */
function ruleText({ family, from, to, fwmark, iif, oif, table, preference }: RuleConfig): string {
  return joined([
    family === 'ipv6' ? '-6' : undefined,
    pair('preference', preference),
    pair('from', from),
    pair('to', to),
    pair('fwmark', fwmark && `0x${fwmark.value.toString(16)}/0x${fwmark.mask.toString(16)}`),
    pair('iif', iif),
    pair('oif', oif),
    pair('table', table),
  ]);
}

function pair(word: string, value: string | number | undefined): string | undefined {
  return value === undefined ? undefined : `${word} ${value}`;
}

function joined(words: readonly (string | undefined)[]): string {
  return words.filter((word) => word !== undefined).join(' ');
}

function describeRouter(instance: InstanceConfig): string {
  return `vrid ${instance.vrid} on ${instance.interface}`;
}

function describeKey(key: keyof InstanceConfig, { old, next }: InstanceChange): string {
  if (key === 'intervalMs') {
    return `interval ${formatDuration(old.intervalMs)} -> ${formatDuration(next.intervalMs)}`;
  }
  if (key === 'addresses') return `addresses ${describeAddresses(old.addresses, next.addresses)}`;
  return key === 'garp' ? key : `${key} ${String(old[key])} -> ${String(next[key])}`;
}

/** `+203.0.113.5/24 -203.0.113.1/24` */
function describeAddresses(old: readonly AddressConfig[], next: readonly AddressConfig[]): string {
  const texts = (addresses: readonly AddressConfig[]): string[] =>
    addresses.map(({ address, prefixLength, interface: link }) => `${address}/${prefixLength} on ${link}`);
  const [before, after] = [texts(old), texts(next)];
  const changes = [
    ...after.filter((text) => !before.includes(text)).map((text) => `+${text}`),
    ...before.filter((text) => !after.includes(text)).map((text) => `-${text}`),
  ];
  return changes.length === 0 ? 'in another order or with other settings' : changes.join(' ');
}
