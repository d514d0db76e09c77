import { existsSync, mkdirSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { followEvents, getStatus, isListening } from '../../src/control/client.ts';
import type { GroupStateName, GroupStatus, Status, TransitionEvent } from '../../src/control/messages.ts';
import type { Child, Ending, Output } from './child.ts';
import { Feed } from './feed.ts';
import { residentKib } from './keepalived.ts';
import { removeDirectory, temporaryDirectory } from './leftovers.ts';
import type { Host } from './network.ts';

/** The program as it is shipped; a build without the bundle runs what the bundle is made from. */
const [bundled, compiled] = ['../../bundle/havrrp.js', '../../src/havrrp.js'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
) as [string, string];
const program = existsSync(bundled) ? bundled : compiled;

/** havrrp on a host: its files, which stay while it is stopped and started again, and the daemon while it runs. */
export class Havrrp implements AsyncDisposable {
  readonly host: Host;
  /** What every run of it reported, oldest first. */
  readonly events: Feed<TransitionEvent> = new Feed(({ at, text }) => `${at} ${text}`);
  readonly #directory: string;
  readonly #realTime: boolean;
  readonly #log: string[] = [];
  #child: Child | undefined;

  /** Installs and starts it. @param yaml its configuration, without directories; `node` is the host's name */
  static async start(host: Host, yaml: string): Promise<Havrrp> {
    const havrrp = new Havrrp(host, yaml);
    try {
      await havrrp.start();
    } catch (error) {
      await havrrp.close();
      throw error;
    }
    return havrrp;
  }

  /** @param realTime scheduled as the unit file has it: before everything else on a busy machine */
  constructor(host: Host, yaml: string, { realTime = false }: { readonly realTime?: boolean } = {}) {
    this.host = host;
    this.#realTime = realTime;
    this.#directory = temporaryDirectory(host.name);
    mkdirSync(join(this.#directory, 'run'));
    this.configure(yaml);
  }

  get configFile(): string {
    return join(this.#directory, 'havrrp.yaml');
  }

  get socket(): string {
    return join(this.#directory, 'run', 'control.sock');
  }

  get pid(): number {
    return this.#running.pid;
  }

  get isRunning(): boolean {
    return this.#child?.isRunning === true;
  }

  /** How the run under way, or the last one, ended. */
  get stopped(): Promise<Ending> {
    return this.#running.ended;
  }

  /** Standard output and error of all runs. */
  get log(): string {
    return this.#log.join('\n');
  }

  residentKib(): number {
    return residentKib(this.pid);
  }

  /** Writes another configuration file; nobody reads it before `start` or a reload. */
  configure(yaml: string): void {
    const own = {
      node: this.host.name,
      runtime_directory: join(this.#directory, 'run'),
      state_directory: join(this.#directory, 'state'),
    };
    const lines = Object.entries(own).map(([key, value]) => `${key}: ${value}\n`);
    writeFileSync(this.configFile, `${lines.join('')}${yaml}`);
  }

  /** Starts the daemon; resolves when it answers on its control socket.
   *  @throws Error with what it said when it ends instead */
  async start(): Promise<void> {
    const daemon = [process.execPath, program, 'run', '--config', this.configFile];
    const [command = '', ...args] = this.#realTime
      ? ['chrt', '--rr', '--reset-on-fork', '10', ...daemon]
      : daemon;
    const child = await this.host.start(command, args);
    this.#child = child;
    child.lines.onItem(({ text }) => this.#log.push(text));
    await this.#listening(child);
    await new Promise<void>((resolve, reject) => {
      this.#follow(resolve).catch(reject); // past the snapshot nobody listens any more: the daemon has ended, `stopped` tells
    });
  }

  status(): Promise<Status> {
    return getStatus(this.socket);
  }

  async group(name: string): Promise<GroupStatus> {
    const { groups } = await this.status();
    const found = groups.find((group) => group.name === name);
    if (found === undefined) throw new Error(`${this.host.name} has no group ${name}`);
    return found;
  }

  /** Resolves when the group is in that state, at once if it is. */
  async reaches(group: string, state: GroupStateName, withinMs: number): Promise<GroupStatus> {
    const until = Date.now() + withinMs;
    const what = `${this.host.name}: ${group} ${state}`;
    for (;;) {
      const seen = await this.group(group);
      if (seen.state === state) return seen;
      await this.events.next((event) => event.group === group && event.to === state, {
        withinMs: until - Date.now(),
        what,
      });
    }
  }

  /** Runs a command of the program as an operator on this host would. */
  cli(args: readonly string[]): Promise<Output> {
    return this.host.run(process.execPath, [program, ...args, '--config', this.configFile]);
  }

  kill(signal: NodeJS.Signals): void {
    this.#running.kill(signal);
  }

  /** Planned: SIGTERM, and until it is gone. */
  async stop(): Promise<Ending> {
    return await this.#running.close('SIGTERM', 30_000);
  }

  /** The process is gone at once: no word on the wire, the addresses stay. */
  async crash(): Promise<void> {
    await this.#running.close('SIGKILL');
  }

  async close(): Promise<void> {
    if (this.isRunning) await this.crash();
    removeDirectory(this.#directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #running(): Child {
    if (this.#child === undefined) throw new Error(`${this.host.name}: havrrp was not started`);
    return this.#child;
  }

  async #listening(child: Child): Promise<void> {
    let ended = false;
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        void isListening(this.socket).then((listening) => {
          if (!listening && !ended) return;
          watcher.close();
          if (listening) resolve();
          else reject(new Error(`havrrp on ${this.host.name} ended instead of starting:\n${this.log}`));
        });
      };
      // A socket of a run that was killed may lie there still: existing is not listening.
      const watcher = watch(join(this.#directory, 'run'), look);
      void child.ended.then(() => {
        ended = true;
        look();
      });
      if (existsSync(this.socket)) look();
    });
  }

  async #follow(onSnapshotEnd: () => void): Promise<void> {
    for await (const item of followEvents(this.socket)) {
      if (item.type === 'event') this.events.push(item.event);
      else onSnapshotEnd();
    }
  }
}
