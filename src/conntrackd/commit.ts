import { readFile } from 'node:fs/promises';
import type { Clock, ControlClient } from './control-client.ts';
import { ask, type Health } from './watch.ts';

/** One commit: the peer's sessions, out of conntrackd and into our kernel, while the addresses wait.
 *
 *  conntrackd tells neither success nor failure: a commit it has refused and one whose every entry has failed end like a good
 *  one. So entries are counted, before in conntrackd and afterwards in the kernel. */

export type CommitState =
  | 'committed'
  /** There is no session to take over; in injection mode they are in the kernel already. */
  | 'nothing_to_commit'
  /** The kernel has fewer entries than were to be committed: its table is full, or it refused them. */
  | 'incomplete'
  /** The same, and conntrackd answered too soon to have done anything. */
  | 'refused'
  /** It goes on, and is not waited for any longer. */
  | 'deadline'
  | Exclude<Health, 'ok'>;

export interface CommitOutcome {
  readonly state: CommitState;
  readonly durationMs: number;
  /** Sessions that were to be committed; undefined where conntrackd could not be asked. */
  readonly entries: number | undefined;
  /** Sessions in the kernel afterwards, our own among them. */
  readonly kernelEntries: number | undefined;
  /** For people. */
  readonly text: string;
}

export interface CommitOptions {
  readonly client: ControlClient;
  readonly clock: Clock;
  /** Entries in our kernel's table; undefined where they cannot be counted. */
  readonly countKernel: () => Promise<number | undefined>;
  /** `auto`: by the entries of the external cache. A commit takes 10 to 14 us for each. */
  readonly timeoutMs: number | 'auto';
  /** Entries of the external cache when it was last looked at. */
  readonly expected: number | undefined;
  /** The sessions are in our kernel already: there is nothing to ask for. */
  readonly injected: boolean;
  /** Once this is false, nothing more is asked for. */
  readonly wanted: () => boolean;
}

/** Beyond the deadline a commit is listened to for this long: conntrackd goes on with it. */
const patienceMs = 30_000;

const countEveryMs = 20;

/** A table that has not grown for this long does not grow any more. */
const restMs = 100;

/** conntrackd is not as fast as this. */
const impossibleEntryMs = 0.001;

/** Some of the sessions may have ended while they were committed. */
const enough = 0.9;

type Finding = Omit<CommitOutcome, 'durationMs' | 'entries'>;

const alreadyThere: Finding = {
  state: 'nothing_to_commit',
  text: 'the sessions were in the kernel already',
  kernelEntries: undefined,
};

export class Commit {
  readonly startedAt: number;
  /** Comes by the deadline, whatever conntrackd does. Never rejects. */
  readonly outcome: Promise<CommitOutcome>;
  /** Comes when it is over, be it long after the deadline: what has become of it. Never rejects. */
  readonly ended: Promise<CommitOutcome>;
  readonly #options: CommitOptions;
  #entries: number | undefined;
  #cancelDeadline = (): void => undefined;

  constructor(options: CommitOptions) {
    this.#options = options;
    this.startedAt = options.clock.now();
    const deadline = new Promise<CommitOutcome>((resolve) => {
      this.#onDeadline = () => resolve(this.#outcomeOf(this.#late()));
    });
    this.#armDeadline();
    this.ended = this.#carryOut().then((finding) => this.#outcomeOf(finding));
    this.outcome = Promise.race([this.ended, deadline]).finally(() => this.#cancelDeadline());
  }

  #onDeadline = (): void => undefined;

  async #carryOut(): Promise<Finding> {
    const { client, clock, expected, injected, wanted } = this.#options;
    if (injected) return alreadyThere;
    const { health, detail, statistics } = await ask(client, this.#limitMs(expected ?? 0));
    if (health !== 'ok' || statistics === undefined) {
      return { state: health === 'ok' ? 'broken' : health, text: detail, kernelEntries: undefined };
    }
    if (statistics.mode === 'injection') return alreadyThere;
    const entries = statistics.external?.current ?? 0;
    this.#entries = entries;
    this.#armDeadline();

    // Also when there is nothing in it: it takes back a flush that some other program has scheduled with -t.
    const askedAt = clock.now();
    const answer = await client.request('commit', {
      timeoutMs: this.#limitMs(entries) + patienceMs,
      wanted,
    });
    const tookMs = clock.now() - askedAt;
    if (!answer.ok) {
      const state = answer.reason === 'timeout' ? 'hung' : answer.reason;
      return {
        state,
        text: `conntrackd did not finish its commit: ${answer.detail}`,
        kernelEntries: undefined,
      };
    }
    const kernelEntries = await countUntil(this.#options, entries * enough);
    if (entries === 0) return { state: 'nothing_to_commit', text: 'there were no sessions', kernelEntries };
    if (kernelEntries === undefined) {
      return { state: 'incomplete', text: 'the entries of the kernel cannot be counted', kernelEntries };
    }
    if (kernelEntries >= entries * enough) {
      return { state: 'committed', text: `${entries} sessions were committed`, kernelEntries };
    }
    const text = `of ${entries} sessions, the kernel has ${kernelEntries}`;
    return tookMs < 1 + entries * impossibleEntryMs
      ? { state: 'refused', text: `conntrackd did not commit: ${text}`, kernelEntries }
      : { state: 'incomplete', text: `the commit is incomplete: ${text}`, kernelEntries };
  }

  #late(): Finding {
    const waited = `${Math.round(this.#options.clock.now() - this.startedAt)} ms`;
    return this.#entries === undefined
      ? { state: 'hung', text: `conntrackd hangs: no answer in ${waited}`, kernelEntries: undefined }
      : {
          state: 'deadline',
          text: `the commit of ${this.#entries} sessions was not waited for after ${waited}`,
          kernelEntries: undefined,
        };
  }

  #outcomeOf(finding: Finding): CommitOutcome {
    const durationMs = this.#options.clock.now() - this.startedAt;
    return { ...finding, durationMs, entries: this.#entries };
  }

  #armDeadline(): void {
    const { clock, expected } = this.#options;
    const at = this.startedAt + this.#limitMs(this.#entries ?? expected ?? 0);
    this.#cancelDeadline();
    this.#cancelDeadline = clock.after(at - clock.now(), this.#onDeadline);
  }

  #limitMs(entries: number): number {
    const { timeoutMs } = this.#options;
    return timeoutMs === 'auto' ? 1000 + 0.03 * entries : timeoutMs;
  }
}

export function isProved({ state }: CommitOutcome): boolean {
  return state === 'committed' || state === 'nothing_to_commit';
}

/** Counts until there are so many, or until they are no longer becoming more: another commit may be under way. */
async function countUntil(
  { countKernel, clock }: CommitOptions,
  wanted: number,
): Promise<number | undefined> {
  const startedAt = clock.now();
  let most = -1;
  let grownAt = startedAt;
  for (;;) {
    const count = await countKernel();
    if (count === undefined || count >= wanted) return count;
    const now = clock.now();
    if (count > most) grownAt = now;
    most = Math.max(most, count);
    if (now - grownAt >= restMs || now - startedAt >= patienceMs) return count;
    await new Promise<void>((resolve) => clock.after(countEveryMs, resolve));
  }
}

/** Entries in the table of our own network namespace; undefined without connection tracking. */
export async function countKernelEntries(): Promise<number | undefined> {
  try {
    return Number(await readFile('/proc/sys/net/netfilter/nf_conntrack_count', 'latin1'));
  } catch {
    return undefined;
  }
}
