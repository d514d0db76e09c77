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
  t.strictSame(lines(['priority: 150', 'priority: 150\n    preempt: false']), [
    'group edge: preempt true -> false',
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

void t.test('what changes at once and what at the next start', async (t) => {
  const plan = diffConfig(
    load(before),
    load(
      before.replace(
        'node: fw1',
        "node: fw2\nlog: { level: debug }\nruntime_directory: /tmp\nmetrics: { listen: '127.0.0.1:9112' }",
      ),
    ),
  );
  t.strictSame(plan.settings, ['node', 'log.level']);
  t.strictSame(plan.needRestart, ['metrics.listen', 'runtime_directory']);
  t.strictSame(describePlan(plan).slice(1, 3), [
    'log.level: changed',
    'metrics.listen: changed, but takes effect only after a restart',
  ]);
});

void t.test('the plan carries what the daemon needs', async (t) => {
  const after = before.replace('vrid: 61', 'vrid: 64').replace('172.16.0.1/24', '172.16.0.2/24');
  const [change] = diffConfig(load(before), load(after)).changed;
  t.match(change, {
    name: 'edge',
    preemptChanged: false,
    next: { name: 'edge', instances: [{ vrid: 64 }, { vrid: 62 }] },
    replaced: [{ old: { vrid: 61 }, next: { vrid: 64 }, keys: ['vrid'] }],
    changed: [
      { old: { name: 'lan' }, next: { addresses: [{ address: '172.16.0.2' }] }, keys: ['addresses'] },
    ],
  });
});
