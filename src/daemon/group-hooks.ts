import type { Logger } from 'pino';
import type { GroupConfig, HooksConfig } from '../config/config.ts';
import type { HookStatus } from '../control/messages.ts';
import type { HookDuration } from '../control/metrics.ts';
import type { Native } from '../net/native.ts';
import type { EventLog } from './event-log.ts';
import { type HookEnd, HookQueue, type HookSettings, type HookTransition } from './hooks.ts';
import { endingText } from './program.ts';

/** A daemon that stops waits this long for hooks, beside the time limit of each. */
const stopLimitMs = 10_000;

function settingsOf({ commands, timeoutMs }: HooksConfig): HookSettings {
  return { programs: commands, timeoutMs };
}

/** The hook queues of all groups, and what is told of their runs. */
export class GroupHooks {
  readonly #options: {
    readonly node: string;
    readonly native: Native;
    readonly log: Logger;
    readonly events: EventLog;
  };
  readonly #queues = new Map<string, HookQueue>();

  constructor(options: { node: string; native: Native; log: Logger; events: EventLog }) {
    this.#options = options;
  }

  configure({ name, hooks }: GroupConfig): void {
    const known = this.#queues.get(name);
    if (known !== undefined) known.configure(settingsOf(hooks));
    else this.#queues.set(name, this.#create(name, hooks));
  }

  #create(group: string, hooks: HooksConfig): HookQueue {
    const { node, native, log } = this.#options;
    return new HookQueue({
      native,
      node,
      group,
      settings: settingsOf(hooks),
      onEnded: (run) => {
        this.#report(group, run);
      },
      onSkipped: ({ state, sequence }, next) => {
        log.info({ group, state, sequence, next: next?.state }, 'hooks skipped: that is history already');
      },
    });
  }

  #report(group: string, { argv, state, result }: HookEnd): void {
    const { log, events } = this.#options;
    const { ending, durationMs, output } = result;
    const good = ending.how === 'exited' && ending.status === 0;
    const text = `hook ${argv.join(' ')} (${state}) ${endingText(ending)} after ${Math.round(durationMs)} ms`;
    log[good ? 'info' : 'warn']({ group, argv, state, ending, durationMs, output }, 'hook ended');
    events.add({ type: 'hook', group, reason: good ? 'hook_ended' : 'hook_failed', text }, new Date());
  }

  transition(group: string, transition: HookTransition): void {
    this.#queues.get(group)?.transition(transition);
  }

  statusOf(group: string): HookStatus[] {
    return (this.#queues.get(group)?.runs ?? []).map(({ hook, argv, startedAt, result }) => ({
      hook,
      command: argv,
      started_at: startedAt.toISOString(),
      duration_ms: result === undefined ? null : Math.round(result.durationMs),
      result: result === undefined ? 'running' : endingText(result.ending),
    }));
  }

  get durations(): HookDuration[] {
    return [...this.#queues].flatMap(([group, { durations }]) =>
      [...durations].map(([hook, histogram]) => ({ group, hook, histogram })),
    );
  }

  /** Waits for a group's hooks to end, its `stop` hooks among them. */
  async finish(group: string): Promise<void> {
    await this.#queues.get(group)?.finish(stopLimitMs);
    this.#queues.delete(group);
  }

  close(): void {
    for (const queue of this.#queues.values()) queue.close();
  }
}
