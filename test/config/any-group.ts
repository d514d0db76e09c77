import fc from 'fast-check';
import type {
  ConntrackdConfig,
  GroupConfig,
  HookName,
  HooksConfig,
  RouteConfig,
  RuleConfig,
  TrackerConfig,
  TrackerTarget,
} from '../../src/config/config.ts';
import type { Family } from '../../src/protocol/address.ts';

/** Any settings a group may have beside its instances, as the daemon would get them, and the same in the words of the file. */

export type GroupSettings = Omit<GroupConfig, 'name' | 'instances'>;

const link = fc.constantFrom('eth0', 'bond0.100', 'ppp1');
const path = fc.constantFrom('/usr/bin/tool', '/a b/c: d', '/x');
const duration = fc.integer({ min: 100, max: 3_600_000 });
const family = fc.constantFrom<Family>('ipv4', 'ipv6');
const anywhere: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0/0', ipv6: '::/0' };
const u32 = fc.integer({ min: 1, max: 0xffff_ffff });

const command = fc
  .tuple(
    path,
    fc.array(fc.oneof(fc.stringMatching(/^[ -~]{0,9}$/), fc.constantFrom('5', 'true', 'é', '')), {
      maxLength: 3,
    }),
  )
  .map(([program, args]) => [program, ...args]);

const target: fc.Arbitrary<TrackerTarget> = fc.oneof(
  fc.record({ kind: fc.constant('interface' as const), interface: link }),
  fc.record({
    kind: fc.constant('ping' as const),
    address: fc.constantFrom('203.0.113.254', '2001:db8::1'),
    interface: fc.option(link, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('ping' as const), address: fc.constant('fe80::1'), interface: link }),
  fc.record({
    kind: fc.constant('tcp' as const),
    host: fc.constantFrom('192.0.2.1', '2001:db8::1', 'www.example.net'),
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
  fc.record({ kind: fc.constant('command' as const), command }),
  fc.record({
    kind: fc.constant('process' as const),
    process: fc.constantFrom('named', '/usr/sbin/sshd', 'tmux: server'),
  }),
  fc.record({ kind: fc.constant('file' as const), file: path }),
);

const tracker: fc.Arbitrary<TrackerConfig> = fc
  .tuple(
    target,
    fc.record({
      name: fc.stringMatching(/^[!-~]{1,32}$/).filter((name) => name !== 'operator'),
      demote: fc.oneof(fc.constant('fault' as const), fc.integer({ min: 1, max: 254 })),
      everyMs: duration,
      timeoutMs: duration,
      fall: fc.integer({ min: 1, max: 1000 }),
      rise: fc.integer({ min: 1, max: 1000 }),
    }),
  )
  .map(([what, how]) => ({ ...what, ...how }));

const conntrackd: fc.Arbitrary<ConntrackdConfig> = fc.record({
  config: path,
  binary: fc.constantFrom('conntrackd', '/opt/conntrackd'),
  commitTimeoutMs: fc.oneof(fc.constant('auto' as const), duration),
  holdUntilSyncedMs: fc.integer({ min: 0, max: 86_400_000 }),
});

const commands = fc.array(command, { maxLength: 2 });
const hooks: fc.Arbitrary<HooksConfig> = fc.record({
  commands: fc.record({
    master: commands,
    backup: commands,
    fault: commands,
    stop: commands,
    any: commands,
  }),
  timeoutMs: duration,
});

function network(of: Family): fc.Arbitrary<string> {
  return fc
    .integer({ min: 0, max: 255 })
    .map((octet) => (of === 'ipv4' ? `10.${octet}.0.0/16` : `2001:db8:${(octet + 1).toString(16)}::/48`));
}

/** @param n another one for each route: no two are the same */
function route(n: number): fc.Arbitrary<RouteConfig> {
  const hosts = { ipv4: ['203.0.113.254', '10.0.0.1'], ipv6: ['2001:db8::1', 'fe80::1'] };
  return family.chain((of) =>
    fc.record({
      family: fc.constant(of),
      to: fc.oneof(network(of), fc.constant(anywhere[of])),
      via: fc.option(fc.constantFrom(...hosts[of]), { nil: undefined }),
      interface: link,
      source: fc.option(fc.constantFrom(...hosts[of]), { nil: undefined }),
      table: u32,
      metric: fc.constant(n + 1),
      onlink: fc.constant(false),
    }),
  );
}

function rule(n: number): fc.Arbitrary<RuleConfig> {
  const mark = fc.tuple(u32, u32).map(([bits, mask]) => ({ value: (bits & mask) >>> 0, mask }));
  return family.chain((of) =>
    fc.record({
      family: fc.constant(of),
      from: fc.option(network(of), { nil: undefined }),
      to: fc.option(network(of), { nil: undefined }),
      fwmark: fc.option(mark, { nil: undefined }),
      iif: fc.option(link, { nil: undefined }),
      oif: fc.option(link, { nil: undefined }),
      table: u32,
      preference: fc.constant(n + 1),
    }),
  );
}

/** @param n of the group in its file */
export function anyGroupSettings(n: number): fc.Arbitrary<GroupSettings> {
  const some = <Item>(item: (each: number) => fc.Arbitrary<Item>): fc.Arbitrary<Item[]> =>
    fc
      .integer({ min: 0, max: 3 })
      .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => item(n * 3 + index))));
  return fc
    .record({
      preempting: fc.oneof(fc.boolean(), fc.integer({ min: 1, max: 86_400_000 })),
      takeover: fc.constantFrom<GroupConfig['takeover']>('all', 'any'),
      track: fc.uniqueArray(tracker, { selector: ({ name }) => name, maxLength: 4 }),
      conntrackd: fc.option(conntrackd, { nil: undefined }),
      hooks,
      routes: some(route),
      rules: some(rule),
    })
    .map(({ preempting, ...rest }) => ({
      preempt: preempting !== false,
      preemptDelayMs: typeof preempting === 'number' ? preempting : 0,
      ...rest,
    }));
}

/** A duration as the file has it, in one of its spellings. */
export const written = (ms: number): string | number => (ms % 20 === 0 ? ms / 1000 : `${ms}ms`);

/** The same in the words of the file. Every second thing that need not be said is not said. */
export function fileOfGroupSettings(config: GroupSettings): Record<string, unknown> {
  const { preempt, preemptDelayMs, takeover, track, conntrackd: sync, hooks: programs } = config;
  return {
    ...(preempt && preemptDelayMs === 0 ? {} : { preempt: preempt && written(preemptDelayMs) }),
    ...(takeover === 'all' ? {} : { takeover }),
    ...(track.length > 0 && { track: track.map(fileOfTracker) }),
    ...(sync && {
      conntrackd: {
        config: sync.config,
        ...(sync.binary === 'conntrackd' ? {} : { binary: sync.binary }),
        commit_timeout: sync.commitTimeoutMs === 'auto' ? 'auto' : written(sync.commitTimeoutMs),
        hold_until_synced: written(sync.holdUntilSyncedMs),
      },
    }),
    hooks: { ...fileOfCommands(programs.commands), timeout: written(programs.timeoutMs) },
    routes: config.routes.map(fileOfRoute),
    rules: config.rules.map(fileOfRule),
  };
}

function fileOfTracker(config: TrackerConfig): unknown {
  const { name, demote, everyMs, timeoutMs, fall, rise } = config;
  return {
    ...fileOfTarget(config),
    name,
    ...(demote === (config.kind === 'interface' ? 'fault' : 50) ? {} : { demote }),
    every: written(everyMs),
    timeout: written(timeoutMs),
    fall,
    rise,
  };
}

function fileOfTarget(config: TrackerTarget): object {
  switch (config.kind) {
    case 'interface':
      return { interface: config.interface };
    case 'ping':
      return {
        ping: config.interface === undefined ? config.address : `${config.address}%${config.interface}`,
      };
    case 'tcp':
      return {
        tcp: `${config.host.includes(':') ? `[${config.host}]` : config.host}:${config.port}`,
      };
    case 'command':
      return { command: config.command };
    case 'process':
      return { process: config.process };
    case 'file':
      return { file: config.file };
  }
}

function fileOfCommands(all: HooksConfig['commands']): Record<string, unknown> {
  const names: readonly HookName[] = ['master', 'backup', 'fault', 'stop', 'any'];
  const said = names.filter((name) => all[name].length > 0);
  return Object.fromEntries(said.map((name) => [name, all[name].length === 1 ? all[name][0] : all[name]]));
}

function fileOfRoute({ to, via, interface: name, source, table, metric, onlink }: RouteConfig): unknown {
  const isDefault = to.endsWith('/0') && via !== undefined;
  return {
    to: isDefault ? 'default' : to,
    ...(via && { via }),
    interface: name,
    ...(source && { source }),
    table,
    metric,
    ...(onlink && { onlink }),
  };
}

function fileOfRule({ family: of, from, to, fwmark, iif, oif, table, preference }: RuleConfig): unknown {
  return {
    ...(from ? { from } : to ? {} : { from: anywhere[of] }),
    ...(to && { to }),
    ...(fwmark && { fwmark: `${fwmark.value}/0x${fwmark.mask.toString(16)}` }),
    ...(iif && { iif }),
    ...(oif && { oif }),
    table,
    preference,
  };
}
