import assert from 'node:assert/strict';
import { createGroup, groupDeadline, groupState, stepGroup } from '../../src/protocol/group.ts';
import type { RouterEvent } from '../../src/protocol/machine.ts';
import { masterDownIntervalMs, skewTimeMs, step } from '../../src/protocol/vrrp-machine.ts';
import type { ConformanceRow } from './conformance-row.ts';
import {
  assertUnmoved,
  dueAt,
  deadline,
  did,
  downMs,
  heard,
  inBackup,
  inInit,
  inMaster,
  lowerAddress,
  ourAddress,
  play,
  settings,
  skewMs,
} from './samples.ts';

/** Reference 1.3 to 1.5: parameters and timers, and the state machine up to Backup. */

const startup: RouterEvent = { type: 'startup', resume: false };
const shutdown: RouterEvent = { type: 'shutdown', reason: { code: 'shutdown' } };

export const backupRows: readonly ConformanceRow[] = [
  {
    id: 'V3-30',
    section: '6.1',
    level: 'def',
    requirement: 'the owner always preempts whatever Preempt_Mode says',
    passes: {
      name: 'an owner in Backup does not let 254 hold it back',
      check: () => {
        // It met a second owner, of the higher address.
        const owner = step(inMaster({ priority: 255, preempt: false }), heard(255), 0).router;
        assert.equal(owner.state.name, 'backup');
        assertUnmoved(owner, heard(254, { arrivedAt: 500 }), 500);
      },
    },
    refuses: {
      name: 'anybody else with preemption off waits for a lesser master',
      check: () => {
        const after = step(inBackup({ preempt: false }), heard(1, { arrivedAt: 500 }), 500).router;
        assert.equal(dueAt(after), 500 + downMs);
      },
    },
  },
  {
    id: 'V3-31',
    section: '6.1',
    level: 'def',
    requirement:
      'Active_Adver_Interval = last interval learned from the AR, initially own Advertisement_Interval',
    passes: {
      name: "own interval first, the master's once it is heard",
      check: () => {
        const started = step(inInit({ intervalMs: 250 }), startup, 0).router;
        assert.deepEqual(started.state, {
          name: 'backup',
          masterIntervalMs: 250,
          masterDownAt: masterDownIntervalMs(100, 250),
        });
        const learned = step(started, heard(150, { intervalMs: 3000, arrivedAt: 100 }), 100).router;
        assert.deepEqual(learned.state, {
          name: 'backup',
          masterIntervalMs: 3000,
          masterDownAt: 100 + masterDownIntervalMs(100, 3000),
        });
      },
    },
    refuses: {
      name: 'not from a lesser master that will be preempted, nor from priority 0',
      check: () => {
        for (const priority of [50, 0]) {
          const { state } = step(inBackup(), heard(priority, { intervalMs: 3000 }), 0).router;
          assert.equal(state.name === 'backup' && state.masterIntervalMs, 1000, `priority ${priority}`);
        }
      },
    },
  },
  {
    id: 'V3-32',
    section: '6.1',
    level: 'def',
    requirement: 'Skew_Time = ((256 - Priority) * Active_Adver_Interval) / 256 centiseconds',
    passes: {
      name: 'values worked out by hand',
      check: () => {
        assert.equal(skewTimeMs(100, 1000), 609.375);
        assert.equal(skewTimeMs(254, 1000), 7.8125);
        assert.equal(skewTimeMs(255, 1000), 3.90625);
        assert.equal(skewTimeMs(1, 1000), 996.09375);
        assert.equal(skewTimeMs(100, 3000), 1828.125);
        assert.equal(skewTimeMs(254, 10), 0.078125);
      },
    },
    refuses: {
      name: 'a demoted router is slower: its effective priority counts',
      check: () => {
        const after = step(inBackup({ priority: 100 }, 50), heard(0, { arrivedAt: 500 }), 500).router;
        assert.equal(dueAt(after), 500 + skewTimeMs(50, 1000));
      },
    },
  },
  {
    id: 'V3-33',
    section: '6.1',
    level: 'def',
    requirement: 'Active_Down_Interval = 3 * Active_Adver_Interval + Skew_Time',
    passes: {
      name: "the master's silence is noticed 3609.375 ms after its last Advertisement",
      check: () => {
        assert.equal(masterDownIntervalMs(100, 1000), 3609.375);
        assert.equal(masterDownIntervalMs(200, 1000), 3218.75);
        const backup = step(inBackup(), heard(150, { arrivedAt: 700 }), 700.2).router;
        assert.equal(dueAt(backup), 700 + downMs);
        assert.equal(step(backup, deadline, 700 + downMs).router.state.name, 'master');
      },
    },
    refuses: {
      name: 'not a moment earlier',
      check: () => assertUnmoved(inBackup(), deadline, downMs - 0.001),
    },
  },
  {
    id: 'V3-36',
    section: '6.4.1',
    level: 'def',
    requirement:
      'in Initialize: no adverts, no ARP/ND answers, wait for Startup (Startup = admin up AND interface usable AND source address present)',
    passes: {
      name: 'a group with a fault waits, and starts when the fault is gone',
      check: () => {
        const fault = { code: 'link_down', text: 'eth0 has no carrier' };
        const sources = new Map([['wan', ourAddress]]);
        let group = createGroup([{ id: 'wan', settings, primaryAddress: undefined }]);
        group = stepGroup(group, { type: 'facts-changed', faults: [fault], sources: new Map() }, 0).group;
        group = stepGroup(group, { type: 'startup', resume: false }, 0).group;
        assert.equal(groupState(group), 'fault');
        assert.equal(groupDeadline(group), undefined);
        group = stepGroup(group, { type: 'facts-changed', faults: [], sources }, 9000).group;
        assert.equal(groupState(group), 'backup');
        assert.equal(groupDeadline(group), 9000 + downMs);
      },
    },
    refuses: {
      name: 'nothing but Startup moves it',
      check: () => {
        const events: readonly RouterEvent[] = [
          deadline,
          heard(0),
          heard(1),
          heard(255),
          shutdown,
          { type: 'leave', then: 'backup' },
          { type: 'resign', reason: { code: 'shutdown' } },
          { type: 'overslept', lateMs: 9000 },
          { type: 'demotion-changed', demotion: 0 },
          { type: 'settings-changed', settings },
          { type: 'source-changed', primaryAddress: ourAddress },
        ];
        for (const event of events) assertUnmoved(inInit({ priority: 255 }), event, 9000);
        assert.equal(dueAt(inInit()), undefined);
      },
    },
  },
  {
    id: 'V3-37',
    section: '6.4.1 (erratum 7947)',
    level: 'def',
    requirement:
      'Startup, priority 255: send ADVERT; IPv4: broadcast gratuitous ARP per address (sender IP = target IP = VIP, link-layer address = vMAC); IPv6: per address unsolicited NA R=1 S=0 O=1 target = VIP, TLLA = vMAC; Adver_Timer = Advertisement_Interval; -> Active',
    passes: {
      name: 'advertises, claims, announces: in this order, and again one interval later',
      check: () => {
        const started = step(inInit({ priority: 255, intervalMs: 250 }), startup, 40);
        assert.deepEqual(did(started), [
          'send-advertisement 255',
          'claim-addresses',
          'announce-addresses',
          'report-transition address_owner',
        ]);
        assert.deepEqual(started.router.state, { name: 'master', advertiseAt: 290 });
      },
    },
  },
  {
    id: 'V3-38',
    section: '6.4.1',
    level: 'def',
    requirement:
      'Startup, priority < 255: Active_Adver_Interval = Advertisement_Interval; Active_Down_Timer = Active_Down_Interval; -> Backup',
    passes: {
      name: 'the first Advertisement comes at 3 intervals + skew after the start',
      check: () => {
        const started = step(inInit({ priority: 254 }), startup, 40);
        assert.deepEqual(did(started), ['report-transition startup']);
        assert.equal(dueAt(started.router), 40 + 3007.8125);
        assert.equal(did(step(started.router, deadline, 40 + 3007.8125))[0], 'send-advertisement 254');
      },
    },
    refuses: {
      name: 'not before',
      check: () => assertUnmoved(step(inInit({ priority: 254 }), startup, 40).router, deadline, 3047.8),
    },
  },
  {
    id: 'V3-44',
    section: '6.4.2',
    level: 'MUST',
    requirement: 'Shutdown: cancel timer, -> Initialize, send nothing (no priority 0 from a Backup)',
    passes: {
      name: 'goes without a word',
      check: () => {
        const stopped = step(inBackup(), shutdown, 500);
        assert.deepEqual(did(stopped), ['report-transition shutdown']);
        assert.equal(stopped.router.state.name, 'init');
        assert.equal(dueAt(stopped.router), undefined);
      },
    },
    refuses: {
      name: 'its timer does not fire any more',
      check: () => assertUnmoved(step(inBackup(), shutdown, 500).router, deadline, 9000),
    },
  },
  {
    id: 'V3-45',
    section: '6.4.2',
    level: 'MUST',
    requirement:
      'ADVERT prio>0 and (Preempt false OR prio >= local): Active_Adver_Interval := received Max Advertise Interval; recompute Skew and Down; restart timer',
    passes: {
      name: 'a master at 3 s: takeover 10.83 s after its last Advertisement',
      check: () => {
        const higher = step(inBackup(), heard(150, { intervalMs: 3000, arrivedAt: 500 }), 500).router;
        assert.equal(dueAt(higher), 500 + 9000 + 1828.125);
        const equal = step(inBackup(), heard(100, { intervalMs: 3000, arrivedAt: 500 }), 500).router;
        assert.equal(dueAt(equal), 500 + 9000 + 1828.125);
        const lower = step(
          inBackup({ preempt: false }),
          heard(50, { intervalMs: 3000, arrivedAt: 500 }),
          500,
        ).router;
        assert.equal(dueAt(lower), 500 + 9000 + 1828.125);
      },
    },
    refuses: {
      name: 'and a shorter interval counts as well',
      check: () => {
        const slow = step(inBackup(), heard(150, { intervalMs: 3000, arrivedAt: 500 }), 500).router;
        const fast = step(slow, heard(150, { intervalMs: 100, arrivedAt: 600 }), 600).router;
        assert.equal(dueAt(fast), 600 + masterDownIntervalMs(100, 100));
      },
    },
  },
  {
    id: 'V3-46',
    section: '6.4.2',
    level: 'MUST',
    requirement: 'ADVERT prio 0: Active_Down_Timer := Skew_Time (from the learned interval)',
    passes: {
      name: 'takeover after Skew_Time, of the higher priority first',
      check: () => {
        for (const [priority, skew] of [
          [100, skewMs],
          [200, 218.75],
        ] as const) {
          const left = step(inBackup({ priority }), heard(0, { arrivedAt: 500 }), 500).router;
          assert.equal(dueAt(left), 500 + skew);
          assert.equal(step(left, deadline, 500 + skew).router.state.name, 'master');
        }
      },
    },
    refuses: {
      name: 'from the interval of the master, not from what the leaving one or we say',
      check: () => {
        const slow = step(inBackup(), heard(150, { intervalMs: 3000, arrivedAt: 100 }), 100).router;
        const left = step(slow, heard(0, { intervalMs: 50, arrivedAt: 500 }), 500).router;
        assert.equal(dueAt(left), 500 + 1828.125);
      },
    },
  },
  {
    id: 'V3-47',
    section: '6.4.2',
    level: 'MUST',
    requirement: 'ADVERT 0 < prio < local and Preempt true: discard; the running timer is NOT restarted',
    passes: {
      name: 'takes over at its original deadline although the lesser master keeps talking',
      check: () => {
        const talking = [1000, 2000, 3000].map((at) => [at, heard(50, { arrivedAt: at })] as const);
        const { router } = play(inBackup(), ...talking);
        assert.equal(dueAt(router), downMs);
        assert.equal(step(router, deadline, downMs).router.state.name, 'master');
      },
    },
    refuses: {
      name: 'with preemption off it is restarted each time',
      check: () => {
        const talking = [1000, 2000, 3000].map((at) => [at, heard(50, { arrivedAt: at })] as const);
        assert.equal(dueAt(play(inBackup({ preempt: false }), ...talking).router), 3000 + downMs);
      },
    },
  },
  {
    id: 'V3-48',
    section: '6.4.2 (erratum 7949)',
    level: 'MUST',
    requirement:
      'Active_Down_Timer fires: ADVERT; IPv4 GARP per VIP with vMAC / IPv6 join solicited-node group + unsolicited NA (R=1,S=0,O=1) per VIP; Adver_Timer := own Advertisement_Interval; -> Active',
    passes: {
      name: 'advertises, claims, announces: in this order',
      check: () => {
        assert.deepEqual(did(step(inBackup(), deadline, downMs)), [
          'send-advertisement 100',
          'claim-addresses',
          'announce-addresses',
          'report-transition master_down_timer',
        ]);
      },
    },
    refuses: {
      name: 'the next Advertisement follows our own interval, not the learned one',
      check: () => {
        const slow = step(inBackup(), heard(150, { intervalMs: 3000 }), 0).router;
        const at = 9000 + 1828.125;
        assert.deepEqual(step(slow, deadline, at).router.state, { name: 'master', advertiseAt: at + 1000 });
      },
    },
  },
  {
    id: 'V3-49',
    section: '6.4.2',
    level: 'def',
    requirement:
      'equal priority while Backup is accepted with no address comparison (tie-break exists only in Active)',
    passes: {
      name: 'a Backup with the higher address stays Backup',
      check: () => {
        const after = step(inBackup(), heard(100, { source: lowerAddress, arrivedAt: 500 }), 500);
        assert.deepEqual(after.actions, []);
        assert.equal(dueAt(after.router), 500 + downMs);
      },
    },
  },
];
