import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import type { Demotion as DemotionStatus } from '../control/messages.ts';
import { type Demotion, operatorDemotion } from '../protocol/demotion.ts';

/** What an operator asked of one group, until it is taken back. */
export interface OperatorDemotion {
  readonly hard: boolean;
  /** Wall clock milliseconds: it must mean the same after a reboot. */
  readonly until: number | undefined;
  readonly persistent: boolean;
}

/** The operator's contribution to a group's demotion. */
export function contribution({ hard }: OperatorDemotion): Demotion {
  return { source: 'operator', value: operatorDemotion, hard };
}

export function demotionStatus({ until, persistent }: OperatorDemotion): DemotionStatus {
  return {
    source: 'operator',
    value: operatorDemotion,
    ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
    persistent,
  };
}

const stored = z.record(z.string(), z.object({ hard: z.boolean(), until: z.optional(z.number()) }));

/** The operator's demotions of all groups; those that shall survive a restart are kept in the state directory. */
export class OperatorDemotions {
  readonly #file: string;
  readonly #demotions = new Map<string, OperatorDemotion>();
  /** One write after the other, so that the last one wins. */
  #writing: Promise<void> = Promise.resolve();

  constructor(stateDirectory: string) {
    this.#file = join(stateDirectory, 'demotions.json');
  }

  /** Reads what an earlier run stored.
   *  @returns what was wrong with the file, undefined when nothing was; a damaged file is as good as none */
  async load(): Promise<string | undefined> {
    const ignored = (why: string): string => `${this.#file}: ${why}: stored demotions are ignored`;
    try {
      const demotions = stored.safeParse(JSON.parse(await readFile(this.#file, 'utf8')));
      if (!demotions.success) return ignored('it holds something else');
      for (const [group, { hard, until }] of Object.entries(demotions.data)) {
        this.#demotions.set(group, { hard, until, persistent: true });
      }
      return undefined;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      return ignored(error instanceof Error ? error.message : String(error));
    }
  }

  of(group: string): OperatorDemotion | undefined {
    return this.#demotions.get(group);
  }

  set(group: string, demotion: OperatorDemotion): void {
    this.#demotions.set(group, demotion);
  }

  delete(group: string): void {
    this.#demotions.delete(group);
  }

  /** Stores what is persistent. @throws Error of the file system: the caller tells the operator */
  async store(): Promise<void> {
    const persistent = [...this.#demotions].filter(([, demotion]) => demotion.persistent);
    const text = Object.fromEntries(persistent.map(([group, { hard, until }]) => [group, { hard, until }]));
    const write = this.#writing.then(async () => {
      await mkdir(join(this.#file, '..'), { recursive: true });
      await writeFile(`${this.#file}.new`, `${JSON.stringify(text)}\n`, { mode: 0o600 });
      await rename(`${this.#file}.new`, this.#file);
    });
    this.#writing = write.catch(() => undefined);
    await write;
  }
}
