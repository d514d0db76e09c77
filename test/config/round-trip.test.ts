import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { stringify } from 'yaml';
import type {
  AddressConfig,
  Config,
  GarpConfig,
  GroupConfig,
  InstanceConfig,
} from '../../src/config/config.ts';
import { familiesOf } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { isLinkLocal, virtualLinkLocal } from '../../src/protocol/address.ts';
import { anyGroupSettings, fileOfGroupSettings, written } from './any-group.ts';

/** Any configuration there is, as the daemon would get it. The n-th instance has its own interface and networks. */
const plainName = fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/);

const garp: fc.Arbitrary<GarpConfig> = fc.record({
  repeat: fc.integer({ min: 1, max: 100 }),
  delayMs: fc.integer({ min: 0, max: 3_600_000 }),
  refreshMs: fc.integer({ min: 0, max: 86_400_000 }),
  intervalMs: fc.integer({ min: 0, max: 1000 }),
});

function addresses(n: number, link: string, vrid: number): fc.Arbitrary<AddressConfig[]> {
  const place = fc.record({ interface: fc.constantFrom(link, 'other0'), advertise: fc.boolean() });
  const scope = fc.constantFrom<AddressConfig['scope']>('global', 'site', 'link', 'host');
  const ipv4 = fc
    .tuple(fc.integer({ min: 1, max: 254 }), fc.integer({ min: 8, max: 24 }), fc.boolean(), scope, place)
    .map(([host, prefixLength, labelled, ownScope, where]): AddressConfig => {
      const label = labelled ? `${where.interface}:vip` : undefined;
      return {
        family: 'ipv4',
        address: `10.${n}.77.${host}`,
        prefixLength,
        ...where,
        label,
        scope: ownScope,
      };
    });
  const ipv6 = fc
    .tuple(fc.integer({ min: 1, max: 0xffff }), fc.integer({ min: 48, max: 112 }), place)
    .map(([host, prefixLength, where]): AddressConfig => {
      const address = `2001:db8:${n + 1}::${host.toString(16)}`;
      return { family: 'ipv6', address, prefixLength, ...where, label: undefined, scope: 'global' };
    });
  const linkLocal = fc.constantFrom('fe80::1', virtualLinkLocal(vrid)).map((address): AddressConfig => {
    const rest = {
      prefixLength: 64,
      interface: link,
      advertise: true,
      label: undefined,
      scope: 'link',
    } as const;
    return { family: 'ipv6', address, ...rest };
  });
  const others = fc.uniqueArray(fc.oneof(ipv4, ipv6), { selector: ({ address }) => address, maxLength: 6 });
  return fc
    .tuple(linkLocal, others)
    .map(([first, rest]) => {
      if (!rest.some(({ family, advertise }) => family === 'ipv6' && advertise)) return rest;
      const start = rest.findIndex(({ family }) => family === 'ipv6');
      return rest.toSpliced(start, 0, first);
    })
    .filter((list) => list.some(({ advertise }) => advertise));
}

function instance(n: number): fc.Arbitrary<Omit<InstanceConfig, 'name'>> {
  return fc.integer({ min: 1, max: 255 }).chain((vrid) =>
    fc.record({
      interface: fc.constant(`eth${n}`),
      vrid: fc.constant(vrid),
      priority: fc.integer({ min: 1, max: 255 }),
      intervalMs: fc.integer({ min: 1, max: 4095 }).map((centiseconds) => centiseconds * 10),
      protocol: fc.constant('vrrp3' as const),
      checksum: fc.constantFrom('auto' as const, 'rfc9568' as const, 'pseudo_header' as const),
      garp,
      addresses: addresses(n, `eth${n}`, vrid),
    }),
  );
}

const config: fc.Arbitrary<Config> = fc
  .tuple(
    fc.uniqueArray(plainName, { minLength: 1, maxLength: 3 }),
    fc.uniqueArray(plainName, { minLength: 1, maxLength: 3 }),
  )
  .chain(([groupNames, instanceNames]) =>
    fc.record({
      file: fc.constant('f'),
      node: plainName,
      runtimeDirectory: fc.constantFrom('/run/havrrp', '/tmp/a b'),
      stateDirectory: fc.constantFrom('/var/lib/havrrp', '/x: y'),
      controlGroup: fc.constantFrom(undefined, 'adm'),
      metricsListen: fc.option(
        fc.record({ host: fc.constantFrom('::1', '127.0.0.1'), port: fc.integer({ min: 1, max: 65535 }) }),
        { nil: undefined },
      ),
      logLevel: fc.constantFrom<Config['logLevel']>(
        'trace',
        'debug',
        'info',
        'warn',
        'error',
        'fatal',
        'silent',
      ),
      startupDelayMs: fc.integer({ min: 0, max: 3_600_000 }),
      groups: fc.tuple(
        ...groupNames.map((name, g): fc.Arbitrary<GroupConfig> => {
          const instances = fc.tuple(
            ...instanceNames.map((own, i) =>
              instance(g * 3 + i).map((rest): InstanceConfig => ({ name: own, ...rest })),
            ),
          );
          return fc
            .tuple(anyGroupSettings(g), instances)
            .map(([settings, members]) => ({ name, ...settings, instances: members }));
        }),
      ),
    }),
  );

/** The same in the words of the file. Every second thing that need not be said is not said. */
function fileOf(config: Config): unknown {
  const listen = config.metricsListen;
  return {
    node: config.node,
    runtime_directory: config.runtimeDirectory,
    state_directory: config.stateDirectory,
    ...(config.controlGroup === undefined ? {} : { control: { group: config.controlGroup } }),
    ...(listen && {
      metrics: {
        listen: listen.host.includes(':')
          ? `[${listen.host}]:${listen.port}`
          : `${listen.host}:${listen.port}`,
      },
    }),
    log: { level: config.logLevel },
    ...(config.startupDelayMs === 0 ? {} : { startup_delay: written(config.startupDelayMs) }),
    groups: new Map(
      config.groups.map(({ name, instances, ...settings }) => [
        name,
        {
          ...fileOfGroupSettings(settings),
          ...(instances.length === 1 && { priority: instances[0]?.priority }),
          instances: new Map(
            instances.map((each) => [each.name, fileOfInstance(each, instances.length === 1)]),
          ),
        },
      ]),
    ),
  };
}

function fileOfInstance(instance: InstanceConfig, isPriorityInherited: boolean): unknown {
  const { vrid, interface: link, garp: frames, addresses: list } = instance;
  const automatic = (address: AddressConfig): boolean => address.address === virtualLinkLocal(vrid);
  return {
    interface: link,
    vrid,
    ...(isPriorityInherited ? {} : { priority: instance.priority }),
    interval: written(instance.intervalMs),
    ...(instance.checksum === 'auto' ? {} : { checksum: instance.checksum }),
    garp: {
      repeat: frames.repeat,
      delay: written(frames.delayMs),
      refresh: written(frames.refreshMs),
      interval: written(frames.intervalMs),
    },
    addresses: list.filter((address) => !automatic(address)).map((address) => fileOfAddress(address, link)),
  };
}

function fileOfAddress(address: AddressConfig, link: string): unknown {
  const text = `${address.address}/${address.prefixLength}`;
  const natural = isLinkLocal(address.address) ? 'link' : 'global';
  const { interface: place, advertise, label, scope } = address;
  if (place === link && advertise && label === undefined && scope === natural) return text;
  return { address: text, interface: place, advertise, ...(label === undefined ? {} : { label }), scope };
}

void t.test('what is written in the words of the file is read as it was', async () => {
  fc.assert(
    fc.property(config, (expected) => {
      const read = loadConfig(stringify(fileOf(expected)), 'f');
      // A clone: the records of fast-check have no prototype.
      assert.deepStrictEqual(read, structuredClone(expected));
      for (const each of read.groups.flatMap(({ instances }) => instances)) {
        const [first] = each.addresses.filter(({ family, advertise }) => family === 'ipv6' && advertise);
        const startsWell = first !== undefined && isLinkLocal(first.address);
        assert.equal(familiesOf(each).includes('ipv6'), startsWell);
      }
    }),
    { numRuns: 300 },
  );
});
