import { readFileSync } from 'node:fs';
import { readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import type { Family } from '../protocol/address.ts';
import type { Checksum } from '../protocol/vrrp-packet.ts';

/** What a daemon that died leaves for its successor and for `havrrp release`, in the runtime directory: which groups were master,
 *  when they last said so, what they said, and what they held. */

export interface RunState {
  /** Monotonic instants mean nothing in another boot. */
  readonly bootId: string;
  /** Groups that were master, by name. */
  readonly masters: Readonly<Record<string, MasterState>>;
}

export interface MasterState {
  /** Monotonic milliseconds of the last Advertisement when this was written; 0 once it had said that it leaves. */
  readonly advertisedAt: number;
  readonly routers: readonly MasterRouter[];
  /** Everything it put on this host. */
  readonly holds: readonly {
    readonly interface: string;
    readonly address: string;
    readonly prefixLength: number;
  }[];
}

export interface MasterRouter {
  readonly interface: string;
  readonly family: Family;
  readonly vrid: number;
  readonly intervalMs: number;
  /** As advertised. */
  readonly addresses: readonly string[];
  readonly source: string;
  readonly checksum: Checksum;
}

/** What is read back must have been written by us, but who knows by which version. */
const stored: z.ZodMiniType<RunState> = z.object({
  bootId: z.string(),
  masters: z.record(
    z.string(),
    z.object({
      advertisedAt: z.number(),
      routers: z.array(
        z.object({
          interface: z.string(),
          family: z.enum(['ipv4', 'ipv6']),
          vrid: z.number(),
          intervalMs: z.number(),
          addresses: z.array(z.string()),
          source: z.string(),
          checksum: z.enum(['rfc9568', 'pseudo_header']),
        }),
      ),
      holds: z.array(z.object({ interface: z.string(), address: z.string(), prefixLength: z.number() })),
    }),
  ),
});

/** The kernel's name for this boot. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function runStateFile(runtimeDirectory: string): string {
  return join(runtimeDirectory, 'run-state.json');
}

/** @returns what the last daemon of this boot left; undefined when it left nothing, or nothing readable */
export async function readRunState(runtimeDirectory: string): Promise<RunState | undefined> {
  try {
    const state = stored.parse(JSON.parse(await readFile(runStateFile(runtimeDirectory), 'utf8')));
    return state.bootId === bootId() ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Forgets what a dead daemon left, once it has been dealt with. */
export async function forgetRunState(runtimeDirectory: string): Promise<void> {
  try {
    await unlink(runStateFile(runtimeDirectory));
  } catch {
    // There was none.
  }
}

/** Writes the run state without ever waiting for it: one write at a time, and only the newest of those that wait. */
export class RunStateWriter {
  readonly #runtimeDirectory: string;
  readonly #onError: (error: unknown) => void;
  #writing: Promise<void> | undefined;
  #next: RunState | undefined;

  constructor(runtimeDirectory: string, onError: (error: unknown) => void) {
    this.#runtimeDirectory = runtimeDirectory;
    this.#onError = onError;
  }

  write(state: RunState): void {
    this.#next = state;
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    const file = runStateFile(this.#runtimeDirectory);
    while (this.#next !== undefined) {
      const text = JSON.stringify(this.#next);
      this.#next = undefined;
      try {
        await writeFile(`${file}.new`, text, { mode: 0o600 });
        await rename(`${file}.new`, file);
      } catch (error) {
        this.#onError(error);
      }
    }
    this.#writing = undefined;
  }

  /** After an orderly stop nothing is left behind, so there is nothing to tell. */
  async remove(): Promise<void> {
    this.#next = undefined;
    await this.#writing;
    await forgetRunState(this.#runtimeDirectory);
  }
}
