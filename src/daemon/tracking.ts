import type { Logger } from 'pino';
import type { GroupConfig, TrackerConfig } from '../config/config.ts';
import type { TrackerStatus as TrackerReport } from '../control/messages.ts';
import type { DeadlineTimer } from '../net/deadline-timer.ts';
import type { Native } from '../net/native.ts';
import type { Fault } from '../protocol/reason.ts';
import type { EventLog } from './event-log.ts';
import type { Host } from './facts.ts';
import type { FailoverGroup } from './failover-group.ts';
import type { TrackerSettings } from './trackers/settings.ts';
import { type TrackerStatus, Trackers } from './trackers/trackers.ts';

function settingsOf(config: TrackerConfig): TrackerSettings {
  switch (config.kind) {
    case 'command':
      return { ...config, kind: 'command', argv: config.command };
    case 'file':
      return { ...config, kind: 'file', path: config.file };
    default:
      return config;
  }
}

/** The trackers of all groups, and what they do to them: a demotion, or a fault. */
export class Tracking {
  readonly #options: {
    readonly node: string;
    readonly native: Native;
    readonly timer: DeadlineTimer;
    readonly host: Host;
    readonly log: Logger;
    readonly events: EventLog;
    /** The faults of a group may have changed. */
    readonly onFaults: () => void;
  };
  readonly #trackers = new Map<string, Trackers>();

  constructor(options: {
    node: string;
    native: Native;
    timer: DeadlineTimer;
    host: Host;
    log: Logger;
    events: EventLog;
    onFaults: () => void;
  }) {
    this.#options = options;
  }

  /** What a group tracks from now on. @param hold until the first results, for a group that starts */
  configure(group: FailoverGroup, { track }: GroupConfig, hold: boolean): void {
    const known = this.#trackers.get(group.name);
    if (known === undefined && track.length === 0) return;
    const trackers = known ?? this.#create(group);
    this.#trackers.set(group.name, trackers);
    trackers.configure(track.map(settingsOf), { hold });
    this.#apply(group);
  }

  #create(group: FailoverGroup): Trackers {
    const { node, native, timer, host, log } = this.#options;
    return new Trackers({
      native,
      timer,
      host,
      environment: { HAVRRP_NODE: node, HAVRRP_GROUP: group.name },
      onChange: (status) => {
        this.#report(group, status);
        this.#apply(group);
      },
      onDiscarded: ({ name }, lateMs) => {
        log.warn(
          { group: group.name, tracker: name, lateMs },
          'a failure does not count: the event loop was late',
        );
      },
    });
  }

  #report(group: FailoverGroup, { name, state, detail, contributes }: TrackerStatus): void {
    const { log, events } = this.#options;
    const text = `${name}: ${state}: ${detail}`;
    log[state === 'pass' ? 'info' : 'warn']({ group: group.name, tracker: name, state, contributes }, detail);
    events.add({ type: 'tracker', group: group.name, reason: state, text }, new Date());
  }

  #apply(group: FailoverGroup): void {
    group.demoteByTrackers(this.#trackers.get(group.name)?.demotions ?? []);
    this.#options.onFaults();
  }

  /** Something was heard of an interface. */
  refresh(): void {
    for (const trackers of this.#trackers.values()) trackers.refresh();
  }

  faultsOf(group: string): readonly Fault[] {
    return this.#trackers.get(group)?.faults ?? [];
  }

  statusOf(group: string): TrackerReport[] {
    return (this.#trackers.get(group)?.status ?? []).map((status) => ({
      ...status,
      since: status.since.toISOString(),
    }));
  }

  remove(group: string): void {
    this.#trackers.get(group)?.close();
    this.#trackers.delete(group);
  }

  close(): void {
    for (const trackers of this.#trackers.values()) trackers.close();
    this.#trackers.clear();
  }
}
