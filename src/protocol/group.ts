import { type Demotion, totalDemotion } from './demotion.ts';
import {
  type Action,
  type RouterEvent,
  type Settings,
  type State,
  type VirtualRouter,
  nextDeadline,
} from './machine.ts';
import type { Fault, Reason } from './reason.ts';
import type { Advertisement } from './vrrp-packet.ts';
import { masterDownIntervalMs, ownPriority, step } from './vrrp-machine.ts';

/** A failover group: the Virtual Routers that are master together or not at all. It becomes master when every one of
 *  them has lost its master (a single silent segment must not make two masters), and stops when any of them meets a better one.
 *  Whether it takes part in the election at all is a function of present facts, worked out anew after every event. */

export interface Group {
  /** Between `startup` and `stop`. */
  readonly running: boolean;
  /** What keeps it from running, of all members; empty when nothing does. */
  readonly faults: readonly Fault[];
  readonly demotions: readonly Demotion[];
  /** `any`: one member that has lost its master is enough, as long as no other hears a better one. */
  readonly takeover: Takeover;
  /** It becomes master no sooner: the host has just booted, or a link has just come up. Monotonic milliseconds. */
  readonly holdUntil: number;
  /** Why it must not take over from a lesser master now; undefined when it may. */
  readonly preemptionHold: string | undefined;
  /** By router id, in the order of the configuration. */
  readonly members: ReadonlyMap<string, VirtualRouter>;
}

export type Takeover = 'all' | 'any';

export type GroupState = 'init' | 'backup' | 'master' | 'fault';

/** One member as the configuration and the host describe it. */
export interface MemberSettings {
  readonly id: string;
  readonly settings: Settings;
  readonly primaryAddress: string | undefined;
}

export type GroupEvent =
  | { readonly type: 'startup'; readonly resume: boolean }
  | { readonly type: 'hold'; readonly until: number }
  | { readonly type: 'preemption-hold-changed'; readonly hold: string | undefined }
  /** `planned`: hand over first; otherwise say priority 0 and go. */
  | { readonly type: 'stop'; readonly planned: boolean; readonly reason: Reason }
  | { readonly type: 'deadline-reached' }
  | {
      readonly type: 'advertisement-received';
      readonly id: string;
      readonly advertisement: Advertisement;
      readonly source: string;
      readonly arrivedAt: number;
    }
  | {
      readonly type: 'facts-changed';
      readonly faults: readonly Fault[];
      /** Source address of each member, undefined where there is none. */
      readonly sources: ReadonlyMap<string, string | undefined>;
    }
  /** `handOver`: a master gives its role away in peace. */
  | {
      readonly type: 'demotions-changed';
      readonly demotions: readonly Demotion[];
      readonly handOver: boolean;
    }
  | {
      readonly type: 'members-changed';
      readonly members: readonly MemberSettings[];
      /** As before, unless it is said. */
      readonly takeover?: Takeover;
    };

/** What one member asks for. */
type MemberAction = Exclude<Action, { type: 'report-transition' }> & { readonly id: string };

export type GroupAction =
  | MemberAction
  | {
      readonly type: 'report-transition';
      readonly from: GroupState;
      readonly to: GroupState;
      readonly reason: Reason;
    };

export interface GroupStep {
  readonly group: Group;
  readonly actions: readonly GroupAction[];
}

/** A group that has not been started. */
export function createGroup(members: readonly MemberSettings[], takeover: Takeover = 'all'): Group {
  return {
    running: false,
    faults: [],
    demotions: [],
    takeover,
    holdUntil: -Infinity,
    preemptionHold: undefined,
    members: new Map(members.map((member) => [member.id, createRouter(member, 0)])),
  };
}

function createRouter({ settings, primaryAddress }: MemberSettings, demotion: number): VirtualRouter {
  return { settings, demotion, primaryAddress, state: { name: 'init' }, heard: undefined };
}

function isDemotedHard({ demotions }: Group): boolean {
  return demotions.some(({ hard }) => hard);
}

function hasMember({ members }: Group, ...names: readonly State['name'][]): boolean {
  return [...members.values()].some(({ state }) => names.includes(state.name));
}

/** The one state of all members, as users see it. A master that waits for its successor is still master. */
export function groupState(group: Group): GroupState {
  if (hasMember(group, 'master', 'leaving')) return 'master';
  if (!group.running) return 'init';
  if (group.faults.length > 0 || isDemotedHard(group)) return 'fault';
  return hasMember(group, 'backup') ? 'backup' : 'init';
}

/** Whether a planned handover is under way. */
export function isHandingOver(group: Group): boolean {
  return hasMember(group, 'leaving');
}

/** Whether a backup hears a master that it would have to yield to. */
function hearsBetter(router: VirtualRouter, silentSince: number): boolean {
  const { state, heard } = router;
  if (state.name !== 'backup' || state.masterDownAt <= silentSince || heard === undefined) return false;
  return heard.advertisement.priority >= ownPriority(router);
}

/** When the backups of a group have lost their master: the last of them, or, where one is enough, the first. */
function takeoverAt({ members, takeover, holdUntil }: Group): number | undefined {
  const backups = [...members.values()].filter(({ state }) => state.name === 'backup');
  const deadlines = backups.flatMap(({ state }) => nextDeadline(state) ?? []);
  if (deadlines.length === 0) return undefined;
  const first = Math.min(...deadlines);
  // Against a better master on another link the group would lose its role as soon as it had it.
  const oneIsEnough = takeover === 'any' && !backups.some((router) => hearsBetter(router, first));
  return Math.max(oneIsEnough ? first : Math.max(...deadlines), holdUntil);
}

/** When the group wants `deadline-reached`: masters one by one; backups when they have lost their master; leaving members when the
 *  last of them has waited long enough.
 *  @returns monotonic milliseconds, undefined while it waits for nothing */
export function groupDeadline(group: Group): number | undefined {
  const deadlines: Record<State['name'], number[]> = { init: [], backup: [], master: [], leaving: [] };
  for (const { state } of group.members.values()) {
    const deadline = nextDeadline(state);
    if (deadline !== undefined) deadlines[state.name].push(deadline);
  }
  const candidates = [...deadlines.master];
  if (deadlines.leaving.length > 0) candidates.push(Math.max(...deadlines.leaving));
  // A backup beside masters or leaving members decides nothing of its own.
  return candidates.length === 0 ? takeoverAt(group) : Math.min(...candidates);
}

/** How late the group may find its deadline before others must be thought to have taken over: what is left of
 *  Active_Down_Interval one interval after the last Advertisement. */
function lateLimitMs({ members }: Group): number {
  const limits = [...members.values()].map((router) => {
    const { state, settings } = router;
    const intervalMs = state.name === 'backup' ? state.masterIntervalMs : settings.intervalMs;
    return masterDownIntervalMs(ownPriority(router), intervalMs) - intervalMs;
  });
  return Math.min(...limits);
}

/** The members and what they asked for, while an event goes round among them. */
class Round {
  readonly members: Map<string, VirtualRouter>;
  readonly reasons: Reason[] = [];
  readonly #actions: MemberAction[] = [];
  readonly #now: number;

  constructor(group: Group, now: number) {
    this.members = new Map(group.members);
    this.#now = now;
  }

  step(id: string, event: RouterEvent): void {
    const router = this.members.get(id);
    if (router === undefined) return;
    const next = step(router, event, this.#now);
    this.members.set(id, next.router);
    for (const action of next.actions) {
      if (action.type === 'report-transition') this.reasons.push(action.reason);
      else this.#actions.push({ ...action, id });
    }
  }

  stepEach(event: RouterEvent, ...states: readonly State['name'][]): void {
    for (const [id, { state }] of this.members) if (states.includes(state.name)) this.step(id, event);
  }

  stepOthers(id: string, event: RouterEvent, state: State['name']): void {
    for (const [other, router] of this.members) {
      if (other !== id && router.state.name === state) this.step(other, event);
    }
  }

  /** Where one member has met a second master, the neighbours on the other links may have been told of it too: a partition seldom
   *  heals on all of them at once. */
  announceTogether(): void {
    const announcing = new Set(
      this.#actions.filter(({ type }) => type === 'announce-addresses').map(({ id }) => id),
    );
    if (announcing.size === 0) return;
    for (const [id, { state }] of this.members) {
      if (state.name === 'master' && !announcing.has(id))
        this.#actions.push({ type: 'announce-addresses', id });
    }
  }

  /** In the order of performance: every link hears of the new role before any address moves. */
  actions(): MemberAction[] {
    const order = ['send-advertisement', 'claim-addresses', 'announce-addresses', 'release-addresses'];
    return order.flatMap((type) => this.#actions.filter((action) => action.type === type));
  }
}

/** One member stopped being master because it met a better one: the others go with it. */
function standTogether(round: Round, id: string, before: State['name'] | undefined): void {
  const [reason] = round.reasons;
  const after = round.members.get(id)?.state.name;
  if (before === 'master' && after === 'backup' && reason !== undefined) {
    round.stepEach({ type: 'resign', reason }, 'master');
  }
}

function reachDeadline(group: Group, round: Round, now: number): void {
  if (hasMember(group, 'leaving')) {
    const members = [...group.members.values()];
    if (members.some(({ state }) => state.name === 'leaving' && state.releaseAt > now)) return;
    // Somebody took over on one link and nobody on another: the group moves as one.
    const succeeded = members.find(
      ({ state, heard }) => state.name === 'backup' && heard !== undefined,
    )?.heard;
    if (succeeded === undefined) round.stepEach({ type: 'deadline-reached' }, 'leaving');
    else {
      const { source, advertisement } = succeeded;
      const reason: Reason = { code: 'handed_over', master: source, priority: advertisement.priority };
      round.stepEach({ type: 'resign', reason }, 'leaving');
    }
  } else if (hasMember(group, 'master')) {
    round.stepEach({ type: 'deadline-reached' }, 'master');
  } else if ((takeoverAt(group) ?? Infinity) <= now) {
    takeOver(round, now);
  }
}

/** All backups become master, for the reason of the one that lost its master last. */
function takeOver(round: Round, now: number): void {
  const lost = [...round.members].filter(
    ([, { state }]) => state.name === 'backup' && state.masterDownAt <= now,
  );
  const deadlines = lost.map(([, { state }]) => nextDeadline(state) ?? -Infinity);
  for (const [id] of lost) round.step(id, { type: 'deadline-reached' });
  const [reason] = round.reasons.splice(deadlines.indexOf(Math.max(...deadlines)), 1);
  if (reason === undefined) return;
  round.reasons.unshift(reason);
  round.stepEach({ type: 'take-over', reason }, 'backup');
}

function changeMembers(group: Group, round: Round, members: readonly MemberSettings[]): void {
  const kept = new Set(members.map(({ id }) => id));
  for (const id of group.members.keys()) {
    if (kept.has(id)) continue;
    round.step(id, { type: 'shutdown', reason: { code: 'removed' } });
    round.members.delete(id);
  }
  for (const member of members) {
    const router = round.members.get(member.id);
    // Deleted and set again, so that the order is the new configuration's.
    round.members.delete(member.id);
    round.members.set(member.id, router ?? createRouter(member, totalDemotion(group.demotions)));
    if (router === undefined) continue;
    round.step(member.id, { type: 'source-changed', primaryAddress: member.primaryAddress });
    if (JSON.stringify(router.settings) !== JSON.stringify(member.settings)) {
      round.step(member.id, { type: 'settings-changed', settings: member.settings });
    }
  }
}

/** Applies the event itself. @returns the group with its new facts; members are the round's */
function apply(group: Group, round: Round, event: GroupEvent, now: number): Group {
  switch (event.type) {
    case 'startup':
      return { ...group, running: true };
    case 'stop':
      if (!event.planned)
        round.stepEach({ type: 'shutdown', reason: event.reason }, 'backup', 'master', 'leaving');
      return { ...group, running: false };
    case 'deadline-reached':
      reachDeadline({ ...group, members: round.members }, round, now);
      return group;
    case 'hold':
      return { ...group, holdUntil: Math.max(group.holdUntil, event.until) };
    case 'preemption-hold-changed':
      return { ...group, preemptionHold: event.hold };
    case 'advertisement-received': {
      const before = round.members.get(event.id)?.state.name;
      round.step(event.id, group.preemptionHold === undefined ? event : { ...event, tolerate: true });
      standTogether(round, event.id, before);
      round.announceTogether();
      if (before === 'backup' && event.advertisement.priority === 0) {
        round.stepOthers(event.id, { type: 'master-left-elsewhere' }, 'backup');
      }
      return group;
    }
    case 'facts-changed':
      for (const [id, primaryAddress] of event.sources)
        round.step(id, { type: 'source-changed', primaryAddress });
      return { ...group, faults: event.faults };
    case 'demotions-changed': {
      const demotion = totalDemotion(event.demotions);
      for (const id of round.members.keys()) round.step(id, { type: 'demotion-changed', demotion });
      if (event.handOver) round.stepEach({ type: 'leave', then: 'backup' }, 'master');
      return { ...group, demotions: event.demotions };
    }
    case 'members-changed':
      changeMembers(group, round, event.members);
      return { ...group, takeover: event.takeover ?? group.takeover };
  }
}

/** Brings every member to where the facts want it: in the election, or out of it. */
function settle(group: Group, round: Round, event: GroupEvent, now: number): void {
  const [fault] = group.faults;
  const members = [...round.members.values()];
  if (group.running && fault === undefined && !isDemotedHard(group)) {
    // A handover out of the election that nobody wants any more; nobody joins before it has ended.
    round.stepEach({ type: 'leave', then: 'backup' }, 'leaving');
    if (members.some(({ state }) => state.name === 'leaving')) return;
    const has = (name: State['name']): boolean => members.some(({ state }) => state.name === name);
    const startable = members.filter(
      ({ state, primaryAddress }) => state.name === 'init' && primaryAddress !== undefined,
    );
    // The group has one state: who joins a master is master at once, who joins a backup listens. One owner of the addresses
    // makes the others start like itself.
    const listen = has('backup') || now < group.holdUntil;
    const owner = !listen && startable.some((router) => ownPriority(router) === 255);
    const allOwners = startable.every((router) => ownPriority(router) === 255);
    const resume = (event.type === 'startup' && event.resume) || has('master') || (owner && !allOwners);
    for (const [id, { state, primaryAddress }] of round.members) {
      // Startup also means that there is an address to advertise from; it may be found a moment later.
      if (state.name === 'init' && primaryAddress !== undefined)
        round.step(id, { type: 'startup', resume, listen });
    }
    return;
  }
  const reason: Reason = group.running
    ? fault === undefined
      ? { code: 'demoted_hard' }
      : { code: 'fault', fault }
    : event.type === 'stop'
      ? event.reason
      : { code: 'shutdown' };
  // A fault cannot wait for a successor; an operator can.
  if (fault !== undefined) round.stepEach({ type: 'shutdown', reason }, 'master', 'leaving');
  else round.stepEach({ type: 'leave', then: 'init' }, 'master', 'leaving');
  round.stepEach({ type: 'shutdown', reason }, 'backup');
}

/** The reason to show for a new state. Out of the election it is the fact that holds the group there, not what its last
 *  member happened to hear. */
function transitionReason(
  group: Group,
  to: GroupState,
  event: GroupEvent,
  reasons: readonly Reason[],
): Reason {
  const [fault] = group.faults;
  if (to === 'fault') return fault === undefined ? { code: 'demoted_hard' } : { code: 'fault', fault };
  return reasons[0] ?? (event.type === 'stop' ? event.reason : { code: 'startup' });
}

/** One step of a whole group.
 *  @param now monotonic milliseconds
 *  @returns the group afterwards and what to do, advertisements first */
export function stepGroup(group: Group, event: GroupEvent, now: number): GroupStep {
  const round = new Round(group, now);
  const deadline = groupDeadline(group);
  // Judged before the event, which may be an Advertisement that had queued up meanwhile: late is not master.
  if (deadline !== undefined && now - deadline > lateLimitMs(group)) {
    round.stepEach({ type: 'overslept', lateMs: now - deadline }, 'backup', 'master', 'leaving');
  }
  const changed = apply(group, round, event, now);
  settle(changed, round, event, now);
  const next: Group = { ...changed, members: round.members };
  const from = groupState(group);
  const to = groupState(next);
  const actions: GroupAction[] = round.actions();
  if (from !== to) {
    const reason: Reason =
      from === 'fault' && to === 'backup'
        ? { code: 'recovered' }
        : transitionReason(next, to, event, round.reasons);
    actions.push({ type: 'report-transition', from, to, reason });
  }
  return { group: next, actions };
}
