import type {
  ControlHandler,
  DemoteReply,
  DemoteRequest,
  GroupStateName,
  PromoteReply,
  ReloadReply,
  Status,
  TransitionEvent,
} from '../control/messages.ts';
import { type HookDuration, renderMetrics } from '../control/metrics.ts';
import { ControlError } from '../errors.ts';
import type { Deadline, DeadlineTimer } from '../net/deadline-timer.ts';
import type { Native } from '../net/native.ts';
import type { EventLog } from './event-log.ts';
import type { FailoverGroup, HandoverOutcome } from './failover-group.ts';
import { type OperatorDemotion, type OperatorDemotions, contribution } from './operator-demotions.ts';
import type { StatusSources } from './status.ts';
import { groupStatus } from './status.ts';

/** What the daemon lets an operator see and do. */
export interface OperatorOptions {
  readonly node: string;
  readonly version: string;
  readonly configFile: string;
  readonly startedAt: Date;
  readonly native: Native;
  readonly timer: DeadlineTimer;
  readonly groups: ReadonlyMap<string, FailoverGroup>;
  readonly demotions: OperatorDemotions;
  readonly events: EventLog;
  readonly sources: () => StatusSources;
  readonly transitions: () => readonly { group: string; to: GroupStateName; count: number }[];
  readonly hookDurations: () => readonly HookDuration[];
  readonly reload: () => Promise<ReloadReply>;
}

/** Answers the control socket. */
export class Operator implements ControlHandler {
  readonly #options: OperatorOptions;
  /** When a timed demotion ends, by group. */
  readonly #ends = new Map<string, Deadline>();

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  status(): Status {
    const { node, version, configFile, startedAt, native, timer, groups } = this.#options;
    const sources = this.#options.sources();
    return {
      node,
      version,
      pid: process.pid,
      started_at: startedAt.toISOString(),
      config_file: configFile,
      loop_lateness_ms: timer.lateness.summary(native.now()),
      groups: [...groups.values()].map((group) => groupStatus(group, sources)),
      peers: [],
    };
  }

  events(): readonly TransitionEvent[] {
    return this.#options.events.all();
  }

  follow(onEvent: (event: TransitionEvent) => void): () => void {
    return this.#options.events.follow(onEvent);
  }

  reload(): Promise<ReloadReply> {
    return this.#options.reload();
  }

  metrics(): string {
    const { boundsSeconds, counts, sumSeconds, count } = this.#options.timer.lateness.histogram();
    return renderMetrics({
      status: this.status(),
      transitions: this.#options.transitions(),
      lateness: {
        buckets: boundsSeconds.map((le, index) => ({ le, count: counts[index] ?? 0 })),
        sum: sumSeconds,
        count,
      },
      hooks: this.#options.hookDurations(),
    });
  }

  async demote(name: string, request: DemoteRequest): Promise<DemoteReply> {
    const group = this.#group(name);
    const demotion: OperatorDemotion = {
      hard: request.hard ?? false,
      until: request.for_ms === undefined ? undefined : Date.now() + request.for_ms,
      persistent: request.persist ?? false,
    };
    const wasPersistent = this.#options.demotions.of(name)?.persistent ?? false;
    this.#options.demotions.set(name, demotion);
    const wasMaster = group.state === 'master';
    this.#log(name, 'demotion', 'operator', demotionText(demotion, request.for_ms));
    group.demoteByOperator(contribution(demotion), { handOver: true });
    this.#armEnd(name, demotion);
    const ended = group.handingOver && request.wait !== false ? group.handoverEnded() : undefined;
    const stored = demotion.persistent || wasPersistent ? await this.#store() : undefined;
    const outcome = ended === undefined ? immediateOutcome(group, wasMaster) : await ended;
    const text = `${outcomeText(group, outcome)}${stored === undefined ? '' : `; ${stored}`}`;
    return { group: name, state: group.state, outcome, text };
  }

  async promote(name: string): Promise<PromoteReply> {
    const group = this.#group(name);
    const demotion = this.#options.demotions.of(name);
    if (demotion === undefined) {
      return { group: name, state: group.state, text: `${name} was not demoted: it is ${group.state}` };
    }
    this.#endDemotion(group, 'promoted: back in the election with its own priority');
    const stored = demotion.persistent ? await this.#store() : undefined;
    const text = `${name} takes part with its own priority again${stored === undefined ? '' : `; ${stored}`}`;
    return { group: name, state: group.state, text };
  }

  /** Puts a group that starts under the demotion that an earlier run, or an earlier configuration, left. */
  resumeDemotion(group: FailoverGroup): void {
    const demotion = this.#options.demotions.of(group.name);
    if (demotion === undefined) return;
    if (demotion.until !== undefined && demotion.until <= Date.now()) {
      this.#options.demotions.delete(group.name);
      return;
    }
    group.demoteByOperator(contribution(demotion), { handOver: false });
    this.#armEnd(group.name, demotion);
  }

  close(): void {
    for (const end of this.#ends.values()) end.close();
  }

  #group(name: string): FailoverGroup {
    const group = this.#options.groups.get(name);
    if (group !== undefined) return group;
    const names = [...this.#options.groups.keys()].join(', ');
    throw new ControlError('no_such_group', {
      what: `there is no group ${name}`,
      fix: `the groups are ${names}`,
    });
  }

  #armEnd(name: string, { until, persistent }: OperatorDemotion): void {
    this.#ends.get(name)?.close();
    if (until === undefined) return;
    const end = this.#options.timer.deadline(() => {
      const group = this.#options.groups.get(name);
      if (group === undefined) return;
      this.#endDemotion(group, 'the time of the demotion is over');
      if (persistent) void this.#store();
    });
    end.set(this.#options.native.now() + (until - Date.now()));
    this.#ends.set(name, end);
  }

  #endDemotion(group: FailoverGroup, text: string): void {
    this.#ends.get(group.name)?.close();
    this.#ends.delete(group.name);
    this.#options.demotions.delete(group.name);
    this.#log(group.name, 'demotion', 'operator', text);
    group.demoteByOperator(undefined, { handOver: false });
  }

  /** @returns what went wrong, for the reply: the demotion holds all the same, but not beyond a restart */
  async #store(): Promise<string | undefined> {
    try {
      await this.#options.demotions.store();
      return undefined;
    } catch (error) {
      return `it could not be stored and will not survive a restart: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  #log(group: string, type: TransitionEvent['type'], reason: string, text: string): void {
    this.#options.events.add({ group, type, reason, text }, new Date());
  }
}

function demotionText({ hard, persistent }: OperatorDemotion, forMs: number | undefined): string {
  const how = hard ? 'taken out of the election' : 'demoted to the last choice';
  const long = forMs === undefined ? 'until promoted' : `for ${Math.round(forMs / 1000)} s`;
  return `${how} by an operator, ${long}${persistent ? ', also across restarts' : ''}`;
}

function immediateOutcome(group: FailoverGroup, wasMaster: boolean): DemoteReply['outcome'] {
  return wasMaster && group.handingOver ? 'pending' : 'not_master';
}

function outcomeText(group: FailoverGroup, outcome: HandoverOutcome | DemoteReply['outcome']): string {
  switch (outcome) {
    case 'handed_over':
      return `${group.name} was handed over: this node is ${group.state}`;
    case 'nobody_took_over':
      return group.state === 'master'
        ? `nobody took over ${group.name}: this node is still master; \`havrrp promote ${group.name}\` takes the demotion back`
        : `nobody took over ${group.name}: this node is ${group.state}, and no node is known to be master`;
    case 'not_master':
      return `${group.name} is demoted: this node was not master, it is ${group.state}`;
    case 'pending':
      return `${group.name} is being handed over`;
  }
}
