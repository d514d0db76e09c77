import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { RouterEvent, State, VirtualRouter } from '../../src/protocol/machine.ts';
import {
  handoverLimitMs,
  masterDownIntervalMs,
  ownPriority,
  skewTimeMs,
  step,
} from '../../src/protocol/vrrp-machine.ts';
import { holds } from './holds.ts';
import {
  deadline,
  did,
  downMs,
  dueAt,
  heard,
  higherAddress,
  inBackup,
  inInit,
  inLeaving,
  inMaster,
  lowerAddress,
  ourAddress,
  play,
  settings,
  skewMs,
} from './samples.ts';

/** The branches that RFC 9568 has are in conformance-*.ts by id. Here is what havrrp adds to it, and the whole table of states and
 *  events at a glance. */

const shutdown: RouterEvent = { type: 'shutdown', reason: { code: 'shutdown' } };
const resign: RouterEvent = {
  type: 'resign',
  reason: { code: 'higher_priority', master: higherAddress, priority: 200, ownPriority: 100 },
};
const overslept: RouterEvent = { type: 'overslept', lateMs: 5000 };
const leave = (then: 'backup' | 'init'): RouterEvent => ({ type: 'leave', then });
const startup = (resume: boolean): RouterEvent => ({ type: 'startup', resume });

const init: State = { name: 'init' };
const backupUntil = (masterDownAt: number, masterIntervalMs = 1000): State => ({
  name: 'backup',
  masterIntervalMs,
  masterDownAt,
});
const masterUntil = (advertiseAt: number): State => ({ name: 'master', advertiseAt });
const leavingUntil = (releaseAt: number, then: 'backup' | 'init'): State => ({
  name: 'leaving',
  releaseAt,
  then,
});

/** Priority 1's Active_Down_Interval at one second: how long a leaving master waits. */
const limitMs = 3996.09375;
const listenMs = 1000 + skewMs;
const becoming = ['send-advertisement 100', 'claim-addresses', 'announce-addresses'];

/** Each begins in its state since 0 ms and meets the event at 500 ms, or when its deadline is due. */
const table: readonly (readonly [
  VirtualRouter,
  RouterEvent,
  at: number,
  State,
  actions: readonly string[],
])[] = [
  [inInit(), startup(false), 500, backupUntil(500 + downMs), ['report-transition startup']],
  [inInit(), startup(true), 500, masterUntil(1500), [...becoming, 'report-transition resumed']],
  [inInit(), shutdown, 500, init, []],
  [inInit(), leave('init'), 500, init, []],
  [inInit(), resign, 500, init, []],
  [inInit(), deadline, 500, init, []],
  [inInit(), overslept, 500, init, []],
  [inInit(), heard(200, { arrivedAt: 500 }), 500, init, []],

  [inBackup(), startup(true), 500, backupUntil(downMs), []],
  [inBackup(), shutdown, 500, init, ['report-transition shutdown']],
  [inBackup(), leave('init'), 500, backupUntil(downMs), []],
  [inBackup(), resign, 500, backupUntil(downMs), []],
  [inBackup(), deadline, 500, backupUntil(downMs), []],
  [
    inBackup(),
    deadline,
    downMs,
    masterUntil(downMs + 1000),
    [...becoming, 'report-transition master_down_timer'],
  ],
  [inBackup(), overslept, 9000, backupUntil(9000 + listenMs), []],
  [inBackup(), heard(200, { arrivedAt: 500 }), 500, backupUntil(500 + downMs), []],
  [inBackup(), heard(50, { arrivedAt: 500 }), 500, backupUntil(downMs), []],
  [inBackup(), heard(0, { arrivedAt: 500 }), 500, backupUntil(500 + skewMs), []],

  [inMaster(), startup(false), 500, masterUntil(1000), []],
  [
    inMaster(),
    shutdown,
    500,
    init,
    ['send-advertisement 0', 'release-addresses', 'report-transition shutdown'],
  ],
  [inMaster(), leave('backup'), 500, leavingUntil(500 + limitMs, 'backup'), ['send-advertisement 0']],
  [inMaster(), leave('init'), 500, leavingUntil(500 + limitMs, 'init'), ['send-advertisement 0']],
  [inMaster(), deadline, 500, masterUntil(1000), []],
  [inMaster(), deadline, 1000.3, masterUntil(2000), ['send-advertisement 100']],
  [
    inMaster(),
    overslept,
    9000,
    backupUntil(9000 + listenMs),
    ['release-addresses', 'report-transition late_loop'],
  ],
  [
    inMaster(),
    heard(200, { arrivedAt: 500 }),
    500,
    backupUntil(500 + downMs),
    ['send-advertisement 100', 'release-addresses', 'report-transition higher_priority'],
  ],
  [
    inMaster(),
    heard(100, { arrivedAt: 500, source: higherAddress }),
    500,
    backupUntil(500 + downMs),
    ['send-advertisement 100', 'release-addresses', 'report-transition higher_address'],
  ],
  [
    inMaster(),
    heard(100, { arrivedAt: 500, source: lowerAddress }),
    500,
    masterUntil(1000),
    ['send-advertisement 100', 'announce-addresses'],
  ],
  [
    inMaster(),
    heard(50, { arrivedAt: 500 }),
    500,
    masterUntil(1000),
    ['send-advertisement 100', 'announce-addresses'],
  ],
  [
    inMaster(),
    heard(0, { arrivedAt: 500 }),
    500,
    masterUntil(1500),
    ['send-advertisement 100', 'announce-addresses'],
  ],

  [inLeaving('backup'), startup(false), 500, leavingUntil(limitMs, 'backup'), []],
  [inLeaving('backup'), shutdown, 500, init, ['release-addresses', 'report-transition shutdown']],
  [inLeaving('backup'), leave('init'), 500, leavingUntil(limitMs, 'init'), []],
  [inLeaving('init'), leave('backup'), 500, leavingUntil(limitMs, 'backup'), []],
  [inLeaving('backup'), deadline, 500, leavingUntil(limitMs, 'backup'), []],
  [
    inLeaving('backup'),
    deadline,
    limitMs,
    masterUntil(limitMs + 1000),
    [...becoming, 'report-transition nobody_took_over'],
  ],
  [inLeaving('init'), deadline, limitMs, init, ['release-addresses', 'report-transition nobody_took_over']],
  [
    inLeaving('backup'),
    overslept,
    9000,
    backupUntil(9000 + listenMs),
    ['release-addresses', 'report-transition late_loop'],
  ],
  [inLeaving('init'), overslept, 9000, init, ['release-addresses', 'report-transition late_loop']],
  // The successor is whoever advertises, of whatever priority.
  [
    inLeaving('backup'),
    heard(50, { arrivedAt: 500 }),
    500,
    backupUntil(500 + downMs),
    ['release-addresses', 'report-transition handed_over'],
  ],
  [
    inLeaving('init'),
    heard(200, { arrivedAt: 500 }),
    500,
    init,
    ['release-addresses', 'report-transition handed_over'],
  ],
  [inLeaving('backup'), heard(0, { arrivedAt: 500 }), 500, leavingUntil(limitMs, 'backup'), []],
];

t.test('states and events', async (t) => {
  for (const [router, event, at, state, actions] of table) {
    const detail = event.type === 'advertisement-received' ? ` ${event.advertisement.priority}` : '';
    const name = `${router.state.name}, ${event.type}${detail} at ${at}`;
    const next = step(router, event, at);
    t.strictSame(next.router.state, state, `${name}: next state`);
    t.strictSame(did(next), actions, `${name}: actions`);
  }
});

t.test('a master that resigns waits as if it had just heard somebody', async (t) => {
  const resigned = step(inMaster(), resign, 500);
  t.strictSame(resigned.router.state, backupUntil(500 + downMs));
  t.equal(did(resigned).at(-1), 'report-transition higher_priority');
  const leaving = step(inLeaving('init'), resign, 500);
  t.strictSame(leaving.router.state, init, 'and a leaving one goes where it was going');
  t.strictSame(step(inLeaving('backup'), resign, 500).router.state, backupUntil(500 + downMs));
});

t.test('after oversleeping, an Advertisement from before does not cut the listening short', async (t) => {
  // Read at 14 s from a socket that was full since 9 s: what came later was dropped, so its age is no silence of the master's.
  const old = heard(200, { arrivedAt: 8400 });
  const { router } = play(inBackup(), [14_000, overslept], [14_000, old], [14_000, deadline]);
  t.strictSame(router.state, backupUntil(14_000 + listenMs));
  const fresh = heard(200, { arrivedAt: 13_900 });
  t.strictSame(
    step(router, fresh, 14_000).router.state,
    backupUntil(13_900 + downMs),
    'a fresh one counts as ever',
  );
});

t.test('a leaving master waits as long as the slowest successor needs to notice by silence', async (t) => {
  t.equal(handoverLimitMs(1000), limitMs);
  t.equal(handoverLimitMs(10), masterDownIntervalMs(1, 10));
});

t.test('a demoted router says and compares its effective priority', async (t) => {
  const demoted = step(inMaster(), { type: 'demotion-changed', demotion: 60 }, 500);
  t.strictSame(demoted.actions, [], 'nothing is said until the next Advertisement is due');
  t.equal(ownPriority(demoted.router), 40);
  t.strictSame(did(step(demoted.router, deadline, 1000)), ['send-advertisement 40']);
  t.equal(step(demoted.router, heard(50, { arrivedAt: 600 }), 600).router.state.name, 'backup');
});

t.test('a changed priority moves the running timer by the difference of the skews', async (t) => {
  const backup = step(inBackup(), heard(150, { arrivedAt: 500 }), 500).router;
  const demoted = step(backup, { type: 'demotion-changed', demotion: 50 }, 700).router;
  t.equal(dueAt(demoted), 500 + masterDownIntervalMs(50, 1000));
  t.equal(dueAt(step(demoted, { type: 'demotion-changed', demotion: 0 }, 900).router), 500 + downMs);
  const raised = { type: 'settings-changed', settings: { ...settings, priority: 200 } } as const;
  t.equal(dueAt(step(backup, raised, 700).router), 500 + masterDownIntervalMs(200, 1000));
  const left = step(backup, heard(0, { arrivedAt: 600 }), 600).router;
  t.equal(
    dueAt(step(left, { type: 'demotion-changed', demotion: 50 }, 700).router),
    600 + skewTimeMs(50, 1000),
  );
});

t.test('new settings are said, claimed and announced at once by a master, and by nobody else', async (t) => {
  const changed = {
    type: 'settings-changed',
    settings: { ...settings, priority: 120, intervalMs: 200, addresses: ['192.0.2.100', '192.0.2.101'] },
  } as const;
  const master = step(inMaster(), changed, 500);
  t.strictSame(did(master), ['send-advertisement 120', 'claim-addresses', 'announce-addresses']);
  t.strictSame(master.router.state, masterUntil(700));
  t.equal(master.router.settings, changed.settings);
  for (const router of [inInit(), inBackup(), inLeaving('backup')]) {
    const after = step(router, changed, 500);
    t.strictSame(after.actions, [], router.state.name);
    t.equal(after.router.settings, changed.settings);
  }
});

t.test('a changed source address breaks the next tie', async (t) => {
  const moved = step(inMaster(), { type: 'source-changed', primaryAddress: '192.0.2.9' }, 500);
  t.strictSame(moved.actions, []);
  t.equal(step(moved.router, heard(100, { source: higherAddress }), 600).router.state.name, 'master');
});

t.test('the reason of a takeover', async (t) => {
  const why = (router: VirtualRouter): unknown => {
    const { actions } = step(router, deadline, dueAt(router) ?? NaN);
    const transition = actions.find((action) => action.type === 'report-transition');
    return transition?.reason;
  };
  const alone = step(inInit(), startup(false), 0).router;
  t.strictSame(
    why(alone),
    { code: 'master_down_timer', master: undefined, silenceMs: downMs },
    'nobody was there',
  );
  const silent = step(inBackup(), heard(150, { arrivedAt: 500 }), 500).router;
  t.strictSame(
    why(silent),
    { code: 'master_down_timer', master: higherAddress, silenceMs: downMs },
    'the master fell silent',
  );
  const left = play(inBackup(), [500, heard(0, { arrivedAt: 500 })]).router;
  t.strictSame(why(left), { code: 'master_left', master: higherAddress }, 'the master left');
  const lesser = play(inBackup(), [3500, heard(50, { arrivedAt: 3500 })]).router;
  t.strictSame(
    why(lesser),
    { code: 'preempted', master: higherAddress, priority: 50, ownPriority: 100 },
    'the master was the lesser one',
  );
});

t.test('the reason of a takeover does not reach back beyond a restart', async (t) => {
  // Priority 0 was heard at 500 ms; the router was out of the election for an hour and has heard nobody since.
  const hour = 3_600_000;
  const { router } = play(
    inBackup(),
    [500, heard(0, { arrivedAt: 500 })],
    [600, shutdown],
    [hour, startup(false)],
  );
  const { actions } = step(router, deadline, hour + downMs);
  t.match(actions.at(-1), { reason: { code: 'master_down_timer' } });
});

const anyEvent: fc.Arbitrary<RouterEvent> = fc.oneof(
  fc.boolean().map(startup),
  fc.constant(shutdown),
  fc.constantFrom(leave('backup'), leave('init')),
  fc.constant(resign),
  fc.constant(deadline),
  fc.integer({ min: 1, max: 1e6 }).map((lateMs): RouterEvent => ({ type: 'overslept', lateMs })),
  fc
    .tuple(
      fc.nat(255),
      fc.integer({ min: 1, max: 4095 }),
      fc.constantFrom(lowerAddress, ourAddress, higherAddress),
    )
    .map(([priority, centiseconds, source]) => heard(priority, { source, intervalMs: centiseconds * 10 })),
  fc.nat(300).map((demotion): RouterEvent => ({ type: 'demotion-changed', demotion })),
  fc
    .record({ priority: fc.integer({ min: 1, max: 255 }), preempt: fc.boolean() })
    .map((changes): RouterEvent => ({ type: 'settings-changed', settings: { ...settings, ...changes } })),
);

t.test('properties', async (t) => {
  const story = fc.array(fc.tuple(fc.integer({ min: 0, max: 5000 }), anyEvent), { maxLength: 60 });
  holds(
    t,
    'whatever happens: deadlines are finite, addresses are held exactly while serving, priority 0 only on leaving',
    fc.property(story, (events) => {
      let router = inInit();
      let now = 0;
      let holding = false;
      for (const [pause, event] of events) {
        now += pause;
        // Packets are read as they arrive.
        const stamped = event.type === 'advertisement-received' ? { ...event, arrivedAt: now } : event;
        const before = router.state;
        const next = step(router, stamped, now);
        ({ router } = next);
        const due = dueAt(router);
        assert.ok(due === undefined ? router.state.name === 'init' : Number.isFinite(due));
        if (event.type === 'deadline-reached')
          assert.ok(due === undefined || due > now, 'a served deadline is over');
        for (const action of next.actions) {
          if (action.type === 'claim-addresses') holding = true;
          if (action.type === 'release-addresses') {
            assert.ok(holding, 'only what is held is released');
            holding = false;
          }
          if (action.type === 'announce-addresses') assert.ok(holding, 'only what is held is announced');
          if (action.type !== 'send-advertisement') continue;
          assert.ok(before.name === 'master' || router.state.name === 'master', 'only masters speak');
          if (action.priority === 0) assert.ok(['init', 'leaving'].includes(router.state.name));
          else assert.ok(action.priority >= 1 && action.priority <= 255);
        }
        assert.equal(holding, router.state.name === 'master' || router.state.name === 'leaving');
      }
    }),
    500,
  );
  holds(
    t,
    'the higher the priority, the sooner it takes over; all within one interval',
    fc.property(
      fc.integer({ min: 1, max: 254 }),
      fc.integer({ min: 1, max: 4095 }),
      (priority, centiseconds) => {
        const intervalMs = centiseconds * 10;
        const skew = skewTimeMs(priority, intervalMs);
        assert.ok(skew > 0 && skew < intervalMs);
        assert.ok(skewTimeMs(priority + 1, intervalMs) < skew);
        assert.ok(masterDownIntervalMs(priority, intervalMs) < 4 * intervalMs);
      },
    ),
  );
});
