import t from 'tap';
import type { Config } from '../../src/config/config.ts';
import { describePlan, diffConfig } from '../../src/config/diff.ts';
import { loadConfig } from '../../src/config/load.ts';

const before = `
node: fw1
groups:
  edge:
    priority: 150
    instances:
      wan: { interface: eth0, vrid: 61, addresses: [203.0.113.1/24] }
      lan: { interface: eth1, vrid: 62, addresses: [172.16.0.1/24] }
  guests:
    instances:
      guests: { interface: eth2, vrid: 63, addresses: [172.16.8.1/22] }
`;

const load = (text: string): Config => loadConfig(text, 'f');
/** The plan for `before` with some of its text replaced. */
const lines = (...edits: [string, string][]): string[] => {
  const after = edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`not in the file: ${from}`);
    return text.replace(from, to);
  }, before);
  return describePlan(diffConfig(load(before), load(after)));
};

void t.test('nothing changes', async (t) => {
  t.strictSame(diffConfig(load(before), load(before)), {
    removed: [],
    changed: [],
    added: [],
    settings: [],
    needRestart: [],
  });
  t.strictSame(lines(['priority: 150', 'priority: 150 # the same']), []);
  t.strictSame(lines(['interface: eth0, vrid: 61', 'vrid: 61, interface: eth0']), []);
});

void t.test('the order of groups and instances means nothing', async (t) => {
  const config = load(before);
  const groups = config.groups.map((group) => ({ ...group, instances: group.instances.toReversed() }));
  t.strictSame(
    describePlan(diffConfig(config, { ...config, file: 'other', groups: groups.toReversed() })),
    [],
  );
});

void t.test('each change by itself', async (t) => {
  t.strictSame(lines(['priority: 150', 'priority: 100']), [
    'group edge: instance wan: priority 150 -> 100',
    'group edge: instance lan: priority 150 -> 100',
  ]);
  t.strictSame(lines(['vrid: 61,', 'vrid: 61, interval: 0.2, checksum: rfc9568, garp: { repeat: 1 },']), [
    'group edge: instance wan: interval 1s -> 200ms, checksum auto -> rfc9568, garp',
  ]);
  t.strictSame(lines(['priority: 150', 'priority: 150\n    preempt: 1m\n    takeover: any']), [
    'group edge: preempt true -> 1m',
    'group edge: takeover all -> any',
  ]);
  t.strictSame(lines(['203.0.113.1/24', '203.0.113.2/24']), [
    'group edge: instance wan: addresses +203.0.113.2/24 on eth0 -203.0.113.1/24 on eth0',
  ]);
  t.strictSame(lines(['203.0.113.1/24', '{ address: 203.0.113.1/24, scope: link }']), [
    'group edge: instance wan: addresses in another order or with other settings',
  ]);
  t.strictSame(lines(['wan: { interface: eth0, vrid: 61', 'wan: { interface: eth3, vrid: 64']), [
    'group edge: instance wan: replaced, vrid 61 on eth0 -> vrid 64 on eth3',
  ]);
  t.strictSame(lines(['lan:', 'dmz:']), [
    'group edge: instance lan: removed',
    'group edge: instance dmz: added, vrid 62 on eth1',
  ]);
  t.strictSame(lines(['guests:', 'visitors:']), [
    'group guests: removed',
    'group visitors: added with guests (vrid 63 on eth2)',
  ]);
});

void t.test("each change of a group's own settings", async (t) => {
  const withSettings = (settings: string): string =>
    before.replace('priority: 150', `priority: 150\n    ${settings}`);
  const change = (old: string, next: string): string[] =>
    describePlan(diffConfig(load(withSettings(old)), load(withSettings(next))));
  t.strictSame(
    change(
      'track: [{ ping: 10.0.0.9 }, { interface: eth3 }, { file: /run/x }]',
      'track: [{ ping: 10.0.0.9, fall: 5 }, { file: /run/x }, { ping: 10.0.0.8 }]',
    ),
    ['group edge: track +ping 10.0.0.8, -interface eth3, ping 10.0.0.9 with other settings'],
  );
  t.strictSame(change('conntrackd: false', 'conntrackd: {}'), ['group edge: conntrackd off -> on']);
  t.strictSame(change('conntrackd: true', 'conntrackd: false'), ['group edge: conntrackd on -> off']);
  t.strictSame(change('conntrackd: true', 'conntrackd: { commit_timeout: 1s }'), [
    'group edge: conntrackd with other settings',
  ]);
  t.strictSame(change('conntrackd: true', 'conntrackd: {}'), []);
  t.strictSame(
    change('hooks: { master: [/bin/a, b] }', 'hooks: { backup: [/bin/a, b], master: [[/bin/a, b], [/c]] }'),
    ['group edge: hooks +master /c, +backup /bin/a b'],
  );
  t.strictSame(change('hooks: { any: [/a] }', 'hooks: { any: [/a], timeout: 1s }'), [
    'group edge: hooks in another order or with other settings',
  ]);
  t.strictSame(
    change(
      'routes: [{ to: default, via: 203.0.113.254 }]',
      "routes: [{ to: 10.0.0.0/8, via: 203.0.113.254, interface: eth0, source: 203.0.113.1, metric: 5, onlink: true }, { to: '::/0', interface: eth0, table: 7 }]",
    ),
    [
      'group edge: routes +10.0.0.0/8 via 203.0.113.254 dev eth0 src 203.0.113.1 table 254 metric 5 onlink, ' +
        '+::/0 dev eth0 table 7 metric 1024, -0.0.0.0/0 via 203.0.113.254 table 254 metric 0',
    ],
  );
  t.strictSame(
    change(
      'rules: [{ from: 10.0.0.0/8, table: 5 }]',
      "rules: [{ to: '2001:db8::/32', fwmark: 1/0xff, iif: lo, oif: eth0, table: main, preference: 9 }, { from: 10.0.0.0/8, table: 5 }]",
    ),
    ['group edge: rules +-6 preference 9 to 2001:db8::/32 fwmark 0x1/0xff iif lo oif eth0 table 254'],
  );
  t.strictSame(diffConfig(load(withSettings('preempt: 5s')), load(before)).changed[0]?.settings, ['preempt']);
});

void t.test('what changes at once and what at the next start', async (t) => {
  const plan = diffConfig(
    load(before),
    load(
      before.replace(
        'node: fw1',
        "node: fw2\nstartup_delay: 5s\nlog: { level: debug }\nruntime_directory: /tmp\nmetrics: { listen: '127.0.0.1:9112' }",
      ),
    ),
  );
  t.strictSame(plan.settings, ['node', 'log.level', 'startup_delay']);
  t.strictSame(plan.needRestart, ['metrics.listen', 'runtime_directory']);
  t.strictSame(describePlan(plan).slice(1, 4), [
    'log.level: changed',
    'startup_delay: changed',
    'metrics.listen: changed, but takes effect only after a restart',
  ]);
});

void t.test('the plan carries what the daemon needs', async (t) => {
  const after = before.replace('vrid: 61', 'vrid: 64').replace('172.16.0.1/24', '172.16.0.2/24');
  const [change] = diffConfig(load(before), load(after)).changed;
  t.match(change, {
    name: 'edge',
    settings: [],
    old: { name: 'edge', instances: [{ vrid: 61 }, { vrid: 62 }] },
    next: { name: 'edge', instances: [{ vrid: 64 }, { vrid: 62 }] },
    replaced: [{ old: { vrid: 61 }, next: { vrid: 64 }, keys: ['vrid'] }],
    changed: [
      { old: { name: 'lan' }, next: { addresses: [{ address: '172.16.0.2' }] }, keys: ['addresses'] },
    ],
  });
});
