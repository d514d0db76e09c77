import type { Deadline, DeadlineTimer } from '../net/deadline-timer.ts';
import type { Native } from '../net/native.ts';
import type { Demotion } from '../protocol/demotion.ts';
import {
  type Group,
  type GroupAction,
  type GroupEvent,
  type GroupState,
  type Takeover,
  createGroup,
  groupDeadline,
  groupState,
  isHandingOver,
  stepGroup,
} from '../protocol/group.ts';
import type { Reason } from '../protocol/reason.ts';
import type { Member } from './member.ts';
import { memberSettings } from './member.ts';

export type HandoverOutcome = 'handed_over' | 'nobody_took_over';

/** The last change of a group's state, and when. */
export interface Since {
  readonly at: Date;
  /** The same in monotonic milliseconds. */
  readonly monotonicAt: number;
  readonly reason: Reason;
}

/** One failover group of the running daemon: its value, its one deadline, and nothing else. The only caller of `stepGroup`. */
export class FailoverGroup {
  readonly name: string;
  readonly #native: Native;
  readonly #deadline: Deadline;
  readonly #perform: (group: FailoverGroup, actions: readonly GroupAction[]) => void;
  #members: readonly Member[];
  #value: Group;
  /** The value before the last step: a member that is gone by now may still have its last word to say. */
  #before: Group;
  #since: Since;
  #transitions = 0;
  #operatorDemotion: Demotion | undefined;
  #trackerDemotions: readonly Demotion[] = [];
  #handoverStartedAt: number | undefined;
  #waiting: ((outcome: HandoverOutcome) => void)[] = [];

  constructor(options: {
    name: string;
    members: readonly Member[];
    takeover: Takeover;
    native: Native;
    timer: DeadlineTimer;
    perform: (group: FailoverGroup, actions: readonly GroupAction[]) => void;
    /** Takes in every Advertisement that has already arrived for the group. */
    drain: (group: FailoverGroup) => void;
  }) {
    this.name = options.name;
    this.#native = options.native;
    this.#perform = options.perform;
    this.#members = options.members;
    this.#since = { at: new Date(), monotonicAt: options.native.now(), reason: { code: 'startup' } };
    this.#value = createGroup(
      options.members.map((member) => memberSettings(member, undefined)),
      options.takeover,
    );
    this.#before = this.#value;
    this.#deadline = options.timer.deadline(() => {
      // Drain before deciding: an Advertisement that has arrived in time counts, whenever we come to read it. A master has
      // nothing to decide, and its Advertisement is due.
      if (this.state !== 'master' || isHandingOver(this.#value)) options.drain(this);
      this.step({ type: 'deadline-reached' });
    });
  }

  get value(): Group {
    return this.#value;
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  get state(): GroupState {
    return groupState(this.#value);
  }

  get since(): Since {
    return this.#since;
  }

  get transitions(): number {
    return this.#transitions;
  }

  get handingOver(): boolean {
    return isHandingOver(this.#value);
  }

  get demotions(): readonly Demotion[] {
    return this.#value.demotions;
  }

  /** Where a member's Advertisements come from, also the last one of a member that was removed. */
  sourceOf(id: string): string | undefined {
    return (this.#value.members.get(id) ?? this.#before.members.get(id))?.primaryAddress;
  }

  /** The one door for everything that happens to the group. */
  step(event: GroupEvent): void {
    const now = this.#native.now();
    const wasHandingOver = this.handingOver;
    const { group, actions } = stepGroup(this.#value, event, now);
    this.#before = this.#value;
    this.#value = group;
    this.#deadline.set(groupDeadline(group));
    for (const action of actions) {
      if (action.type !== 'report-transition') continue;
      this.#since = { at: new Date(), monotonicAt: now, reason: action.reason };
      this.#transitions += 1;
    }
    if (this.handingOver && !wasHandingOver) this.#handoverStartedAt = now;
    this.#perform(this, actions);
    if (wasHandingOver && !this.handingOver) this.#endHandover();
  }

  /** The members of a new configuration; those that stayed keep their state. */
  configure(members: readonly Member[], takeover: Takeover): void {
    const kept = new Set(members.map(({ id }) => id));
    // Those that go are still needed for their last words.
    this.#members = [...members, ...this.#members.filter(({ id }) => !kept.has(id))];
    const sources = new Map([...this.#value.members].map(([id, { primaryAddress }]) => [id, primaryAddress]));
    this.step({
      type: 'members-changed',
      members: members.map((member) => memberSettings(member, sources.get(member.id))),
      takeover,
    });
    this.#members = members;
  }

  /** What the operator adds to the demotion, or no longer adds. A master hands over when it is demoted. */
  demoteByOperator(demotion: Demotion | undefined, { handOver }: { handOver: boolean }): void {
    this.#operatorDemotion = demotion;
    this.#stepDemotions(handOver);
  }

  /** What trackers add: the election decides what becomes of it. */
  demoteByTrackers(demotions: readonly Demotion[]): void {
    if (JSON.stringify(demotions) === JSON.stringify(this.#trackerDemotions)) return;
    this.#trackerDemotions = demotions;
    this.#stepDemotions(false);
  }

  #stepDemotions(handOver: boolean): void {
    const operator = this.#operatorDemotion === undefined ? [] : [this.#operatorDemotion];
    this.step({ type: 'demotions-changed', demotions: [...operator, ...this.#trackerDemotions], handOver });
  }

  /** Resolves when the planned handover that is under way has ended. */
  handoverEnded(): Promise<HandoverOutcome> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #endHandover(): void {
    const startedAt = this.#handoverStartedAt ?? Infinity;
    const succeeded = [...this.#value.members.values()].some(
      ({ heard }) => heard !== undefined && heard.at >= startedAt && heard.advertisement.priority > 0,
    );
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#handoverStartedAt = undefined;
    for (const resolve of waiting) resolve(succeeded ? 'handed_over' : 'nobody_took_over');
  }

  /** No more deadlines; whoever still waits for a handover is told that it did not happen. */
  close(): void {
    this.#deadline.close();
    this.#endHandover();
  }
}
