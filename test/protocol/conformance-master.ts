import assert from 'node:assert/strict';
import type { RouterEvent } from '../../src/protocol/machine.ts';
import { step } from '../../src/protocol/vrrp-machine.ts';
import type { ConformanceRow } from './conformance-row.ts';
import {
  assertUnmoved,
  dueAt,
  deadline,
  did,
  downMs,
  heard,
  higherAddress,
  inMaster,
  lowerAddress,
} from './samples.ts';

/** Reference 1.6: the state machine as Active, `master` here. */

const shutdown: RouterEvent = { type: 'shutdown', reason: { code: 'shutdown' } };

export const masterRows: readonly ConformanceRow[] = [
  {
    id: 'V3-57',
    section: '6.4.3',
    level: 'MUST',
    requirement: 'Shutdown: cancel Adver_Timer, ADVERT priority 0, -> Initialize',
    passes: {
      name: 'one priority 0, then the addresses go',
      check: () => {
        const stopped = step(inMaster(), shutdown, 500);
        assert.deepEqual(did(stopped), [
          'send-advertisement 0',
          'release-addresses',
          'report-transition shutdown',
        ]);
        assert.equal(stopped.router.state.name, 'init');
      },
    },
    refuses: {
      name: 'nothing is said afterwards',
      check: () => assertUnmoved(step(inMaster(), shutdown, 500).router, deadline, 1000),
    },
  },
  {
    id: 'V3-58',
    section: '6.4.3',
    level: 'MUST',
    requirement: 'Adver_Timer fires: ADVERT, restart with Advertisement_Interval',
    passes: {
      name: 'a hundred Advertisements from a timer that is always late do not drift',
      check: () => {
        let router = inMaster();
        for (let count = 1; count <= 100; count += 1) {
          assert.equal(dueAt(router), count * 1000);
          const fired = step(router, deadline, count * 1000 + (count % 7));
          assert.deepEqual(did(fired), ['send-advertisement 100']);
          router = fired.router;
        }
      },
    },
    refuses: {
      name: 'nothing before its time, and nothing is made up for afterwards',
      check: () => {
        assertUnmoved(inMaster(), deadline, 999.9);
        const late = step(inMaster(), deadline, 2500);
        assert.deepEqual(did(late), ['send-advertisement 100']);
        assert.equal(dueAt(late.router), 3500);
      },
    },
  },
  {
    id: 'V3-59',
    section: '6.4.3',
    level: 'MUST',
    requirement: 'ADVERT prio 0 received: ADVERT at once, restart Adver_Timer',
    passes: {
      name: 'answers, and the next comes a full interval later',
      check: () => {
        const answered = step(inMaster(), heard(0, { arrivedAt: 400 }), 400);
        assert.equal(did(answered)[0], 'send-advertisement 100');
        assert.deepEqual(answered.router.state, { name: 'master', advertiseAt: 1400 });
      },
    },
    refuses: {
      name: 'whoever says it does not become our master, not even from the higher address',
      check: () => {
        const answered = step(inMaster({ priority: 1 }), heard(0, { source: higherAddress }), 0);
        assert.equal(answered.router.state.name, 'master');
      },
    },
  },
  {
    id: 'V3-60',
    section: '6.4.3',
    level: 'MUST',
    requirement:
      'ADVERT with prio > local, or prio equal and sender primary > own primary (unsigned compare, network order): cancel Adver_Timer, learn interval, recompute, start Active_Down_Timer, -> Backup',
    passes: {
      name: 'yields to the higher priority, and to the higher address of the same',
      check: () => {
        const higher = step(
          inMaster(),
          heard(200, { intervalMs: 3000, arrivedAt: 400, source: lowerAddress }),
          400,
        );
        assert.deepEqual(higher.router.state, {
          name: 'backup',
          masterIntervalMs: 3000,
          masterDownAt: 400 + 9000 + 1828.125,
        });
        const equal = step(inMaster(), heard(100, { arrivedAt: 400, source: higherAddress }), 400);
        assert.deepEqual(equal.router.state, {
          name: 'backup',
          masterIntervalMs: 1000,
          masterDownAt: 400 + downMs,
        });
        // 192.0.2.10 is above 192.0.2.9, and 192.0.2.200 above 192.0.2.2, only as numbers.
        const ten = step(
          { ...inMaster(), primaryAddress: '192.0.2.9' },
          heard(100, { source: '192.0.2.10' }),
          0,
        );
        assert.equal(ten.router.state.name, 'backup');
        const large = step(inMaster(), heard(100, { source: '192.0.2.200' }), 0);
        assert.equal(large.router.state.name, 'backup');
      },
    },
    refuses: {
      name: 'not to the lower priority of the higher address, nor to the lower address of the same priority',
      check: () => {
        for (const event of [heard(99, { source: higherAddress }), heard(100, { source: lowerAddress })]) {
          assert.deepEqual(step(inMaster(), event, 0).router.state, inMaster().state);
        }
      },
    },
  },
  {
    id: 'V3-61',
    section: '6.4.3',
    level: 'MUST',
    requirement: 'otherwise (lower, or equal with smaller address): discard AND send an ADVERT immediately',
    passes: {
      name: 'answers at once, and announces the addresses again',
      check: () => {
        for (const event of [heard(50), heard(100, { source: lowerAddress })]) {
          assert.deepEqual(did(step(inMaster(), event, 400)), [
            'send-advertisement 100',
            'announce-addresses',
          ]);
        }
      },
    },
    refuses: {
      name: 'its own timer runs on',
      check: () => assert.equal(dueAt(step(inMaster(), heard(50), 400).router), 1000),
    },
  },
  {
    id: 'V3-62',
    section: '6.4.3',
    level: 'def',
    requirement: 'Preempt_Mode is not looked at in Active',
    passes: {
      name: 'a master with preemption off yields to the higher priority all the same',
      check: () => {
        assert.equal(step(inMaster({ preempt: false }), heard(200), 400).router.state.name, 'backup');
      },
    },
    refuses: {
      name: 'and answers the lower one',
      check: () => {
        assert.equal(did(step(inMaster({ preempt: false }), heard(50), 400))[0], 'send-advertisement 100');
      },
    },
  },
  {
    id: 'V3-63',
    section: '6.4.3',
    level: 'def',
    requirement: 'after losing, no priority 0 is sent; VIP, GARP and RA stop at once',
    deviation:
      'one more Advertisement of its own priority is said first, so that the better master learns of it, answers and announces again',
    passes: {
      name: 'the addresses are released in the same step',
      check: () => {
        assert.deepEqual(did(step(inMaster(), heard(200), 400)), [
          'send-advertisement 100',
          'release-addresses',
          'report-transition higher_priority',
        ]);
      },
    },
    refuses: {
      name: 'nothing is said or announced afterwards',
      check: () => {
        const lost = step(inMaster(), heard(200, { arrivedAt: 400 }), 400).router;
        assertUnmoved(lost, deadline, 1000);
        assertUnmoved(lost, heard(50, { arrivedAt: 1100 }), 1100);
      },
    },
  },
];
