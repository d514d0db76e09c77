import { fileURLToPath } from 'node:url';
import { Child } from './child.ts';
import { Feed } from './feed.ts';
import type { Host } from './network.ts';
import type { ProbeLine, ProbePlan } from './probe-child.ts';

/** One probe and what became of it. */
export interface Outcome {
  /** The target's address. */
  readonly target: string;
  readonly sequence: number;
  /** Milliseconds of CLOCK_REALTIME, as the frames of a capture. */
  readonly sentAt: number;
  /** Undefined: lost. */
  readonly answeredAfterMs: number | undefined;
}

/** Probes lost in a row. */
export interface Outage {
  readonly target: string;
  /** When the first lost one was sent. */
  readonly from: number;
  /** When the first one was sent that was answered again; undefined while it lasts. */
  readonly to: number | undefined;
  readonly lost: number;
}

const program = fileURLToPath(new URL('probe-child.js', import.meta.url));

/** RFC 862 */
export const echoPort = 7;

/** Answers probes on a host, on all the addresses it has or gets. */
export async function startResponder(host: Host): Promise<Child> {
  const child = await host.start(process.execPath, [program, 'respond', String(echoPort)]);
  await child.lines.next(({ text }) => text === 'ready', {
    withinMs: 10_000,
    what: `the responder of ${host.name}`,
  });
  return child;
}

/** A client that asks addresses for an echo every few milliseconds (5 is fine), IPv4 and IPv6, and knows of each probe
 *  whether it was answered. Somebody must respond there: `startResponder`. */
export class Probe implements AsyncDisposable {
  /** In order of time for each target; a lost one is known after `patienceMs`. */
  readonly outcomes: Feed<Outcome> = new Feed();
  readonly #child: Child;

  static async start(
    host: Host,
    targets: readonly string[],
    { intervalMs = 5, patienceMs = 200 }: { readonly intervalMs?: number; readonly patienceMs?: number } = {},
  ): Promise<Probe> {
    const plan: ProbePlan = {
      targets: targets.map((address) => ({ address, port: echoPort })),
      intervalMs,
      patienceMs,
    };
    const child = await host.start(process.execPath, [program, 'probe', JSON.stringify(plan)]);
    return new Probe(child, targets);
  }

  private constructor(child: Child, targets: readonly string[]) {
    this.#child = child;
    child.lines.onItem(({ from, text }) => {
      if (from !== 'stdout') return;
      for (const [target, sequence, sentAt, answeredAfterMs] of JSON.parse(text) as ProbeLine)
        this.outcomes.push({
          target: targets[target] ?? '',
          sequence,
          sentAt,
          answeredAfterMs: answeredAfterMs ?? undefined,
        });
    });
    void child.ended.then(() => {
      this.outcomes.end('the probe has ended');
    });
  }

  /** The first answer from a target after the outcome last waited for. */
  answered(target: string, withinMs: number): Promise<Outcome> {
    return this.outcomes.next(
      (outcome) => outcome.target === target && outcome.answeredAfterMs !== undefined,
      {
        withinMs,
        what: `an answer from ${target}`,
      },
    );
  }

  /** Sends no more, waits for what is under way, and tells what was lost. */
  async finish(): Promise<readonly Outage[]> {
    this.#child.endInput();
    await this.#child.ended;
    return outages(this.outcomes.items);
  }

  async close(): Promise<void> {
    await this.#child.close('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The outages in outcomes of any number of targets, oldest first. */
export function outages(outcomes: readonly Outcome[]): readonly Outage[] {
  const found: Outage[] = [];
  const current = new Map<string, { target: string; from: number; to: number | undefined; lost: number }>();
  for (const { target, sentAt, answeredAfterMs } of outcomes) {
    const outage = current.get(target);
    if (answeredAfterMs !== undefined) {
      if (outage !== undefined) outage.to = sentAt;
      current.delete(target);
    } else if (outage !== undefined) {
      outage.lost += 1;
    } else {
      const begun = { target, from: sentAt, to: undefined, lost: 1 };
      current.set(target, begun);
      found.push(begun);
    }
  }
  return found.toSorted((one, other) => one.from - other.from);
}
