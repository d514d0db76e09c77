import { unreachable } from '../errors.ts';
import { compareAddresses } from './address.ts';
import { effectivePriority } from './demotion.ts';
import type { Action, RouterEvent, State, Step, VirtualRouter } from './machine.ts';
import type { Reason } from './reason.ts';

/** The VRRPv3 state machine (RFC 9568 6.4) as a function of plain data, one clause for each branch and in the RFC's order.
 *  What goes beyond the RFC, and why: a master says priority 0 and goes on serving until it is succeeded (`leaving`); one that
 *  yields to a better master says one more Advertisement first; one that overslept listens before it speaks again. */

type Received = Extract<RouterEvent, { type: 'advertisement-received' }>;

/** The priority this router advertises now (RFC 9568 5.2.4). */
export function ownPriority({ settings, demotion }: VirtualRouter): number {
  return effectivePriority(settings.priority, demotion);
}

/** Skew_Time (RFC 9568 6.1): the higher the priority, the shorter. */
export function skewTimeMs(priority: number, masterIntervalMs: number): number {
  return ((256 - priority) * masterIntervalMs) / 256;
}

/** Active_Down_Interval (RFC 9568 6.1). */
export function masterDownIntervalMs(priority: number, masterIntervalMs: number): number {
  return 3 * masterIntervalMs + skewTimeMs(priority, masterIntervalMs);
}

/** How long a leaving master waits for a successor: until the slowest possible one (priority 1) would have noticed by silence
 *  alone, should the priority 0 be lost on the way. */
export function handoverLimitMs(intervalMs: number): number {
  return masterDownIntervalMs(1, intervalMs);
}

function waitForMaster(
  router: VirtualRouter,
  masterIntervalMs: number,
  from: number,
): Extract<State, { name: 'backup' }> {
  const masterDownAt = from + masterDownIntervalMs(ownPriority(router), masterIntervalMs);
  return { name: 'backup', masterIntervalMs, masterDownAt };
}

/** Entering master, from wherever (RFC 9568 6.4.1 and 6.4.2): the first Advertisement at once, the next after our own interval. */
function becomeMaster(router: VirtualRouter, now: number, reason: Reason): Step {
  return {
    router: { ...router, state: { name: 'master', advertiseAt: now + router.settings.intervalMs } },
    actions: [
      { type: 'send-advertisement', priority: ownPriority(router) },
      { type: 'claim-addresses' },
      { type: 'announce-addresses' },
      { type: 'report-transition', reason },
    ],
  };
}

/** Leaving master or leaving, for whatever state. */
function cease(router: VirtualRouter, state: State, reason: Reason, lastWords: readonly Action[] = []): Step {
  return {
    router: { ...router, state },
    actions: [...lastWords, { type: 'release-addresses' }, { type: 'report-transition', reason }],
  };
}

function stay(router: VirtualRouter, actions: readonly Action[] = []): Step {
  return { router, actions };
}

function moved(router: VirtualRouter, state: State, reason: Reason): Step {
  return { router: { ...router, state }, actions: [{ type: 'report-transition', reason }] };
}

/** Listens for one interval and the skew before it dares to be master. */
function listenFirst(router: VirtualRouter, now: number): State {
  const { intervalMs } = router.settings;
  return {
    name: 'backup',
    masterIntervalMs: intervalMs,
    masterDownAt: now + intervalMs + skewTimeMs(ownPriority(router), intervalMs),
  };
}

/** When a master that left on another link must have been heard here, if it is still here: one Advertisement may not be
 *  missing. Waiting for three would make a pulled cable as slow as a crash, for every link of the group. */
function lastChanceAt(router: VirtualRouter, masterIntervalMs: number, now: number): number {
  if (router.heard === undefined) return Infinity;
  const skewMs = skewTimeMs(ownPriority(router), masterIntervalMs);
  // The skew of a high priority is next to nothing; an Advertisement may be late by more than that.
  return Math.max(now + skewMs, router.heard.at + masterIntervalMs + Math.max(skewMs, masterIntervalMs / 4));
}

/** RFC 9568 6.4.1. */
function stepInit(router: VirtualRouter, event: RouterEvent, now: number): Step {
  if (event.type !== 'startup') return stay(router);
  if (event.resume) return becomeMaster(router, now, { code: 'resumed' });
  if (event.listen !== true && ownPriority(router) === 255)
    return becomeMaster(router, now, { code: 'address_owner' });
  return moved(router, waitForMaster(router, router.settings.intervalMs, now), { code: 'startup' });
}

/** Why a backup whose Active_Down_Timer fired becomes master. */
function takeoverReason(router: VirtualRouter, masterIntervalMs: number, now: number): Reason {
  const { heard } = router;
  const own = ownPriority(router);
  const downIntervalMs = masterDownIntervalMs(own, masterIntervalMs);
  if (heard === undefined) return { code: 'master_down_timer', master: undefined, silenceMs: downIntervalMs };
  const { priority } = heard.advertisement;
  const silenceMs = now - heard.at;
  // One that left before we were last out of the election did not leave the role to us.
  if (priority === 0 && silenceMs < downIntervalMs) return { code: 'master_left', master: heard.source };
  if (priority < own && silenceMs < downIntervalMs) {
    return { code: 'preempted', master: heard.source, priority, ownPriority: own };
  }
  return { code: 'master_down_timer', master: heard.source, silenceMs };
}

/** RFC 9568 6.4.2, an Advertisement in Backup. */
function receiveAsBackup(
  router: VirtualRouter,
  state: Extract<State, { name: 'backup' }>,
  event: Received,
  now: number,
): Step {
  const { advertisement, arrivedAt } = event;
  if (advertisement.priority === 0) {
    const masterDownAt = arrivedAt + skewTimeMs(ownPriority(router), state.masterIntervalMs);
    return stay({ ...router, state: { ...state, masterDownAt } });
  }
  const isLesser = preempts(router) && advertisement.priority < ownPriority(router);
  const lesserSince = state.lesserSince ?? arrivedAt;
  // A lesser master: discarded, and the running timer is not restarted, unless preemption has to wait.
  if (isLesser && event.tolerate !== true && arrivedAt - lesserSince >= preemptDelayMs(router))
    return stay(router);
  const waiting = waitForMaster(router, advertisement.intervalMs, arrivedAt);
  // Read so late that it would end the waiting at once: it says nothing of what came after it, and we may be listening.
  if (waiting.masterDownAt <= now && waiting.masterDownAt < state.masterDownAt) return stay(router);
  return stay({ ...router, state: isLesser ? { ...waiting, lesserSince } : waiting });
}

function preemptDelayMs(router: VirtualRouter): number {
  return ownPriority(router) === 255 ? 0 : router.settings.preemptDelayMs;
}

/** The owner of the addresses preempts whatever Preempt_Mode says (RFC 9568 6.1). */
function preempts(router: VirtualRouter): boolean {
  return router.settings.preempt || ownPriority(router) === 255;
}

function stepBackup(
  router: VirtualRouter,
  state: Extract<State, { name: 'backup' }>,
  event: RouterEvent,
  now: number,
): Step {
  switch (event.type) {
    case 'shutdown':
      return moved(router, { name: 'init' }, event.reason);
    case 'deadline-reached':
      if (now < state.masterDownAt) return stay(router);
      return becomeMaster(router, now, takeoverReason(router, state.masterIntervalMs, now));
    case 'overslept':
      return stay({ ...router, state: listenFirst(router, now) });
    case 'take-over':
      return becomeMaster(router, now, event.reason);
    case 'master-left-elsewhere': {
      const masterDownAt = Math.min(state.masterDownAt, lastChanceAt(router, state.masterIntervalMs, now));
      return stay({ ...router, state: { ...state, masterDownAt } });
    }
    case 'advertisement-received':
      return receiveAsBackup(router, state, event, now);
    default:
      return stay(router);
  }
}

/** Whether the sender of an Advertisement is the better master (RFC 9568 6.4.3): by priority, then by address. */
function isBetter(event: Received, router: VirtualRouter): boolean {
  const own = ownPriority(router);
  const { priority } = event.advertisement;
  if (priority !== own) return priority > own;
  return router.primaryAddress !== undefined && compareAddresses(event.source, router.primaryAddress) > 0;
}

/** RFC 9568 6.4.3, an Advertisement in Active. */
function receiveAsMaster(router: VirtualRouter, event: Received, now: number): Step {
  const { advertisement, arrivedAt, source } = event;
  const own = ownPriority(router);
  if (advertisement.priority === 0) {
    // It was master beside us, so the neighbours may believe that the addresses live there.
    const state: State = { name: 'master', advertiseAt: now + router.settings.intervalMs };
    return stay({ ...router, state }, [
      { type: 'send-advertisement', priority: own },
      { type: 'announce-addresses' },
    ]);
  }
  if (isBetter(event, router)) {
    const reason: Reason =
      advertisement.priority > own
        ? { code: 'higher_priority', master: source, priority: advertisement.priority, ownPriority: own }
        : { code: 'higher_address', master: source, priority: own };
    // One more Advertisement, so that the better master learns that there were two, and announces its addresses again:
    // without it the neighbours stay on the MAC of whoever announced last (keepalived issue 166).
    return cease(router, waitForMaster(router, advertisement.intervalMs, arrivedAt), reason, [
      { type: 'send-advertisement', priority: own },
    ]);
  }
  return stay(router, [{ type: 'send-advertisement', priority: own }, { type: 'announce-addresses' }]);
}

function stepMaster(
  router: VirtualRouter,
  state: Extract<State, { name: 'master' }>,
  event: RouterEvent,
  now: number,
): Step {
  const { intervalMs } = router.settings;
  switch (event.type) {
    case 'shutdown':
      return cease(router, { name: 'init' }, event.reason, [{ type: 'send-advertisement', priority: 0 }]);
    case 'leave': {
      const releaseAt = now + handoverLimitMs(intervalMs);
      return stay({ ...router, state: { name: 'leaving', releaseAt, then: event.then } }, [
        { type: 'send-advertisement', priority: 0 },
      ]);
    }
    case 'resign':
      return cease(router, waitForMaster(router, intervalMs, now), event.reason, [
        { type: 'send-advertisement', priority: ownPriority(router) },
      ]);
    case 'deadline-reached': {
      if (now < state.advertiseAt) return stay(router);
      // From the deadline, not from now: no drift. One that was missed altogether is not made up for.
      const next = state.advertiseAt + intervalMs;
      const advertiseAt = next > now ? next : now + intervalMs;
      return stay({ ...router, state: { name: 'master', advertiseAt } }, [
        { type: 'send-advertisement', priority: ownPriority(router) },
      ]);
    }
    case 'overslept':
      return cease(router, listenFirst(router, now), { code: 'late_loop', lateMs: event.lateMs });
    case 'advertisement-received':
      return receiveAsMaster(router, event, now);
    default:
      return stay(router);
  }
}

/** A master that has said priority 0: it serves until it hears a successor. */
function stepLeaving(
  router: VirtualRouter,
  state: Extract<State, { name: 'leaving' }>,
  event: RouterEvent,
  now: number,
): Step {
  const { intervalMs } = router.settings;
  const afterwards = (backup: State): State => (state.then === 'init' ? { name: 'init' } : backup);
  switch (event.type) {
    case 'shutdown':
      return cease(router, { name: 'init' }, event.reason);
    case 'leave':
      return stay({ ...router, state: { ...state, then: event.then } });
    case 'resign':
      return cease(router, afterwards(waitForMaster(router, intervalMs, now)), event.reason);
    case 'advertisement-received': {
      const { priority, intervalMs: masterIntervalMs } = event.advertisement;
      if (priority === 0) return stay(router);
      const next = afterwards(waitForMaster(router, masterIntervalMs, event.arrivedAt));
      return cease(router, next, { code: 'handed_over', master: event.source, priority });
    }
    case 'deadline-reached': {
      if (now < state.releaseAt) return stay(router);
      if (state.then === 'init') return cease(router, { name: 'init' }, { code: 'nobody_took_over' });
      return becomeMaster(router, now, { code: 'nobody_took_over' });
    }
    case 'overslept':
      return cease(router, afterwards(listenFirst(router, now)), { code: 'late_loop', lateMs: event.lateMs });
    default:
      return stay(router);
  }
}

function stepState(router: VirtualRouter, event: RouterEvent, now: number): Step {
  const { state } = router;
  switch (state.name) {
    case 'init':
      return stepInit(router, event, now);
    case 'backup':
      return stepBackup(router, state, event, now);
    case 'master':
      return stepMaster(router, state, event, now);
    case 'leaving':
      return stepLeaving(router, state, event, now);
    default:
      return unreachable(state);
  }
}

/** A changed priority moves a running Active_Down_Timer by the difference of the skews. */
function withPriorityChange(before: VirtualRouter, after: VirtualRouter): VirtualRouter {
  if (after.state.name !== 'backup') return after;
  const { masterIntervalMs, masterDownAt } = after.state;
  const shift =
    skewTimeMs(ownPriority(after), masterIntervalMs) - skewTimeMs(ownPriority(before), masterIntervalMs);
  return { ...after, state: { ...after.state, masterDownAt: masterDownAt + shift } };
}

function changeSettings(
  router: VirtualRouter,
  event: Extract<RouterEvent, { type: 'settings-changed' }>,
  now: number,
): Step {
  const changed = withPriorityChange(router, { ...router, settings: event.settings });
  if (changed.state.name !== 'master') return stay(changed);
  // Said at once, so that the backups learn of a new list, priority or interval before they can miss an old deadline.
  return stay({ ...changed, state: { name: 'master', advertiseAt: now + event.settings.intervalMs } }, [
    { type: 'send-advertisement', priority: ownPriority(changed) },
    { type: 'claim-addresses' },
    { type: 'announce-addresses' },
  ]);
}

/** One step of one Virtual Router.
 *  @param now monotonic milliseconds, never before those of an earlier step
 *  @returns the router afterwards and what it asks for, in order */
export function step(router: VirtualRouter, event: RouterEvent, now: number): Step {
  switch (event.type) {
    case 'demotion-changed':
      return stay(withPriorityChange(router, { ...router, demotion: event.demotion }));
    case 'source-changed':
      return stay({ ...router, primaryAddress: event.primaryAddress });
    case 'settings-changed':
      return changeSettings(router, event, now);
    case 'advertisement-received': {
      const { source, advertisement, arrivedAt } = event;
      return stepState({ ...router, heard: { source, advertisement, at: arrivedAt } }, event, now);
    }
    default:
      return stepState(router, event, now);
  }
}
