import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { groupState } from '../../src/protocol/group.ts';
import { holds } from '../protocol/holds.ts';
import { VirtualLan } from './virtual-lan.ts';
import type { GroupPlan, VirtualNode } from './virtual-node.ts';

/** Whatever happens to a LAN of two or three nodes: nothing throws, the members of a group are one, deadlines are served, and
 *  once the LAN is whole and quiet there is one master, the best. What is checked after every instant is in `virtual-lan.ts`,
 *  `virtual-node.ts` and `service.ts`. */

type Act = (lan: VirtualLan, node: VirtualNode) => void;

const segments = ['wan', 'lan'] as const;
const group = 'edge';

/** For nodes that run and are not frozen: a daemon that is stopped takes no orders. */
function whileAwake(act: Act): Act {
  return (lan, node) => {
    if (node.isUp && !node.frozen) act(lan, node);
  };
}

function planOf(node: VirtualNode): GroupPlan {
  const [plan] = node.plans;
  assert(plan !== undefined);
  return plan;
}

function fault(segment: string): { code: string; text: string } {
  return { code: 'link_down', text: `${segment} has no carrier` };
}

const acts: Readonly<Record<string, Act>> = {
  start: (_, node) => {
    if (!node.isUp) node.start(false);
  },
  crash: (_, node) => {
    node.crash();
  },
  kill: (_, node) => {
    node.kill();
  },
  resume: (_, node) => {
    if (!node.isUp) node.start(node.held.size > 0);
  },
  freeze: (_, node) => {
    if (node.isUp) node.freeze();
  },
  thaw: (_, node) => {
    if (node.frozen) node.thaw();
  },
  stop: whileAwake((_, node) => {
    node.stop(group, true, { code: 'shutdown' });
  }),
  stopAtOnce: whileAwake((_, node) => {
    node.stop(group, false, { code: 'shutdown' });
  }),
  demote: whileAwake((_, node) => {
    node.setDemotion(group, 'operator', { value: 254, hard: false });
  }),
  demoteHard: whileAwake((_, node) => {
    node.setDemotion(group, 'operator', { value: 254, hard: true });
  }),
  promote: whileAwake((_, node) => {
    node.setDemotion(group, 'operator', undefined);
  }),
  track: whileAwake((_, node) => {
    node.setDemotion(group, 'ping', { value: 60, hard: false });
  }),
  trackNoMore: whileAwake((_, node) => {
    node.setDemotion(group, 'ping', undefined);
  }),
  fail: whileAwake((lan, node) => {
    lan.cut(node, 'wan', 'in', 'out');
    node.setFault(group, 'wan', fault('wan'));
  }),
  mend: whileAwake((lan, node) => {
    lan.heal(node, 'wan');
    node.setFault(group, 'wan', undefined);
  }),
  cutWan: (lan, node) => {
    lan.cut(node, 'wan', 'in', 'out');
  },
  cutBoth: (lan, node) => {
    for (const segment of segments) lan.cut(node, segment, 'in', 'out');
  },
  deafOnLan: (lan, node) => {
    lan.cut(node, 'lan', 'in');
  },
  muteOnLan: (lan, node) => {
    lan.cut(node, 'lan', 'out');
  },
  heal: (lan, node) => {
    for (const segment of segments) lan.heal(node, segment);
  },
  loseSome: (lan, node) => {
    for (const segment of segments) lan.loseNext(2, node, segment);
  },
  lossyWire: (lan) => {
    lan.loss = 0.3;
  },
  addMember: whileAwake((_, node) => {
    node.reload({ ...planOf(node), links: linksOn('wan', 'lan', 'dmz') });
  }),
  removeMember: whileAwake((_, node) => {
    node.reload({ ...planOf(node), links: linksOn('lan') });
  }),
  lowerPriority: whileAwake((_, node) => {
    node.reload({ ...planOf(node), priority: 30 });
  }),
};

function linksOn(...names: readonly string[]): GroupPlan['links'] {
  return names.map((segment) => ({ segment, family: 'ipv4' }));
}

interface Story {
  readonly nodes: readonly { priority: number; intervalMs: number }[];
  readonly preempt: boolean;
  readonly timerLateMs: number;
  readonly events: readonly { node: number; act: string; thenMs: number }[];
}

const stories: fc.Arbitrary<Story> = fc.record({
  nodes: fc.array(
    fc.record({
      priority: fc.constantFrom(50, 100, 100, 150, 254, 255),
      intervalMs: fc.constantFrom(1000, 1000, 1000, 200, 3000),
    }),
    { minLength: 2, maxLength: 3 },
  ),
  preempt: fc.boolean(),
  timerLateMs: fc.constantFrom(0, 0.3, 5),
  events: fc.array(
    fc.record({
      node: fc.nat(2),
      act: fc.constantFrom(...Object.keys(acts)),
      thenMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 15000 })),
    }),
    { maxLength: 40 },
  ),
});

/** Everything is mended, everybody runs with the plan of the beginning, nobody is demoted. */
function makeWhole(lan: VirtualLan, plans: ReadonlyMap<VirtualNode, GroupPlan>): void {
  lan.healAll();
  for (const [node, plan] of plans) {
    if (node.frozen) node.thaw();
    node.plan(plan);
    if (node.isUp) {
      node.setFault(group, 'wan', undefined);
      node.setDemotion(group, 'operator', undefined);
      node.setDemotion(group, 'ping', undefined);
      node.reload(plan);
    } else node.start(false);
  }
}

function live({ nodes, preempt, timerLateMs, events }: Story): void {
  const lan = new VirtualLan(
    () => undefined,
    () => undefined,
  );
  lan.timerLateMs = timerLateMs;
  // Partitions and frozen masters make two; what matters is how it ends.
  lan.service.overlapLimitMs = Infinity;
  const plans = new Map(
    nodes.map(({ priority, intervalMs }, index): [VirtualNode, GroupPlan] => {
      const plan = { name: group, priority, preempt, intervalMs, links: linksOn('wan', 'lan') };
      const node = lan.addNode(`fw${index + 1}`);
      node.plan(plan);
      node.start(false);
      return [node, plan];
    }),
  );
  const everybody = [...plans.keys()];
  for (const { node, act, thenMs } of events) {
    const who = everybody[node % everybody.length];
    assert(who !== undefined);
    acts[act]?.(lan, who);
    lan.settle();
    lan.run(lan.now() + thenMs);
  }
  makeWhole(lan, plans);
  const downMs = 4 * Math.max(...nodes.map(({ intervalMs }) => intervalMs));
  lan.run(lan.now() + 5 * downMs);
  // A node that was stopping when everything was mended has gone meanwhile.
  for (const node of everybody) if (!node.isUp) node.start(false);
  lan.run(lan.now() + 5 * downMs);

  const masters = everybody.filter((node) =>
    [...node.groups.values()].some((each) => groupState(each) === 'master'),
  );
  assert.equal(masters.length, 1, `masters: ${masters.map(({ name }) => name).join(', ') || 'none'}`);
  const [master] = masters;
  assert(master !== undefined);
  assert(!master.isHandingOver(group), 'nothing is left undone');
  assert.deepEqual(
    everybody.filter(({ held }) => held.size > 0),
    [master],
    'who holds addresses is master',
  );
  const best = Math.max(...nodes.map(({ priority }) => priority));
  if (preempt) assert.equal(planOf(master).priority, best, 'the best is master');
}

t.test('properties', async (t) => {
  holds(t, 'whatever happened, one master when it is over', fc.property(stories, live), 150);
});
