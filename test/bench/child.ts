import { spawn, type ChildProcess, type Serializable } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Feed } from './feed.ts';

export interface Line {
  readonly from: 'stdout' | 'stderr';
  readonly text: string;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  /** Name of the network namespace to run in; without it, where we are. */
  readonly namespace?: string;
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Standard output is not text: it is not split into lines, whoever starts the child reads `stdout`. */
  readonly binary?: boolean;
  /** Messages by IPC besides (Node programs only). */
  readonly messages?: boolean;
}

/** A program that runs beside the test. It dies with us, whatever happens to us: the kernel kills it when its parent goes. */
export class Child implements AsyncDisposable {
  readonly command: string;
  readonly pid: number;
  readonly lines: Feed<Line> = new Feed(({ text }) => text);
  readonly ended: Promise<Ending>;
  readonly #process: ChildProcess;

  /** @throws Error when the program cannot be started */
  static async start(command: string, args: readonly string[], options: ChildOptions = {}): Promise<Child> {
    // setpriv and ip replace themselves, so the pid is that of the program itself. A group of its own: Ctrl-C is for us.
    const process_ = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', ...inside(options.namespace), command, ...args],
      {
        stdio: ['pipe', 'pipe', 'pipe', ...(options.messages === true ? ['ipc' as const] : [])],
        serialization: 'advanced',
        detached: true,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        env: { ...process.env, ...options.environment },
      },
    );
    await new Promise<void>((resolve, reject) => {
      process_.once('spawn', resolve);
      process_.once('error', reject);
    });
    return new Child(process_, [command, ...args].join(' '), options);
  }

  private constructor(process_: ChildProcess, command: string, options: ChildOptions) {
    this.#process = process_;
    this.command = command;
    this.pid = process_.pid ?? 0;
    if (options.binary !== true) this.#read('stdout', this.stdout);
    if (process_.stderr !== null) this.#read('stderr', process_.stderr);
    process_.stdin?.on('error', () => undefined); // it has ended; `ended` tells
    this.ended = new Promise((resolve) => {
      process_.once('close', (code, signal) => {
        this.lines.end(`${command} ended with ${signal ?? `status ${code}`}`);
        resolve({ code, signal });
      });
    });
  }

  get stdout(): Readable {
    if (this.#process.stdout === null) throw new Error(`${this.command} has no standard output`);
    return this.#process.stdout;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Everything it said so far, for the report of a test that failed. */
  get log(): string {
    return this.lines.items.map(({ text }) => text).join('\n');
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#process.on('message', listener);
  }

  send(message: Serializable): void {
    this.#process.send(message);
  }

  endInput(): void {
    this.#process.stdin?.end();
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Asks it to end, and insists after `patienceMs`. */
  async close(signal: NodeJS.Signals = 'SIGTERM', patienceMs = 5000): Promise<Ending> {
    if (this.isRunning) this.kill(signal);
    const insist = setTimeout(() => {
      this.kill('SIGKILL');
    }, patienceMs);
    const ending = await this.ended;
    clearTimeout(insist);
    return ending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #read(from: Line['from'], stream: Readable): void {
    createInterface({ input: stream }).on('line', (text) => {
      this.lines.push({ from, text });
    });
  }
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. A status other than 0 is a value, not an error.
 *  @throws Error when it cannot be started, or was ended by a signal */
export async function run(
  command: string,
  args: readonly string[],
  options: Pick<ChildOptions, 'namespace' | 'environment'> & { readonly input?: string } = {},
): Promise<Output> {
  const [program, ...rest] = [...inside(options.namespace), command, ...args] as [string, ...string[]];
  const process_ = spawn(program, rest, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.environment },
  });
  process_.stdin.on('error', () => undefined); // it did not want its input; its status tells
  process_.stdin.end(options.input ?? '');
  const texts = { stdout: '', stderr: '' };
  process_.stdout.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text));
  process_.stderr.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text));
  return await new Promise((resolve, reject) => {
    process_.once('error', reject);
    process_.once('close', (code, signal) => {
      if (code === null) reject(new Error(`${command} ${args.join(' ')}: ended by ${signal}`));
      else resolve({ code, ...texts });
    });
  });
}

/** Runs a program that must succeed. @returns its standard output
 *  @throws Error with what it said on standard error */
export async function must(
  command: string,
  args: readonly string[],
  options: Parameters<typeof run>[2] = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code !== 0) {
    throw new Error(`${command} ${args.join(' ')}: status ${code}: ${stderr.trim() || stdout.trim()}`);
  }
  return stdout;
}

/** tap puts loaders of its own into every process below a test; a daemon under test is to be as it is. */
function inside(namespace: string | undefined): readonly string[] {
  return [
    'env',
    '-u',
    'NODE_OPTIONS',
    ...(namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace]),
  ];
}
