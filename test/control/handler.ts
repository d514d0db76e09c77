import type { ControlHandler, Status, TransitionEvent } from '../../src/control/messages.ts';
import { ControlError } from '../../src/errors.ts';

/** A node with two groups, as the daemon would report it. */
export const sampleStatus: Status = {
  node: 'fw1',
  version: '0.1.0',
  pid: 4711,
  started_at: '2026-11-20T11:16:11.000Z',
  config_file: '/etc/havrrp/havrrp.yaml',
  loop_lateness_ms: { p50: 0.1, p99: 0.6, max: 2.1 },
  peers: [],
  groups: [
    {
      name: 'edge',
      state: 'master',
      since: '2026-11-20T13:30:00.000Z',
      reason: 'master_down_timer',
      reason_text: 'fw2 (192.0.2.2) stopped advertising: 361 ms of silence',
      demotion: 0,
      demotions: [],
      transitions: 1,
      handing_over: false,
      alarms: [],
      routing: [],
      trackers: [],
      hooks: [],
      instances: [
        {
          name: 'wan',
          interface: 'eth0',
          vrid: 61,
          protocol: 'vrrp3',
          interval_ms: 1000,
          routers: [
            {
              family: 'ipv4',
              state: 'master',
              priority: 150,
              effective_priority: 150,
              source: '192.0.2.1',
              faults: [],
              master: { address: '192.0.2.1', priority: 150, last_heard_ms: 0 },
              checksum: { sent: 'rfc9568', heard: null },
              addresses: [{ address: '203.0.113.1/24', interface: 'eth0', present: true }],
              counters: { sent: 8050, received: 12, discarded: { bad_checksum: 3, ttl_not_255: 1 } },
            },
            {
              family: 'ipv6',
              state: 'master',
              priority: 150,
              effective_priority: 150,
              source: 'fe80::5054:ff:fe12:3456',
              faults: [],
              master: { address: 'fe80::5054:ff:fe12:3456', priority: 150, last_heard_ms: 0 },
              checksum: null,
              addresses: [
                { address: 'fe80::200:5eff:fe00:23d/64', interface: 'eth0', present: true },
                { address: '2001:db8:15:7::100/64', interface: 'eth0', present: false },
                { address: '2001:db8:15:8::1/64', interface: 'dmz0', present: true },
              ],
              counters: { sent: 8050, received: 0, discarded: {} },
            },
          ],
        },
      ],
    },
    {
      name: 'dmz',
      state: 'fault',
      since: '2026-11-20T11:16:11.500Z',
      reason: 'link_down',
      reason_text: 'eth2 has no carrier',
      demotion: 254,
      demotions: [
        { source: 'operator', value: 254, until: '2026-11-20T14:00:00.000Z', persistent: true },
        { source: 'uplink', value: 0 },
      ],
      transitions: 4,
      handing_over: false,
      alarms: ['10.9.0.9 advertises VRID 7 with an interval of 3 s, ours is 1 s'],
      routing: [],
      trackers: [],
      hooks: [],
      instances: [
        {
          name: 'dmz',
          interface: 'eth2',
          vrid: 7,
          protocol: 'vrrp3',
          interval_ms: 1000,
          routers: [
            {
              family: 'ipv4',
              state: 'fault',
              priority: 100,
              effective_priority: 1,
              source: null,
              faults: [{ code: 'link_down', text: 'eth2 has no carrier' }],
              master: { address: '10.9.0.2', priority: 200, last_heard_ms: 361 },
              checksum: { sent: 'rfc9568', heard: 'rfc9568' },
              addresses: [{ address: '10.9.0.1/24', interface: 'eth2', present: false }],
              counters: { sent: 0, received: 99, discarded: {} },
            },
          ],
        },
      ],
    },
  ],
};

export function transition(sequence: number, text: string = 'eth0 has its carrier back'): TransitionEvent {
  const at = new Date(Date.UTC(2026, 10, 20, 13, 30, sequence)).toISOString();
  return { sequence, at, group: 'edge', type: 'transition', from: 'backup', to: 'master', reason: 'x', text };
}

export interface TestHandler extends ControlHandler {
  /** The calls that would have changed something, in words. */
  readonly calls: string[];
  /** Tells every follower. */
  emit(event: TransitionEvent): void;
  followers(): number;
}

/** A handler of plain data: what the daemon is to the server. `overrides` replaces single answers. */
export function testHandler(overrides: Partial<ControlHandler> = {}): TestHandler {
  const calls: string[] = [];
  const past: TransitionEvent[] = [transition(1, 'started'), transition(2)];
  const followers = new Set<(event: TransitionEvent) => void>();
  function known(group: string): void {
    if (sampleStatus.groups.some(({ name }) => name === group)) return;
    throw new ControlError('no_such_group', { what: `there is no group ${JSON.stringify(group)}` });
  }
  return {
    calls,
    emit(event) {
      past.push(event);
      for (const tell of followers) tell(event);
    },
    followers: () => followers.size,
    status: () => sampleStatus,
    events: () => past,
    follow(onEvent) {
      followers.add(onEvent);
      return () => followers.delete(onEvent);
    },
    async demote(group, request) {
      known(group);
      calls.push(`demote ${group} ${JSON.stringify(request)}`);
      if (group === 'dmz') {
        const text = 'nobody took over dmz: this node is still master';
        return { group, state: 'master', outcome: 'nobody_took_over', text };
      }
      const text = 'edge was handed over: this node is backup';
      return { group, state: 'backup', outcome: 'handed_over', text };
    },
    async promote(group) {
      known(group);
      calls.push(`promote ${group}`);
      return { group, state: 'backup', text: `${group} takes part with its own priority again` };
    },
    reload() {
      calls.push('reload');
      return Promise.resolve({ changes: ['group edge: interval 1 s -> 100 ms'] });
    },
    metrics: () => '# TYPE havrrp_build_info gauge\nhavrrp_build_info{version="0.1.0"} 1\n',
    ...overrides,
  };
}
