import t, { type Test } from 'tap';
import type { FailoverGroup } from '../../src/daemon/failover-group.ts';
import { CounterTable, countDiscard } from '../../src/daemon/counters.ts';
import { contribution } from '../../src/daemon/operator-demotions.ts';
import { type StatusSources, groupStatus } from '../../src/daemon/status.ts';
import { Kernel } from '../../src/net/kernel.ts';
import type { Advertisement } from '../../src/protocol/vrrp-packet.ts';
import { groupConfig, lan, native, openGroup } from './parts.ts';

const advertisement: Advertisement = {
  vrid: 61,
  priority: 150,
  intervalMs: 1000,
  addresses: ['192.0.2.61'],
};

async function openSources(t: Test): Promise<StatusSources> {
  const kernel = await Kernel.open({
    native,
    onChange: () => undefined,
    onRestored: () => undefined,
    onTrouble: () => undefined,
  });
  t.teardown(() => kernel.close());
  return {
    kernel,
    counters: new CounterTable(),
    now: native.now(),
    faultsOf: () => [],
    unexamined: () => 0,
    operatorDemotion: () => undefined,
    companions: () => ({ trackers: [], hooks: [] }),
  };
}

function hear(group: FailoverGroup, at: number): void {
  group.step({
    type: 'advertisement-received',
    id: 'lan/ipv4',
    advertisement,
    source: '192.0.2.2',
    arrivedAt: at,
  });
}

t.test('a backup shows whom it hears', async (t) => {
  const sources = await openSources(t);
  const { group } = openGroup(t, groupConfig(lan));
  group.step({ type: 'startup', resume: false });
  hear(group, sources.now - 12);
  sources.counters.of('edge', 'lan/ipv4').received = 3;
  countDiscard(sources.counters.of('edge', 'lan/ipv4'), 'bad_checksum');
  const status = groupStatus(group, { ...sources, unexamined: ({ family }) => (family === 'ipv4' ? 40 : 0) });
  t.match(status, {
    name: 'edge',
    state: 'backup',
    since: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    reason: 'startup',
    reason_text: 'started, listening for a master',
    demotion: 0,
    demotions: [],
    transitions: 1,
    handing_over: false,
    alarms: [],
  });
  t.equal(status.instances.length, 1, 'one instance');
  const { routers, ...instance } = status.instances[0] ?? { routers: [] };
  t.strictSame(instance, {
    name: 'lan',
    interface: 'lan',
    vrid: 61,
    protocol: 'vrrp3',
    interval_ms: 1000,
  });
  t.strictSame(routers, [
    {
      family: 'ipv4',
      state: 'backup',
      priority: 100,
      effective_priority: 100,
      source: '192.0.2.1',
      faults: [],
      master: { address: '192.0.2.2', priority: 150, last_heard_ms: 12 },
      checksum: { sent: 'rfc9568', heard: null },
      addresses: [{ address: '192.0.2.61/24', interface: 'lan', present: false }],
      counters: { sent: 0, received: 43, discarded: { bad_checksum: 1, unexamined: 40 } },
    },
    {
      family: 'ipv6',
      state: 'backup',
      priority: 100,
      effective_priority: 100,
      source: 'fe80::1',
      faults: [],
      master: null,
      checksum: null,
      addresses: [
        { address: 'fe80::200:5eff:fe00:23d/64', interface: 'lan', present: false },
        { address: '2001:db8:1::61/64', interface: 'lan', present: false },
      ],
      counters: { sent: 0, received: 0, discarded: {} },
    },
  ]);
});

t.test('a master shows itself, also while it hands over', async (t) => {
  const sources = await openSources(t);
  const { group } = openGroup(t, groupConfig(lan));
  group.step({ type: 'startup', resume: true });
  const master = { address: '192.0.2.1', priority: 100, last_heard_ms: 0 };
  t.match(groupStatus(group, sources), { state: 'master', reason: 'resumed', handing_over: false });
  t.match(groupStatus(group, sources).instances[0]?.routers[0], { state: 'master', master });

  const demotion = { hard: false, until: 1_800_000_000_000, persistent: true };
  group.step({ type: 'demotions-changed', demotions: [contribution(demotion)], handOver: true });
  const leaving = groupStatus(group, { ...sources, operatorDemotion: () => demotion });
  t.match(leaving, { state: 'master', handing_over: true, demotion: 254 });
  t.strictSame(leaving.demotions, [
    { source: 'operator', value: 254, until: '2027-01-15T08:00:00.000Z', persistent: true },
  ]);
  t.match(leaving.instances[0]?.routers[0], { state: 'master', priority: 100, effective_priority: 1 });
});

t.test('a group in fault says why, router by router', async (t) => {
  const sources = await openSources(t);
  const { group } = openGroup(t, groupConfig(lan));
  group.step({ type: 'startup', resume: false });
  const fault = { code: 'link_down', text: 'lan has no carrier' };
  group.step({ type: 'facts-changed', faults: [fault], sources: new Map([['lan/ipv4', undefined]]) });
  const faultsOf: StatusSources['faultsOf'] = ({ family }) => (family === 'ipv4' ? [fault] : []);
  const status = groupStatus(group, { ...sources, faultsOf });
  t.match(status, { state: 'fault', reason: 'link_down', reason_text: 'lan has no carrier' });
  const [ipv4, ipv6] = status.instances[0]?.routers ?? [];
  t.match(ipv4, { state: 'fault', source: null, faults: [fault], master: null });
  t.strictSame([ipv6?.state, ipv6?.faults], ['fault', []], 'the other one is well, but moves with its group');
});

t.test('before it was started a group is in init', async (t) => {
  const { group } = openGroup(t, groupConfig(lan));
  const status = groupStatus(group, await openSources(t));
  t.match(status, { state: 'init', transitions: 0 });
  t.equal(status.instances[0]?.routers[0]?.state, 'init');
});
