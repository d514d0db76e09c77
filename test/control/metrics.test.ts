import fc from 'fast-check';
import t from 'tap';
import type { Status } from '../../src/control/messages.ts';
import { renderMetrics, type MetricsInput } from '../../src/control/metrics.ts';
import { sampleStatus } from './handler.ts';

interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly type: string;
  readonly series: Series[];
}

/** The Prometheus text format 0.0.4, strictly: HELP, TYPE, then the series of that family and no others, none twice. */
function parse(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no newline');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: string | undefined;
  let current: { name: string; family: Family } | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name = '', rest = ''] = comment;
      if (kind === 'HELP') {
        help = name;
        continue;
      }
      if (help !== name) throw new Error(`TYPE without HELP: ${line}`);
      if (families.has(name)) throw new Error(`declared twice: ${name}`);
      if (!['counter', 'gauge', 'histogram'].includes(rest)) throw new Error(`no type: ${line}`);
      current = { name, family: { type: rest, series: [] } };
      families.set(name, current.family);
      continue;
    }
    const sample = /^([a-z_]+)(?:\{([^]*)\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$/.exec(line);
    if (sample === null || current === undefined) throw new Error(`not a sample: ${line}`);
    const [, name = '', pairs = '', value] = sample;
    const suffix = name.slice(current.name.length);
    const suffixes = current.family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (!name.startsWith(current.name) || !suffixes.includes(suffix))
      throw new Error(`not of the family: ${line}`);
    const labels: Record<string, string> = {};
    let rest = pairs;
    while (rest !== '') {
      const pair = /^([a-z_]+)="((?:[^"\\]|\\[\\"n])*)"(?:,|$)/.exec(rest);
      if (pair === null) throw new Error(`not a label: ${rest}`);
      const [whole, label = '', escaped = ''] = pair;
      labels[label] = escaped.replaceAll(/\\([^])/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
      rest = rest.slice(whole.length);
    }
    const identity = JSON.stringify([name, Object.entries(labels).sort()]);
    if (seen.has(identity)) throw new Error(`twice: ${line}`);
    seen.add(identity);
    current.family.series.push({ name, labels, value: Number(value) });
  }
  return families;
}

const input: MetricsInput = {
  status: sampleStatus,
  transitions: [
    { group: 'edge', to: 'master', count: 3 },
    { group: 'edge', to: 'backup', count: 2 },
  ],
  hooks: [
    {
      group: 'edge',
      hook: 'master',
      histogram: { buckets: [{ le: 0.1, count: 1 }], sum: 0.05, count: 1 },
    },
  ],
  lateness: {
    buckets: [
      { le: 0.0005, count: 90 },
      { le: 0.001, count: 95 },
    ],
    sum: 0.25,
    count: 100,
  },
};

function series(text: string, name: string): readonly Series[] | undefined {
  return parse(text).get(name)?.series;
}

t.test('the page, with the names dashboards depend on', (t) => {
  const text = renderMetrics(input);
  const types = [...parse(text)].map(([name, { type }]) => `${name} ${type}`);
  t.same(types, [
    'havrrp_build_info gauge',
    'havrrp_group_state gauge',
    'havrrp_group_demotion gauge',
    'havrrp_transitions_total counter',
    'havrrp_advertisements_sent_total counter',
    'havrrp_advertisements_received_total counter',
    'havrrp_advertisements_discarded_total counter',
    'havrrp_loop_lateness_seconds histogram',
    'havrrp_hook_duration_seconds histogram',
  ]);
  for (const line of [
    'havrrp_build_info{version="0.1.0"} 1',
    'havrrp_group_state{group="edge",state="init"} 0',
    'havrrp_group_state{group="edge",state="backup"} 0',
    'havrrp_group_state{group="edge",state="master"} 1',
    'havrrp_group_state{group="edge",state="fault"} 0',
    'havrrp_group_state{group="dmz",state="fault"} 1',
    'havrrp_group_demotion{group="dmz"} 254',
    'havrrp_transitions_total{group="edge",to="master"} 3',
    'havrrp_advertisements_sent_total{instance="wan",family="ipv4"} 8050',
    'havrrp_advertisements_received_total{instance="wan",family="ipv4"} 12',
    'havrrp_advertisements_discarded_total{instance="wan",family="ipv4",reason="bad_checksum"} 3',
    'havrrp_loop_lateness_seconds_bucket{le="0.0005"} 90',
    'havrrp_loop_lateness_seconds_bucket{le="0.001"} 95',
    'havrrp_loop_lateness_seconds_bucket{le="+Inf"} 100',
    'havrrp_loop_lateness_seconds_sum 0.25',
    'havrrp_loop_lateness_seconds_count 100',
    'havrrp_hook_duration_seconds_bucket{group="edge",hook="master",le="0.1"} 1',
    'havrrp_hook_duration_seconds_count{group="edge",hook="master"} 1',
  ]) {
    t.ok(text.split('\n').includes(line), line);
  }
  t.end();
});

t.test('two groups with an instance of the same name', (t) => {
  const [edge, dmz] = sampleStatus.groups;
  if (edge === undefined || dmz === undefined) throw new Error('the sample has two groups');
  const twin = { ...dmz, instances: dmz.instances.map((instance) => ({ ...instance, name: 'wan' })) };
  const text = renderMetrics({ ...input, status: { ...sampleStatus, groups: [edge, twin] } });
  const instances = series(text, 'havrrp_advertisements_sent_total')?.map(({ labels }) => labels['instance']);
  t.same(instances, ['edge/wan', 'edge/wan', 'dmz/wan']);
  t.end();
});

t.test('no groups yet', (t) => {
  const text = renderMetrics({
    status: { ...sampleStatus, groups: [] },
    transitions: [],
    lateness: { buckets: [], sum: 0, count: 0 },
    hooks: [],
  });
  t.same(series(text, 'havrrp_group_state'), []);
  t.equal(series(text, 'havrrp_loop_lateness_seconds')?.length, 3);
  t.end();
});

t.test('any name is a label', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      const groups = sampleStatus.groups.slice(0, 1).map((group) => ({ ...group, name }));
      const status: Status = { ...sampleStatus, groups };
      const transitions = [{ group: name, to: 'master', count: 1 }] as const;
      const found = series(renderMetrics({ ...input, status, transitions }), 'havrrp_transitions_total');
      t.same(found?.[0]?.labels, { group: name, to: 'master' });
    }),
  );
  t.end();
});
