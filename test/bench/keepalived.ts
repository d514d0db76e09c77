import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from './child.ts';
import { removeDirectory, temporaryDirectory } from './leftovers.ts';
import type { Host } from './network.ts';

/** What a keepalived of ours is configured with; VRRPv3. */
export interface KeepalivedPlan {
  readonly instances: readonly KeepalivedInstance[];
  /** Names of instances that move together (`vrrp_sync_group`). */
  readonly group?: readonly string[];
  /** Lines for `global_defs`. */
  readonly globals?: readonly string[];
}

export interface KeepalivedInstance {
  readonly name: string;
  readonly interface: string;
  readonly vrid: number;
  readonly priority: number;
  readonly intervalMs: number;
  /** One family; keepalived puts the first of an IPv6 list on the wire as it stands. */
  readonly addresses: readonly string[];
  /** Further lines of the instance (`nopreempt`). */
  readonly lines?: readonly string[];
}

export type KeepalivedState = 'BACKUP' | 'MASTER' | 'FAULT';

/** keepalived on a host, in the foreground, with nothing of the machine's own configuration. */
export class Keepalived implements AsyncDisposable {
  readonly #child: Child;
  readonly #directory: string;

  static async start(host: Host, plan: KeepalivedPlan): Promise<Keepalived> {
    const directory = temporaryDirectory('keepalived');
    const file = join(directory, 'keepalived.conf');
    writeFileSync(file, configuration(plan));
    const child = await host.start('keepalived', [
      ...['--dont-fork', '--log-console', '--no-syslog', '--log-detail', '--vrrp', '--dont-respawn'],
      ...[
        '--use-file',
        file,
        '--pid',
        join(directory, 'parent.pid'),
        '--vrrp_pid',
        join(directory, 'vrrp.pid'),
      ],
    ]);
    const keepalived = new Keepalived(child, directory);
    await child.lines.next(({ text }) => /Entering (BACKUP|FAULT) STATE/.test(text), {
      withinMs: 10_000,
      what: `keepalived on ${host.name}`,
    });
    return keepalived;
  }

  private constructor(child: Child, directory: string) {
    this.#child = child;
    this.#directory = directory;
  }

  get log(): string {
    return this.#child.log;
  }

  get isRunning(): boolean {
    return this.#child.isRunning;
  }

  /** The state an instance last said it entered. */
  state(instance: string): KeepalivedState | undefined {
    const entered = this.#child.lines.items.map(({ text }) => enteredState(text, instance));
    return entered.findLast((state) => state !== undefined);
  }

  /** Resolves when the instance is in that state, at once if it is. */
  async reaches(instance: string, state: KeepalivedState, withinMs: number): Promise<void> {
    if (this.state(instance) === state) return;
    await this.#child.lines.next(({ text }) => enteredState(text, instance) === state, {
      withinMs,
      what: `keepalived: ${instance} ${state}`,
    });
  }

  /** Resident memory in KiB of parent and child together. */
  residentKib(): number {
    return [this.#child.pid, this.#vrrpPid].reduce((sum, pid) => sum + residentKib(pid), 0);
  }

  /** Planned: priority 0, addresses removed, exit. */
  async stop(): Promise<void> {
    await this.#child.close('SIGTERM');
    removeDirectory(this.#directory);
  }

  /** The process is gone at once: no word on the wire, the addresses stay. */
  async crash(): Promise<void> {
    // The child first: when its parent goes, it leaves politely.
    process.kill(this.#vrrpPid, 'SIGKILL');
    this.#child.kill('SIGKILL');
    await this.#child.ended;
    removeDirectory(this.#directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.isRunning) await this.crash();
  }

  get #vrrpPid(): number {
    return Number(readFileSync(join(this.#directory, 'vrrp.pid'), 'utf8'));
  }
}

/** VmRSS of a process. */
export function residentKib(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0);
}

function enteredState(line: string, instance: string): KeepalivedState | undefined {
  const [, name, state] = /\((.+?)\) Entering (BACKUP|MASTER|FAULT) STATE/.exec(line) ?? [];
  return name === instance ? (state as KeepalivedState) : undefined;
}

function configuration({ instances, group, globals = [] }: KeepalivedPlan): string {
  return [
    block('global_defs', ['vrrp_version 3', ...globals]),
    ...(group === undefined ? [] : [block('vrrp_sync_group group', [block('group', group)])]),
    ...instances.map((instance) =>
      block(`vrrp_instance ${instance.name}`, [
        `interface ${instance.interface}`,
        `virtual_router_id ${instance.vrid}`,
        `priority ${instance.priority}`,
        `advert_int ${instance.intervalMs / 1000}`,
        ...(instance.lines ?? []),
        block('virtual_ipaddress', instance.addresses),
      ]),
    ),
    '',
  ].join('\n');
}

function block(head: string, lines: readonly string[]): string {
  return [`${head} {`, ...lines, '}'].join('\n');
}
