import type { GroupStateName, Status } from './messages.ts';

/** How late the event loop came to its deadlines, since the daemon started. */
export interface LatenessHistogram {
  /** Ascending; each counts everything up to `le`, in seconds. The one for infinity is `count` and is not listed. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[];
  readonly sum: number;
  readonly count: number;
}

export interface MetricsInput {
  readonly status: Status;
  readonly transitions: readonly {
    readonly group: string;
    readonly to: GroupStateName;
    readonly count: number;
  }[];
  readonly lateness: LatenessHistogram;
  readonly hooks: readonly HookDuration[];
}

/** How long the runs of a hook took. */
export interface HookDuration {
  readonly group: string;
  readonly hook: string;
  readonly histogram: LatenessHistogram;
}

type Labels = Readonly<Record<string, string>>;

interface Sample {
  /** What follows the name of the metric: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string;
  readonly labels?: Labels;
  readonly value: number;
}

const groupStates: readonly GroupStateName[] = ['init', 'backup', 'master', 'fault'];

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function metric(
  name: string,
  type: 'gauge' | 'counter' | 'histogram',
  help: string,
  samples: readonly Sample[],
): string {
  const lines = samples.map(({ suffix = '', labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
    return `${name}${suffix}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ''].join('\n');
}

/** The routers of every group with the labels their counters carry. Two groups may each have an instance `wan`: then,
 *  and only then, the label says `GROUP/INSTANCE`, so that no series appears twice. */
function labelledRouters({ groups }: Status): { labels: Labels; counters: RouterCounters }[] {
  const names = groups.flatMap((group) => group.instances.map(({ name }) => name));
  return groups.flatMap((group) =>
    group.instances.flatMap(({ name, routers }) => {
      const isShared = names.indexOf(name) !== names.lastIndexOf(name);
      const instance = isShared ? `${group.name}/${name}` : name;
      return routers.map(({ family, counters }) => ({ labels: { instance, family }, counters }));
    }),
  );
}

type RouterCounters = Status['groups'][number]['instances'][number]['routers'][number]['counters'];

function histogramSamples({ buckets, sum, count }: LatenessHistogram, labels: Labels): Sample[] {
  return [
    ...buckets.map((bucket) => ({
      suffix: '_bucket',
      labels: { ...labels, le: String(bucket.le) },
      value: bucket.count,
    })),
    { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: count },
    { suffix: '_sum', labels, value: sum },
    { suffix: '_count', labels, value: count },
  ];
}

/** Everything about this daemon in the Prometheus text format 0.0.4. */
export function renderMetrics({ status, transitions, lateness, hooks }: MetricsInput): string {
  const routers = labelledRouters(status);
  return [
    metric('havrrp_build_info', 'gauge', 'Always 1; the version is in the label.', [
      { labels: { version: status.version }, value: 1 },
    ]),
    metric(
      'havrrp_group_state',
      'gauge',
      '1 for the state the group is in, 0 for the others.',
      status.groups.flatMap(({ name, state }) =>
        groupStates.map((each) => ({
          labels: { group: name, state: each },
          value: state === each ? 1 : 0,
        })),
      ),
    ),
    metric(
      'havrrp_group_demotion',
      'gauge',
      'Sum of what trackers and the operator take off the priority.',
      status.groups.map(({ name, demotion }) => ({ labels: { group: name }, value: demotion })),
    ),
    metric(
      'havrrp_transitions_total',
      'counter',
      'Transitions of the group into this state.',
      transitions.map(({ group, to, count }) => ({ labels: { group, to }, value: count })),
    ),
    metric(
      'havrrp_advertisements_sent_total',
      'counter',
      'Advertisements sent.',
      routers.map(({ labels, counters }) => ({ labels, value: counters.sent })),
    ),
    metric(
      'havrrp_advertisements_received_total',
      'counter',
      'Advertisements received, those discarded among them.',
      routers.map(({ labels, counters }) => ({ labels, value: counters.received })),
    ),
    metric(
      'havrrp_advertisements_discarded_total',
      'counter',
      'Advertisements discarded, by reason.',
      routers.flatMap(({ labels, counters }) =>
        Object.entries(counters.discarded).map(([reason, value]) => ({
          labels: { ...labels, reason },
          value,
        })),
      ),
    ),
    metric(
      'havrrp_loop_lateness_seconds',
      'histogram',
      'How late the event loop came to its deadlines.',
      histogramSamples(lateness, {}),
    ),
    metric(
      'havrrp_hook_duration_seconds',
      'histogram',
      'How long hooks ran.',
      hooks.flatMap(({ group, hook, histogram }) => histogramSamples(histogram, { group, hook })),
    ),
  ].join('');
}
