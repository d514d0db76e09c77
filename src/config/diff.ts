import { isDeepStrictEqual } from 'node:util';
import type { AddressConfig, Config, GroupConfig, InstanceConfig } from './config.ts';
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

export type LiveKey = 'node' | 'log.level';
export type RestartKey = 'metrics.listen' | 'control.group' | 'runtime_directory' | 'state_directory';

export interface GroupChange {
  readonly name: string;
  readonly next: GroupConfig;
  readonly preemptChanged: boolean;
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
];
const restartKeys: readonly (readonly [RestartKey, keyof Config])[] = [
  ['metrics.listen', 'metricsListen'],
  ['control.group', 'controlGroup'],
  ['runtime_directory', 'runtimeDirectory'],
  ['state_directory', 'stateDirectory'],
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
    next,
    preemptChanged: old.preempt !== next.preempt,
    removed,
    replaced: changes.filter(isReplaced),
    changed: changes.filter((change) => !isReplaced(change)),
    added,
  };
}

function changesSomething(change: GroupChange): boolean {
  const { preemptChanged, removed, replaced, changed, added } = change;
  return preemptChanged || [removed, replaced, changed, added].some(({ length }) => length > 0);
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
  const { name, next, preemptChanged, removed, replaced, changed, added } = change;
  const lines = [
    ...(preemptChanged ? [`preempt ${String(!next.preempt)} -> ${String(next.preempt)}`] : []),
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
