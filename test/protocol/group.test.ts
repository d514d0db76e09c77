import t from 'tap';
import {
  type GroupEvent,
  createGroup,
  groupDeadline,
  groupState,
  isHandingOver,
  stepGroup,
} from '../../src/protocol/group.ts';
import {
  backupGroup,
  deadline,
  demote,
  demoteHard,
  did,
  facts,
  hears,
  masterGroup,
  member,
  newGroup,
  playGroup,
  promote,
  startup,
  statesOf,
  stop,
  stopAtOnce,
} from './groups.ts';
import { downMs, higherAddress, lowerAddress, skewMs } from './samples.ts';

/** Priority 1's Active_Down_Interval at one second: how long a leaving master waits. */
const limitMs = 3996.09375;

const becoming = [
  'wan send-advertisement 100',
  'lan send-advertisement 100',
  'wan claim-addresses',
  'lan claim-addresses',
  'wan announce-addresses',
  'lan announce-addresses',
];
const releasing = ['wan release-addresses', 'lan release-addresses'];

t.test('the members are master together: adverts first, then addresses', async (t) => {
  const started = stepGroup(newGroup(), startup, 0);
  t.strictSame(did(started), ['init -> backup: startup']);
  t.equal(groupDeadline(started.group), downMs);
  const taken = stepGroup(started.group, deadline, downMs);
  t.strictSame(did(taken), [...becoming, 'backup -> master: master_down_timer']);
  t.equal(groupDeadline(taken.group), downMs + 1000);
  const next = stepGroup(taken.group, deadline, downMs + 1000);
  t.strictSame(did(next), ['wan send-advertisement 100', 'lan send-advertisement 100']);
});

t.test('a backup takes over when the last of its members has lost its master', async (t) => {
  const { group } = playGroup(backupGroup(), [1000, hears('lan', 200, 1000)]);
  t.equal(groupDeadline(group), 1000 + downMs);
  const early = stepGroup(group, deadline, downMs);
  t.strictSame(early.actions, [], 'wan alone is silent');
  t.equal(statesOf(early.group), 'wan backup, lan backup');
  t.match(did(stepGroup(early.group, deadline, 1000 + downMs)).at(-1), /^backup -> master/);
});

t.test('the reason of a takeover is that of the member which decided', async (t) => {
  // wan has been silent for an hour: its link is broken. Now the master dies, which lan hears.
  const hour = 3_600_000;
  let group = playGroup(backupGroup(), [500, hears('wan', 200, 500)]).group;
  for (let at = 1000; at <= hour; at += 1000) group = stepGroup(group, hears('lan', 200, at), at).group;
  const { actions } = stepGroup(group, deadline, hour + downMs);
  t.match(actions.at(-1), { reason: { code: 'master_down_timer', silenceMs: downMs } });
});

t.test('one member that meets a better master takes the others with it', async (t) => {
  const met = stepGroup(masterGroup(), hears('lan', 200, 500), 500);
  t.equal(statesOf(met.group), 'wan backup, lan backup');
  t.equal(did(met).at(-1), 'master -> backup: higher_priority');
  t.strictSame(did(met).slice(-3, -1).toSorted(), releasing.toSorted());
  t.equal(groupDeadline(met.group), 500 + downMs);
});

t.test('the group that yields says its last word on every link (DESIGN 5: two masters met)', async (t) => {
  // Without it the better master does not learn on wan that there were two, and does not announce its addresses there again.
  const met = stepGroup(masterGroup(), hears('lan', 200, 500), 500);
  const said = did(met).filter((action) => action.includes('send-advertisement'));
  t.strictSame(said.toSorted(), ['lan send-advertisement 100', 'wan send-advertisement 100']);
});

t.test(
  'a worse master is answered on the link where it was heard; every link is told where the addresses live',
  async (t) => {
    const answered = stepGroup(masterGroup(), hears('lan', 100, 500, lowerAddress), 500);
    t.strictSame(did(answered), [
      'lan send-advertisement 100',
      'lan announce-addresses',
      'wan announce-addresses',
    ]);
    t.equal(groupState(answered.group), 'master');
  },
);

t.test('an address owner among the members', async (t) => {
  const owner = stepGroup(newGroup({ priority: 255 }), startup, 0);
  t.equal(statesOf(owner.group), 'wan master, lan master');
  t.equal(did(owner).at(-1), 'init -> master: address_owner');
  // An instance may override the priority: the group has one state all the same.
  const mixed = stepGroup(createGroup([member('wan', { priority: 255 }), member('lan')]), startup, 0);
  t.ok(
    ['wan master, lan master', 'wan backup, lan backup'].includes(statesOf(mixed.group)),
    `one state for all: ${statesOf(mixed.group)}`,
  );
  // A second owner of the higher address made it a backup; a new member does not become master alone.
  const members = [member('wan', { priority: 255 }), member('dmz', { priority: 255 })];
  const yielded = stepGroup(owner.group, hears('lan', 255, 500), 500).group;
  const joined = stepGroup(yielded, { type: 'members-changed', members }, 600);
  t.equal(statesOf(joined.group), 'wan backup, dmz backup', 'who joins a backup is one');
});

t.test('handover: says priority 0, serves until the successor is heard, then releases', async (t) => {
  const asked = stepGroup(masterGroup(), demote, 500);
  t.strictSame(did(asked), ['wan send-advertisement 0', 'lan send-advertisement 0']);
  t.equal(groupState(asked.group), 'master');
  t.ok(isHandingOver(asked.group));
  t.equal(groupDeadline(asked.group), 500 + limitMs);
  const half = stepGroup(asked.group, hears('wan', 90, 1100), 1100);
  t.strictSame(did(half), ['wan release-addresses']);
  t.equal(groupState(half.group), 'master', 'lan still serves');
  const done = stepGroup(half.group, hears('lan', 90, 1100.1), 1100.1);
  t.strictSame(did(done), ['lan release-addresses', 'master -> backup: handed_over']);
  t.notOk(isHandingOver(done.group));
  t.equal(groupDeadline(done.group), 1100.1 + 3000 + 996.09375, 'as the last choice it is slow');
});

t.test('handover: nobody takes over, so it stays master and says so', async (t) => {
  const { group } = playGroup(masterGroup(), [500, demote]);
  t.strictSame(stepGroup(group, deadline, 500 + limitMs - 1).actions, []);
  const kept = stepGroup(group, deadline, 500 + limitMs);
  t.strictSame(
    did(kept),
    becoming.map((action) => action.replace('100', '1')),
  );
  t.equal(groupState(kept.group), 'master');
  t.notOk(isHandingOver(kept.group));
});

t.test('handover: the successor is heard on one link only', async (t) => {
  // lan is deaf in our direction. The group moves as one when the waiting is over: its deadline must not stay in the past.
  const { group } = playGroup(
    masterGroup(),
    [500, demote],
    [1100, hears('wan', 90, 1100)],
    [2100, hears('wan', 90, 2100)],
  );
  const due = groupDeadline(group);
  t.equal(due, 500 + limitMs);
  const done = stepGroup(group, deadline, 500 + limitMs);
  t.equal(statesOf(done.group), 'wan backup, lan backup');
  t.ok((groupDeadline(done.group) ?? Infinity) > 500 + limitMs, 'the deadline is over');
  t.equal(did(done).at(-1), 'master -> backup: handed_over', 'somebody did take over');
});

t.test('planned stop', async (t) => {
  const asked = stepGroup(masterGroup(), stop, 500);
  t.strictSame(did(asked), ['wan send-advertisement 0', 'lan send-advertisement 0']);
  const done = playGroup(asked.group, [1100, hears('wan', 90, 1100)], [1100, hears('lan', 90, 1100)]);
  t.equal(groupState(done.group), 'init');
  t.equal(did(done).at(-1), 'master -> init: handed_over');
  t.equal(groupDeadline(done.group), undefined);
  const nobody = stepGroup(asked.group, deadline, 500 + limitMs);
  t.strictSame(did(nobody), [...releasing, 'master -> init: nobody_took_over']);
  const backup = stepGroup(backupGroup(), stop, 500);
  t.strictSame(did(backup), ['backup -> init: shutdown'], 'a backup has nothing to hand over');
});

t.test('stop at once, from every state', async (t) => {
  t.strictSame(did(stepGroup(masterGroup(), stopAtOnce, 500)), [
    'wan send-advertisement 0',
    'lan send-advertisement 0',
    ...releasing,
    'master -> init: shutdown',
  ]);
  t.strictSame(did(stepGroup(backupGroup(), stopAtOnce, 500)), ['backup -> init: shutdown']);
  const leaving = stepGroup(masterGroup(), demote, 500).group;
  t.strictSame(did(stepGroup(leaving, stopAtOnce, 600)), [...releasing, 'master -> init: shutdown']);
});

t.test('a stop has the reason it was given', async (t) => {
  const removed = { type: 'stop', planned: true, reason: { code: 'removed' } } as const;
  t.strictSame(did(stepGroup(backupGroup(), removed, 500)), ['backup -> init: removed']);
  const faulty = stepGroup(backupGroup(), facts('link_down'), 500).group;
  t.strictSame(did(stepGroup(faulty, stop, 600)), ['fault -> init: shutdown'], 'also out of a fault');
  t.strictSame(did(stepGroup(faulty, stopAtOnce, 600)), ['fault -> init: shutdown']);
});

t.test('a fault takes the group out at once, on every link', async (t) => {
  const failed = stepGroup(masterGroup(), facts('link_down'), 500);
  t.strictSame(did(failed), [
    'wan send-advertisement 0',
    'lan send-advertisement 0',
    ...releasing,
    'master -> fault: link_down',
  ]);
  t.equal(groupDeadline(failed.group), undefined);
  t.strictSame(stepGroup(failed.group, hears('wan', 0, 600), 600).actions, []);
  t.strictSame(stepGroup(failed.group, facts('no_ipv4_address'), 700).actions, [], 'another fault instead');
  const back = stepGroup(failed.group, facts(), 9000);
  t.strictSame(did(back), ['fault -> backup: recovered']);
  t.equal(groupDeadline(back.group), 9000 + downMs);
  t.strictSame(did(stepGroup(backupGroup(), facts('link_down'), 500)), ['backup -> fault: link_down']);
});

t.test('a fault cuts a handover short', async (t) => {
  const failed = playGroup(masterGroup(), [500, demote], [600, facts('link_down')]);
  t.strictSame(did(failed), [...releasing, 'master -> fault: link_down']);
});

t.test('a group that starts with a fault waits for its end', async (t) => {
  const started = playGroup(newGroup(), [0, facts('interface_missing')], [0, startup]);
  t.strictSame(did(started), ['init -> fault: interface_missing']);
  t.strictSame(did(stepGroup(started.group, facts(), 5000)), ['fault -> backup: recovered']);
});

t.test('hard demotion hands over, then leaves the election', async (t) => {
  const asked = stepGroup(masterGroup(), demoteHard, 500);
  t.strictSame(did(asked), ['wan send-advertisement 0', 'lan send-advertisement 0']);
  const done = playGroup(asked.group, [1100, hears('wan', 90, 1100)], [1100, hears('lan', 90, 1100)]);
  t.equal(did(done).at(-1), 'master -> fault: demoted_hard');
  t.equal(groupDeadline(done.group), undefined);
  const nobody = stepGroup(asked.group, deadline, 500 + limitMs);
  t.strictSame(
    did(nobody),
    [...releasing, 'master -> fault: demoted_hard'],
    'with nobody there too: it was asked for',
  );
  t.strictSame(did(stepGroup(backupGroup(), demoteHard, 500)), ['backup -> fault: demoted_hard']);
});

t.test('promotion after a hard demotion', async (t) => {
  const out = stepGroup(backupGroup(), demoteHard, 500).group;
  const back = stepGroup(out, promote, 900);
  t.equal(statesOf(back.group), 'wan backup, lan backup');
  t.equal(groupDeadline(back.group), 900 + downMs);
  t.strictSame(did(back), ['fault -> backup: recovered'], 'it has not just started');
});

t.test('promotion while a hard demotion hands over: nobody takes over, so it stays master', async (t) => {
  const { group } = playGroup(masterGroup(), [500, demoteHard], [900, promote]);
  t.ok(isHandingOver(group), 'priority 0 has been said: the handover goes on');
  const kept = stepGroup(group, deadline, 500 + limitMs);
  t.equal(groupState(kept.group), 'master', 'nobody wants it to leave any more');
  t.strictSame(did(kept), becoming);
});

t.test(
  'promotion while a hard demotion hands over: the successor is heard, and it is a backup',
  async (t) => {
    const { group } = playGroup(masterGroup(), [500, demoteHard], [900, promote]);
    const done = playGroup(group, [1100, hears('wan', 90, 1100)], [1100, hears('lan', 90, 1100)]);
    t.equal(statesOf(done.group), 'wan backup, lan backup');
    t.equal(did(done).at(-1), 'master -> backup: handed_over');
  },
);

t.test("a tracker's demotion is advertised, and no handover", async (t) => {
  const demotions = [{ source: 'ping', value: 60, hard: false }];
  const demoted = stepGroup(masterGroup(), { type: 'demotions-changed', demotions, handOver: false }, 500);
  t.strictSame(demoted.actions, []);
  t.strictSame(did(stepGroup(demoted.group, deadline, 1000)), [
    'wan send-advertisement 40',
    'lan send-advertisement 40',
  ]);
});

t.test('restarted in time: goes on as master', async (t) => {
  const resumed = stepGroup(newGroup(), { type: 'startup', resume: true }, 0);
  t.strictSame(did(resumed), [...becoming, 'init -> master: resumed']);
});

t.test('late is not master: judged before what has queued up', async (t) => {
  // The deadline was 1000 ms; others take over 2000 ms and a skew after it.
  const inTime = stepGroup(masterGroup(), deadline, 1000 + 2000 + skewMs);
  t.equal(groupState(inTime.group), 'master');
  const late = stepGroup(masterGroup(), deadline, 1000 + 2000 + skewMs + 1);
  t.strictSame(did(late), [...releasing, 'master -> backup: late_loop']);
  t.equal(
    groupDeadline(late.group),
    1000 + 2000 + skewMs + 1 + 1000 + skewMs,
    'it listens for an interval and the skew',
  );
  const queued = stepGroup(masterGroup(), hears('wan', 50, 4000), 9000);
  t.strictSame(did(queued), [...releasing, 'master -> backup: late_loop'], 'nothing is said first');
  const backup = stepGroup(backupGroup(), deadline, downMs + 2000 + skewMs + 1);
  t.strictSame(backup.actions, [], 'a backup that is late listens too');
  t.equal(groupState(backup.group), 'backup');
});

t.test('members of a new configuration', async (t) => {
  const changed = (...ids: readonly string[]): GroupEvent => ({
    type: 'members-changed',
    members: ids.map((id) => member(id)),
  });
  const added = stepGroup(masterGroup(), changed('wan', 'dmz', 'lan'), 500);
  t.equal(statesOf(added.group), 'wan master, dmz master, lan master', 'in the new order, master at once');
  t.strictSame(did(added), ['dmz send-advertisement 100', 'dmz claim-addresses', 'dmz announce-addresses']);

  const removed = stepGroup(masterGroup(), changed('lan'), 500);
  t.strictSame(did(removed), ['wan send-advertisement 0', 'wan release-addresses']);
  t.equal(statesOf(removed.group), 'lan master');

  t.strictSame(stepGroup(masterGroup(), changed('wan', 'lan'), 500).actions, [], 'nothing differs');
  t.strictSame(stepGroup(masterGroup(), changed('lan', 'wan'), 500).actions, [], 'only the order differs');

  const settled = stepGroup(
    masterGroup(),
    { type: 'members-changed', members: [member('wan'), member('lan', { priority: 120 })] },
    500,
  );
  t.strictSame(did(settled), ['lan send-advertisement 120', 'lan claim-addresses', 'lan announce-addresses']);

  const backup = stepGroup(backupGroup(), changed('wan', 'lan', 'dmz'), 500);
  t.strictSame(backup.actions, []);
  t.equal(statesOf(backup.group), 'wan backup, lan backup, dmz backup');

  const demoted = playGroup(
    masterGroup(),
    [
      100,
      {
        type: 'demotions-changed',
        demotions: [{ source: 'ping', value: 254, hard: false }],
        handOver: false,
      },
    ],
    [500, changed('wan', 'lan', 'dmz')],
  );
  t.equal(did(demoted)[0], 'dmz send-advertisement 1', 'a new member is demoted like the others');

  const none = stepGroup(masterGroup(), changed(), 500);
  t.equal(groupState(none.group), 'init');
  t.equal(groupDeadline(none.group), undefined);
});

t.test('a member without a source address does not speak: it waits in init', async (t) => {
  // The daemon learns the source of a new member from the host, in the next event.
  const members = [member('wan'), member('lan'), { ...member('dmz'), primaryAddress: undefined }];
  const added = stepGroup(masterGroup(), { type: 'members-changed', members }, 500);
  t.strictSame(did(added), []);
  t.equal(statesOf(added.group), 'wan master, lan master, dmz init');
  const sources = new Map([['dmz', '192.0.2.2']]);
  const known = stepGroup(added.group, { type: 'facts-changed', faults: [], sources }, 500);
  t.strictSame(did(known), ['dmz send-advertisement 100', 'dmz claim-addresses', 'dmz announce-addresses']);
});

t.test('a member that is added during a handover does not end it', async (t) => {
  const members = [member('wan'), member('lan'), member('dmz')];
  const { group } = playGroup(masterGroup(), [500, demote], [900, { type: 'members-changed', members }]);
  t.equal(groupState(group), 'master');
  const kept = stepGroup(group, deadline, groupDeadline(group) ?? NaN);
  t.equal(groupState(kept.group), 'master', 'nobody took over anywhere');
  t.equal(statesOf(kept.group), 'wan master, lan master, dmz master');
});

t.test('events for nobody', async (t) => {
  t.strictSame(stepGroup(masterGroup(), hears('dmz', 200, 500), 500).actions, [], 'an unknown member');
  t.strictSame(stepGroup(newGroup(), deadline, 500).actions, []);
  t.strictSame(stepGroup(newGroup(), stop, 500).actions, []);
  t.strictSame(stepGroup(newGroup(), demote, 500).actions, []);
  t.equal(groupDeadline(createGroup([])), undefined);
  t.equal(groupState(stepGroup(createGroup([]), startup, 0).group), 'init');
});

t.test('what a group hears while it is out of the election is remembered, and moves nothing', async (t) => {
  const { group, actions } = playGroup(newGroup(), [0, hears('wan', 200, 0, higherAddress)]);
  t.strictSame(actions, []);
  t.equal(group.members.get('wan')?.heard?.source, higherAddress);
  t.equal(groupState(group), 'init');
});
