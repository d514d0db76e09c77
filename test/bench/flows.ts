import { fileURLToPath } from 'node:url';
import { must, type Child } from './child.ts';
import { Feed } from './feed.ts';
import type { BackgroundPlan, FlowLine, FlowPlan } from './flows-child.ts';
import type { Host } from './network.ts';

const program = fileURLToPath(new URL('flows-child.js', import.meta.url));

/** What became of one session. */
export interface FlowReport {
  readonly name: string;
  /** Received and right. */
  readonly bytes: number;
  /** In ms, between two arrivals; the time after the last one counts as well. */
  readonly longestSilenceMs: number;
  /** How it ended before we ended it; undefined: it lives. */
  readonly ended: string | undefined;
}

/** Serves downloads and echoes on a host. */
export async function startFlowServer(host: Host): Promise<Child> {
  const child = await host.start(process.execPath, [program, 'serve']);
  await child.lines.next(({ text }) => text === 'ready', {
    withinMs: 10_000,
    what: `the server of ${host.name}`,
  });
  return child;
}

/** Real sessions, every byte of them checked: downloads at 20 MB/s, echoes every 20 ms. They begin at once. */
export class Flows implements AsyncDisposable {
  readonly lines: Feed<FlowLine> = new Feed();
  readonly #child: Child;
  readonly #names: readonly string[];

  /** Resolves when every session moves. */
  static async start(host: Host, plans: readonly FlowPlan[]): Promise<Flows> {
    const child = await host.start(process.execPath, [program, 'flows', JSON.stringify(plans)]);
    const flows = new Flows(
      child,
      plans.map(({ name }) => name),
    );
    for (const { name } of plans) await flows.moves(name, 10_000);
    return flows;
  }

  private constructor(child: Child, names: readonly string[]) {
    this.#child = child;
    this.#names = names;
    child.lines.onItem(({ from, text }) => {
      if (from === 'stdout') this.lines.push(JSON.parse(text) as FlowLine);
    });
    void child.ended.then(() => {
      this.lines.end('the sessions were ended');
    });
  }

  /** Resolves when something has arrived from now on. @throws Error when nothing does */
  async moves(name: string, withinMs: number): Promise<void> {
    const from = performance.timeOrigin + performance.now();
    await this.lines.next((line) => line.flow === name && line.type === 'moved' && line.at > from, {
      withinMs,
      what: `bytes of ${name}`,
    });
  }

  /** @param from only what came later, in ms of CLOCK_REALTIME */
  report(from = 0): readonly FlowReport[] {
    const at = performance.timeOrigin + performance.now();
    return this.#names.map((name) => {
      const lines = this.lines.items.filter((line) => line.flow === name);
      const moved = lines.filter((line) => line.type === 'moved');
      const silences = lines.filter((line) => line.type === 'silence' && line.at > from);
      const ended = lines.find((line) => line.type === 'ended');
      const lastAt = Math.max(from, ...moved.map((line) => line.at), ...silences.map((line) => line.at));
      return {
        name,
        bytes: moved.at(-1)?.bytes ?? 0,
        longestSilenceMs: Math.max(
          at - lastAt,
          ...silences.map((line) => (line.type === 'silence' ? line.at - line.from : 0)),
        ),
        ended: ended?.why,
      };
    });
  }

  /** Ends all sessions. */
  async close(): Promise<void> {
    await this.#child.close('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Fills the session table of a host with established TCP sessions that nobody uses (20 us each), as if they had come through it. */
export async function makeBackground(
  host: Host,
  plan: Partial<BackgroundPlan> & { readonly count: number },
): Promise<void> {
  const whole: BackgroundPlan = {
    first: 0,
    sourceNet: 77,
    destination: '10.71.2.10',
    snat: '10.71.2.1',
    ...plan,
  };
  await must(process.execPath, [program, 'background', JSON.stringify(whole)], { namespace: host.namespace });
}

/** Empties the session table of a host. */
export async function forgetSessions(host: Host): Promise<void> {
  await must(process.execPath, [program, 'forget'], { namespace: host.namespace });
}
