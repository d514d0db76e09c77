import t from 'tap';
import { type Reason, reasonCode, reasonText } from '../../src/protocol/reason.ts';

/** Every reason, what scripts see and what people read. */
const table: readonly { reason: Reason; code: string; text: string }[] = [
  { reason: { code: 'startup' }, code: 'startup', text: 'started, listening for a master' },
  {
    reason: { code: 'resumed' },
    code: 'resumed',
    text: 'restarted in time: no other node can have taken over',
  },
  {
    reason: { code: 'address_owner' },
    code: 'address_owner',
    text: 'started as the owner of the addresses (priority 255)',
  },
  {
    reason: { code: 'master_down_timer', master: undefined, silenceMs: 3609.375 },
    code: 'master_down_timer',
    text: 'no master was heard for 3609 ms',
  },
  {
    reason: { code: 'master_down_timer', master: '192.0.2.1', silenceMs: 360.9 },
    code: 'master_down_timer',
    text: '192.0.2.1 stopped advertising: 361 ms of silence',
  },
  {
    reason: { code: 'master_left', master: '192.0.2.1' },
    code: 'master_left',
    text: '192.0.2.1 said that it is leaving (priority 0)',
  },
  {
    reason: { code: 'preempted', master: '192.0.2.1', priority: 50, ownPriority: 100 },
    code: 'preempted',
    text: 'took over from 192.0.2.1: its priority 50 is below ours, 100',
  },
  {
    reason: { code: 'higher_priority', master: '192.0.2.1', priority: 150, ownPriority: 100 },
    code: 'higher_priority',
    text: '192.0.2.1 advertises priority 150, ours is 100',
  },
  {
    reason: { code: 'higher_address', master: '192.0.2.3', priority: 100 },
    code: 'higher_address',
    text: '192.0.2.3 advertises our priority 100 and has the higher address',
  },
  {
    reason: { code: 'handed_over', master: 'fe80::3', priority: 100 },
    code: 'handed_over',
    text: 'handed over to fe80::3 (priority 100)',
  },
  {
    reason: { code: 'nobody_took_over' },
    code: 'nobody_took_over',
    text: 'offered to hand over, nobody took over',
  },
  {
    reason: { code: 'late_loop', lateMs: 5120.4 },
    code: 'late_loop',
    text: 'this process did not run for 5120 ms: others may have taken over, listening first',
  },
  {
    reason: { code: 'recovered' },
    code: 'recovered',
    text: 'what kept the group from running is gone, listening for a master',
  },
  {
    reason: { code: 'demoted_hard' },
    code: 'demoted_hard',
    text: 'taken out of the election by an operator (demote --hard)',
  },
  { reason: { code: 'shutdown' }, code: 'shutdown', text: 'stopped' },
  { reason: { code: 'removed' }, code: 'removed', text: 'removed from the configuration' },
  {
    reason: { code: 'fault', fault: { code: 'link_down', text: 'eth0 has no carrier' } },
    code: 'link_down',
    text: 'eth0 has no carrier',
  },
];

t.test('every reason has a code and a sentence', async (t) => {
  for (const { reason, code, text } of table) {
    t.equal(reasonCode(reason), code);
    t.equal(reasonText(reason), text);
    t.notMatch(text, /\.$/, 'without a full stop');
  }
});
