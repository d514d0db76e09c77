import type { Native } from '../net/native.ts';
import { Histogram, type HistogramSnapshot } from './histogram.ts';
import { Program, type ProgramResult } from './program.ts';

/** What a group has come to, as hooks are told: its states, and `stop` when it ends. */
export type HookState = 'master' | 'backup' | 'fault' | 'stop';

/** The keys of `.hooks`; `any` is run after those of the state, whichever that is. */
export type HookName = HookState | 'any';

export interface HookSettings {
  /** Programs and their arguments, in the order to run them. */
  readonly programs: Readonly<Record<HookName, readonly (readonly string[])[]>>;
  readonly timeoutMs: number;
}

export interface HookTransition {
  readonly state: HookState;
  readonly previous: string;
  /** The code of the reason. */
  readonly reason: string;
  /** Counts the transitions of the group. */
  readonly sequence: number;
  /** The group's status, for standard input. */
  readonly statusJson: string;
}

const hookNames: readonly HookName[] = ['master', 'backup', 'fault', 'stop', 'any'];

/** One run of one hook. */
export interface HookRun {
  readonly hook: HookName;
  readonly argv: readonly string[];
  readonly state: HookState;
  readonly sequence: number;
  readonly startedAt: Date;
  /** Undefined while it runs. */
  readonly result: ProgramResult | undefined;
}

export type HookEnd = HookRun & { readonly result: ProgramResult };

export interface HookQueueOptions {
  readonly native: Native;
  readonly node: string;
  readonly group: string;
  readonly settings: HookSettings;
  readonly onStarted?: (run: HookRun) => void;
  readonly onEnded: (run: HookEnd) => void;
  /** Its hooks were not run, or not all of them: the transition that came after it, or undefined at the end of all. */
  readonly onSkipped: (transition: HookTransition, next: HookTransition | undefined) => void;
}

const durationBoundsSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Runs the hooks of one group: one program after the other, and of the transitions that had to wait only the last. A transition whose
 *  hooks have begun is told to the end. */
export class HookQueue {
  readonly #options: HookQueueOptions;
  readonly #runs = new Map<string, HookRun>();
  readonly #durations = new Map<HookName, Histogram>();
  #settings: HookSettings;
  #next: HookTransition | undefined;
  #program: Program | undefined;
  #working: Promise<void> | undefined;
  #closed = false;

  constructor(options: HookQueueOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  /** The last run of every hook there has been one of, and the one that runs now. */
  get runs(): readonly HookRun[] {
    return [...this.#runs.values()];
  }

  /** In seconds, by hook. */
  get durations(): ReadonlyMap<HookName, HistogramSnapshot> {
    return new Map([...this.#durations].map(([hook, histogram]) => [hook, histogram.snapshot()]));
  }

  /** For the hooks that have not begun. */
  configure(settings: HookSettings): void {
    this.#settings = settings;
    const { programs } = settings;
    const keys = hookNames.flatMap((hook) => programs[hook].map((argv, index) => runKey(hook, index, argv)));
    for (const key of this.#runs.keys()) if (!keys.includes(key)) this.#runs.delete(key);
  }

  /** The group has come to this state. Nothing is run before the event loop has had its next turn: what there is to send and to set
   *  for the new state goes first. */
  transition(transition: HookTransition): void {
    if (this.#closed) return;
    const superseded = this.#next;
    this.#next = transition;
    if (superseded !== undefined) this.#skip(superseded, transition);
    this.#working ??= this.#work();
  }

  /** Resolves when nothing is left to do, at the latest after this time (and three seconds for the last one to die); nothing is
   *  run after that. */
  async finish(limitMs: number): Promise<void> {
    const timer = setTimeout(() => {
      this.#closed = true;
      this.#program?.end();
    }, limitMs);
    await this.#working;
    clearTimeout(timer);
    this.#closed = true;
  }

  /** Ends what runs, at once. */
  close(): void {
    this.#closed = true;
    this.#program?.kill();
  }

  async #work(): Promise<void> {
    await new Promise(setImmediate);
    for (let transition = this.#next; transition !== undefined; transition = this.#next) {
      this.#next = undefined;
      await this.#tell(transition);
    }
    this.#working = undefined;
  }

  async #tell(transition: HookTransition): Promise<void> {
    const { programs, timeoutMs } = this.#settings;
    for (const hook of [transition.state, 'any'] as const) {
      for (const [index, argv] of programs[hook].entries()) {
        if (this.#closed) {
          this.#skip(transition, undefined);
          return;
        }
        await this.#run(runKey(hook, index, argv), hook, argv, transition, timeoutMs);
      }
    }
  }

  async #run(
    key: string,
    hook: HookName,
    argv: readonly string[],
    { state, previous, reason, sequence, statusJson }: HookTransition,
    timeoutMs: number,
  ): Promise<void> {
    const { native, node, group } = this.#options;
    const run = { hook, argv, state, sequence, startedAt: new Date() };
    this.#runs.set(key, { ...run, result: undefined });
    this.#program = Program.start({
      native,
      argv,
      environment: {
        HAVRRP_NODE: node,
        HAVRRP_GROUP: group,
        HAVRRP_STATE: state,
        HAVRRP_PREVIOUS_STATE: previous,
        HAVRRP_REASON: reason,
        HAVRRP_SEQUENCE: String(sequence),
      },
      // `read -r` of a shell wants the end of the line.
      input: `${statusJson.trimEnd()}\n`,
      limitMs: timeoutMs,
      leftovers: 'leave',
    });
    this.#options.onStarted?.({ ...run, result: undefined });
    const result = await this.#program.result;
    this.#program = undefined;
    this.#runs.set(key, { ...run, result });
    this.#durationsOf(hook).record(result.durationMs / 1000);
    this.#options.onEnded({ ...run, result });
  }

  #durationsOf(hook: HookName): Histogram {
    const known = this.#durations.get(hook) ?? new Histogram(durationBoundsSeconds);
    this.#durations.set(hook, known);
    return known;
  }

  #skip(transition: HookTransition, next: HookTransition | undefined): void {
    const { programs } = this.#settings;
    if (programs[transition.state].length + programs.any.length > 0)
      this.#options.onSkipped(transition, next);
  }
}

/** Which of the configured hooks it was. */
function runKey(hook: HookName, index: number, argv: readonly string[]): string {
  return JSON.stringify([hook, index, ...argv]);
}
