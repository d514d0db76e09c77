import { rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, type Child } from './child.ts';
import { removeDirectory, temporaryDirectory } from './leftovers.ts';
import type { Host } from './network.ts';

/** What a conntrackd of ours is configured with. */
export interface ConntrackdPlan {
  /** FTFW over UDP with one other node; without it, it only keeps statistics. */
  readonly sync?: { readonly interface: string; readonly address: string; readonly peer: string };
  /** `DisableExternalCache on` */
  readonly injection?: boolean;
  /** Addresses and networks whose sessions are this host's own. */
  readonly ignore?: readonly string[];
  readonly hashSize?: number;
  /** As it comes: SCHED_RR 99. On a machine that is shared with other tests, rather not. */
  readonly realtime?: boolean;
}

export interface SessionCounts {
  readonly internal: number | undefined;
  readonly external: number | undefined;
  readonly kernel: number;
}

/** conntrackd on a host, in the foreground, with lock, socket and log of its own; its files stay while it is stopped and started. */
export class Conntrackd implements AsyncDisposable {
  readonly host: Host;
  readonly #directory: string;
  readonly #realtime: boolean;
  readonly #log: string[] = [];
  #child: Child | undefined;

  /** Installs and starts it. */
  static async start(host: Host, plan: ConntrackdPlan): Promise<Conntrackd> {
    const conntrackd = new Conntrackd(host, plan);
    try {
      await conntrackd.start();
    } catch (error) {
      await conntrackd.close();
      throw error;
    }
    return conntrackd;
  }

  constructor(host: Host, plan: ConntrackdPlan) {
    this.host = host;
    this.#directory = temporaryDirectory(`${host.name}-conntrackd`);
    this.#realtime = plan.realtime ?? false;
    writeFileSync(this.configFile, configuration(plan, { lock: this.#lock, socket: this.socket }));
  }

  get configFile(): string {
    return join(this.#directory, 'conntrackd.conf');
  }

  get socket(): string {
    return join(this.#directory, 'conntrackd.sock');
  }

  get pid(): number {
    return this.#running.pid;
  }

  get isRunning(): boolean {
    return this.#child?.isRunning === true;
  }

  /** What it said in all its runs. */
  get log(): string {
    return this.#log.join('\n');
  }

  /** Resolves when it answers.
   *  @throws Error with what it said when it ends instead */
  async start(): Promise<void> {
    rmSync(this.#lock, { force: true });
    // Without this right it cannot have a real-time priority, says so, and runs as everybody else.
    const args = ['-C', this.configFile];
    const child = this.#realtime
      ? await this.host.start('conntrackd', args)
      : await this.host.start('setpriv', ['--bounding-set=-sys_nice', 'conntrackd', ...args]);
    this.#child = child;
    child.lines.onItem(({ text }) => this.#log.push(text));
    await child.lines.next(({ text }) => text.includes('-- starting in console mode --'), {
      withinMs: 10_000,
      what: `conntrackd on ${this.host.name}`,
    });
  }

  /** Runs `conntrackd -C FILE ...` as an operator would. @returns what it printed */
  async ask(...flags: string[]): Promise<string> {
    const { code, stdout, stderr } = await run('conntrackd', ['-C', this.configFile, ...flags], {
      namespace: this.host.namespace,
    });
    if (code !== 0) throw new Error(`conntrackd ${flags.join(' ')}: status ${code}: ${stderr}`);
    return stdout;
  }

  async counts(): Promise<SessionCounts> {
    const text = await this.ask('-s');
    const active = (cache: string): number | undefined => {
      const found = new RegExp(`cache ${cache}:\ncurrent active connections:\\s+(\\d+)`).exec(text)?.[1];
      return found === undefined ? undefined : Number(found);
    };
    return { internal: active('internal'), external: active('external'), kernel: await this.kernelCount() };
  }

  /** Entries of the kernel's table of this host, without going there. */
  async kernelCount(): Promise<number> {
    const text = await readFile(`/proc/${this.pid}/net/stat/nf_conntrack`, 'latin1');
    return parseInt(text.split('\n')[1] ?? '', 16);
  }

  /** It stands still: its socket takes connections and does not answer. */
  pause(): void {
    this.#running.kill('SIGSTOP');
  }

  resume(): void {
    this.#running.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.#running.close('SIGTERM');
  }

  /** Its socket and its lock stay behind. */
  async crash(): Promise<void> {
    await this.#running.close('SIGKILL');
  }

  /** Another one, with another socket at the same place. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Which socket it is. */
  get inode(): number {
    return statSync(this.socket).ino;
  }

  async close(): Promise<void> {
    if (this.isRunning) await this.crash();
    removeDirectory(this.#directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #lock(): string {
    return join(this.#directory, 'conntrackd.lock');
  }

  get #running(): Child {
    if (this.#child === undefined) throw new Error(`${this.host.name}: conntrackd was not started`);
    return this.#child;
  }
}

function configuration(
  plan: ConntrackdPlan,
  paths: { readonly lock: string; readonly socket: string },
): string {
  const { sync, injection = false, ignore = [], hashSize = 65_536 } = plan;
  return [
    sync === undefined
      ? block('Stats')
      : block('Sync', [
          block('Mode FTFW', [
            'ResendQueueSize 262144',
            'StartupResync on',
            ...(injection ? ['DisableExternalCache on'] : []),
          ]),
          block('UDP', [
            `IPv4_address ${sync.address}`,
            `IPv4_Destination_Address ${sync.peer}`,
            'Port 3780',
            `Interface ${sync.interface}`,
            'SndSocketBuffer 8388608',
            'RcvSocketBuffer 8388608',
            'Checksum on',
          ]),
        ]),
    block('General', [
      `HashSize ${hashSize}`,
      'HashLimit 524288',
      `LockFile ${paths.lock}`,
      block('UNIX', [`Path ${paths.socket}`, 'Backlog 20']),
      'NetlinkBufferSize 8388608',
      'NetlinkBufferSizeMaxGrowth 67108864',
      block('Filter From Userspace', [
        block('Protocol Accept', ['TCP', 'UDP', 'ICMP', 'IPv6-ICMP']),
        block('Address Ignore', ['127.0.0.1', '::1', ...ignore].map(ignored)),
      ]),
    ]),
    '',
  ].join('\n');
}

function ignored(address: string): string {
  return `${address.includes(':') ? 'IPv6' : 'IPv4'}_address ${address}`;
}

function block(head: string, lines: readonly string[] = []): string {
  return [`${head} {`, ...lines, '}'].join('\n');
}
