import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { GroupConfig } from '../../src/config/config.ts';
import { checkConfig, loadConfig, readConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { complaintsOf, oneInstance, printed } from './complaints.ts';

const addresses = 'addresses: [10.0.0.1/24]';

/** A file of one group, with these keys beside its one instance. */
const file = (settings: string): string => oneInstance(addresses, settings);

function load(settings: string, list: string = addresses): GroupConfig {
  const [group] = loadConfig(oneInstance(list, settings), 'f').groups;
  if (group === undefined) throw new Error('no group');
  return group;
}

void t.test('preempt: whether, and after how long', async (t) => {
  const rows: [string, boolean, number][] = [
    ['true', true, 0],
    ['false', false, 0],
    ['30s', true, 30_000],
    ['1.5', true, 1500],
    ['0', true, 0],
  ];
  for (const [written, preempt, preemptDelayMs] of rows) {
    t.match(load(`preempt: ${written}`), { preempt, preemptDelayMs }, written);
  }
});

void t.test('trackers of every kind, with what they do not say', async (t) => {
  const { track } = load(`track:
      - { interface: eth3 }
      - { ping: '2001:DB8::1' }
      - { ping: fe80::1%eth0 }
      - { ping: 127.0.0.1 }
      - { tcp: '[2001:DB8:0::1]:443' }
      - { tcp: www.example.net:80 }
      - { command: [/usr/bin/test, -e, /run/a] }
      - { process: named }
      - { file: /run/maintenance }`);
  const second = { demote: 50, everyMs: 1000, timeoutMs: 1000 };
  const twoSeconds = { demote: 50, everyMs: 2000, timeoutMs: 2000, fall: 2, rise: 2 };
  const ping = { kind: 'ping', interface: undefined, ...second, fall: 3, rise: 2 } as const;
  const command = { kind: 'command', ...twoSeconds, timeoutMs: 3000 } as const;
  t.strictSame(track, [
    {
      kind: 'interface',
      interface: 'eth3',
      name: 'interface eth3',
      ...second,
      demote: 'fault',
      fall: 1,
      rise: 1,
    },
    { ...ping, address: '2001:db8::1', name: 'ping 2001:db8::1' },
    { ...ping, address: 'fe80::1', interface: 'eth0', name: 'ping fe80::1%eth0' },
    { ...ping, address: '127.0.0.1', name: 'ping 127.0.0.1' },
    { kind: 'tcp', host: '2001:db8::1', port: 443, name: 'tcp [2001:db8::1]:443', ...twoSeconds },
    { kind: 'tcp', host: 'www.example.net', port: 80, name: 'tcp www.example.net:80', ...twoSeconds },
    { ...command, command: ['/usr/bin/test', '-e', '/run/a'], name: 'command test -e /run/a' },
    { kind: 'process', process: 'named', name: 'process named', ...second, fall: 2, rise: 2 },
    { kind: 'file', file: '/run/maintenance', name: 'file /run/maintenance', ...second, fall: 1, rise: 1 },
  ]);
});

void t.test('a tracker that says everything', async (t) => {
  const { track } = load(
    'track: [{ file: /run/x, demote: fault, every: 250ms, timeout: 2s, fall: 7, rise: 9, name: a switch }]',
  );
  t.strictSame(track, [
    {
      kind: 'file',
      file: '/run/x',
      demote: 'fault',
      everyMs: 250,
      timeoutMs: 2000,
      fall: 7,
      rise: 9,
      name: 'a switch',
    },
  ]);
});

void t.test('the name of a tracker fits into a line', async (t) => {
  const { track } = load(`track:
      - command:
          - /bin/sh
          - -c
          - |
            test -e /run/a ||
            exit 1
      - { file: /${'x'.repeat(100)} }`);
  t.strictSame(
    track.map(({ name }) => name),
    ['command sh -c test -e /run/a || exit 1', `file /${'x'.repeat(57)}…`],
  );
});

void t.test('two groups may watch the same', async (t) => {
  const group = (vrid: number): string =>
    `{ track: [{ ping: 10.0.0.9 }], instances: { i: { interface: eth0, vrid: ${vrid}, addresses: [10.0.0.${vrid}/24] } } }`;
  t.strictSame(complaintsOf(`groups: { a: ${group(1)}, b: ${group(2)} }\n`), []);
});

void t.test('conntrackd: on, off, or in its own way', async (t) => {
  const standard = {
    config: '/etc/conntrackd/conntrackd.conf',
    binary: 'conntrackd',
    commitTimeoutMs: 'auto',
    holdUntilSyncedMs: 20_000,
  };
  t.strictSame(load('conntrackd: true').conntrackd, standard);
  t.strictSame(load('conntrackd: {}').conntrackd, standard);
  t.equal(load('conntrackd: false').conntrackd, undefined);
  t.strictSame(
    load(
      'conntrackd: { config: /etc/c.conf, binary: /opt/conntrackd, commit_timeout: 500ms, hold_until_synced: 0 }',
    ).conntrackd,
    { config: '/etc/c.conf', binary: '/opt/conntrackd', commitTimeoutMs: 500, holdUntilSyncedMs: 0 },
  );
  t.strictSame(complaintsOf(file('conntrackd: []')), [
    'f:3:17: conntrackd is a list: use true, false, or a mapping',
  ]);
});

void t.test('a hook is one list, or a list of them', async (t) => {
  const { hooks } = load(`hooks:
      master: [/usr/bin/logger, '', master]
      backup: [[/usr/bin/logger], [/usr/bin/logger, backup]]
      timeout: 2m`);
  t.strictSame(hooks, {
    commands: {
      master: [['/usr/bin/logger', '', 'master']],
      backup: [['/usr/bin/logger'], ['/usr/bin/logger', 'backup']],
      fault: [],
      stop: [],
      any: [],
    },
    timeoutMs: 120_000,
  });
});

void t.test('routes: family, table, metric', async (t) => {
  const { routes } = load(`routes:
      - { to: default, via: 10.0.0.254 }
      - { to: default, interface: ppp0, metric: 5 }
      - { to: default, via: 'fe80::1', interface: eth0, table: 0x65 }
      - { to: default, source: '2001:db8::1', interface: eth0, table: 102 }
      - { to: '::/0', interface: eth0, table: 4294967295, metric: 4294967295 }
      - { to: 192.0.2.7/32, via: 10.0.0.254, interface: eth0, source: 10.0.0.1, table: main, onlink: true }`);
  const texts = routes.map(
    ({ family, to, via, interface: link, source, table, metric, onlink }) =>
      `${family} ${to} ${via ?? '-'} ${link ?? '-'} ${source ?? '-'} ${table} ${metric}${onlink ? ' onlink' : ''}`,
  );
  t.strictSame(texts, [
    'ipv4 0.0.0.0/0 10.0.0.254 - - 254 0',
    'ipv4 0.0.0.0/0 - ppp0 - 254 5',
    'ipv6 ::/0 fe80::1 eth0 - 101 1024',
    'ipv6 ::/0 - eth0 2001:db8::1 102 1024',
    'ipv6 ::/0 - eth0 - 4294967295 4294967295',
    'ipv4 192.0.2.7/32 10.0.0.254 eth0 10.0.0.1 254 0 onlink',
  ]);
});

void t.test('rules: one for each family they are for', async (t) => {
  const selected = (settings: string, list?: string): string[] =>
    load(settings, list).rules.map(({ family, from, to, fwmark, iif, oif, table, preference }) =>
      [
        family,
        from && `from ${from}`,
        to && `to ${to}`,
        fwmark && `mark ${fwmark.value}/${fwmark.mask}`,
        iif && `iif ${iif}`,
        oif && `oif ${oif}`,
        `table ${table} preference ${preference}`,
      ]
        .filter((word) => word !== undefined)
        .join(' '),
    );
  const written = `rules:
      - { from: 10.1.0.0/16, to: 10.2.0.0/16, table: 100 }
      - { fwmark: 0x1, table: main, preference: 5 }
      - { fwmark: 2/0xff, iif: lo, oif: eth0, table: 101 }
      - { from: '::/0', table: 102 }`;
  const ipv4 = [
    'ipv4 from 10.1.0.0/16 to 10.2.0.0/16 table 100 preference 32000',
    'ipv4 mark 1/4294967295 table 254 preference 5',
    'ipv4 mark 2/255 iif lo oif eth0 table 101 preference 32000',
  ];
  const ipv6 = [
    'ipv6 mark 1/4294967295 table 254 preference 5',
    'ipv6 mark 2/255 iif lo oif eth0 table 101 preference 32000',
    'ipv6 table 102 preference 32000',
  ];
  const both = [ipv4[0], ipv4[1], ipv6[0], ipv4[2], ipv6[1], ipv6[2]];
  t.strictSame(selected(written), [...ipv4, ipv6[2]], 'a group that has to do with IPv4 alone');
  t.strictSame(selected(written, "addresses: [10.0.0.1/24, '2001:db8::1/64']"), both, 'addresses of both');
  const route = 'routes: [{ to: default, via: fe80::1, interface: eth0 }]';
  t.strictSame(selected(`${route}\n    ${written}`), both, 'addresses of one, a route of the other');
});

void t.test('what may be there twice', async (t) => {
  t.strictSame(
    complaintsOf(
      file(`routes:
      - { to: default, via: 10.0.0.254 }
      - { to: default, via: 10.0.0.254, table: 100 }
      - { to: default, via: 10.0.0.253, metric: 1 }
      - { to: '::/0', interface: eth0 }
    rules:
      - { from: 10.0.0.0/8, table: 100 }
      - { from: 10.0.0.0/8, table: 101 }
      - { from: 10.0.0.0/8, table: 100, preference: 1 }`),
    ),
    [],
  );
});

void t.test('an empty list or mapping is nothing', async (t) => {
  t.match(load('track: []\n    routes: []\n    rules: []\n    hooks: {}'), {
    track: [],
    routes: [],
    rules: [],
    hooks: { timeoutMs: 30_000 },
  });
});

void t.test('programs are looked at where they will be run', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'havrrp-programs-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const tool = join(directory, 'tool');
  await writeFile(tool, '#!/bin/sh\n');
  await chmod(tool, 0o777);
  const text = file(`track: [{ command: [${tool}] }]
    hooks:
      any: [[${tool}, again], [/nowhere/tool], [/usr/bin/env]]`);
  const refused = async (check: Promise<unknown>): Promise<string[]> => {
    const error: unknown = await check.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return error instanceof ConfigError ? printed(error) : [String(error)];
  };
  const [first = '', second = '', ...others] = await refused(checkConfig(text, 'f'));
  t.match(first, /^f:3:25: .* may be written by everybody: .* has owner \d+:\d+ and mode 1?777: /);
  t.match(second, /^f:5:\d+: there is no program \/nowhere\/tool: there is no \/nowhere: install it/);
  t.strictSame(others, [], 'each program once');
  const configFile = join(directory, 'havrrp.yaml');
  await writeFile(configFile, text);
  t.match(await refused(readConfig(configFile)), [/^\/.*:3:25: /, /:5:/]);
  t.match(await readConfig(configFile, { withPrograms: false }), { groups: [{ name: 'edge' }] });
  t.strictSame(complaintsOf(text), [], 'the text is as it should be');
  t.strictSame(
    await refused(checkConfig('groups: {}\n', 'f')),
    ['f:1:1: groups is empty: add at least one group'],
    'a text that is wrong is said first',
  );
});
