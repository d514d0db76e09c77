import { spawn } from 'node:child_process';
import { close } from 'node:fs';
import { endianness } from 'node:os';
import { Socket } from 'node:net';
import { programPath } from '../config/program-file.ts';
import { type Native, succeed } from '../net/native.ts';

/** How a program ended. */
export type Ending =
  | { readonly how: 'exited'; readonly status: number }
  /** By a signal that was not ours. */
  | { readonly how: 'killed'; readonly signal: string }
  | { readonly how: 'timed_out'; readonly limitMs: number }
  /** By us, because nobody waits for it any more. */
  | { readonly how: 'given_up' }
  | { readonly how: 'not_started'; readonly why: string };

export interface ProgramResult {
  readonly ending: Ending;
  readonly durationMs: number;
  /** The last of what it wrote to standard output and error. */
  readonly output: string;
}

export interface ProgramOptions {
  readonly native: Native;
  /** The program (a path, or a name to look for in `programPath`) and its arguments; no shell comes between. */
  readonly argv: readonly string[];
  /** Added to what we have ourselves. */
  readonly environment: Readonly<Record<string, string>>;
  /** What it can read on standard input; undefined: nothing (/dev/null). */
  readonly input: string | undefined;
  /** Undefined: whoever started it ends it. */
  readonly limitMs: number | undefined;
  /** What it left running in its process group when it ended by itself: `leave` it, as for whoever starts a service; `end` it, as for
   *  what is run every second. */
  readonly leftovers: 'leave' | 'end';
}

/** After SIGTERM, until SIGKILL. */
const graceMs = 2000;

/** While that lasts: how often it is looked whether anybody of the group is left. */
const lookMs = 20;

/** After SIGKILL: a process the kernel does not let go of (a hung disk) does nothing any more, but does not end either. */
const lastWaitMs = 1000;

/** What a process in the background has inherited may stay open for ever: how long after the program itself has ended its output is
 *  waited for. */
const outputWaitMs = 100;

const keptOutputBytes = 2048;

/** Output is read at 6.5 MB/s at most, so that a program that prints without end does not keep the event loop. */
const outputBurstBytes = 64 * 1024;
const outputPauseMs = 10;

/** What programs have left running may go on writing, and nobody is to be ended by SIGPIPE for that: it is read until they close it. This
 *  many at most; the one that has been there longest makes room. */
const maxLingering = 32;
const lingering = new Set<Tail>();

const littleEndian = endianness() === 'LE';

/** What systemd and Node tell their own child, not its children. */
const privateVariables =
  /^(NOTIFY_SOCKET|WATCHDOG_.*|LISTEN_.*|NODE_.*|FDSTORE|INVOCATION_ID|JOURNAL_STREAM)$/;

function environmentOf(own: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !privateVariables.test(name));
  return { ...Object.fromEntries(inherited), PATH: programPath, ...own };
}

/** Pipes of our own making: those of Node are sockets, which cannot be opened a second time, so that `/dev/stdin` and `/dev/stderr` would
 *  fail in every script. */
function openPipe(native: Native): { readonly reading: number; readonly writing: number } {
  const ends = new Uint8Array(8);
  succeed(native, native.openPipe(ends), 'open', 'pipe');
  const view = new DataView(ends.buffer);
  return { reading: view.getInt32(0, littleEndian), writing: view.getInt32(4, littleEndian) };
}

function closeEnd(fd: number): void {
  close(fd, () => undefined);
}

/** The last octets of a stream that is read to its end and otherwise thrown away. */
class Tail {
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  #kept: Buffer = Buffer.alloc(0);
  #burst = 0;
  #pause: NodeJS.Timeout | undefined;

  constructor(fd: number) {
    this.#socket = new Socket({ fd, readable: true, writable: false });
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (data: Buffer) => this.#take(data));
    this.ended = new Promise((resolve) => this.#socket.once('close', resolve));
  }

  /** The program is gone; somebody else may have what it had. */
  linger(): void {
    this.#kept = Buffer.alloc(0);
    lingering.add(this);
    void this.ended.then(() => lingering.delete(this));
    this.#socket.unref();
    const [oldest] = lingering;
    if (lingering.size > maxLingering) oldest?.close();
  }

  get text(): string {
    // A character whose beginning was cut off shows as U+FFFD: left out.
    return this.#kept.toString('utf8').replace(/^\uFFFD+/, '');
  }

  close(): void {
    clearTimeout(this.#pause);
    this.#socket.destroy();
  }

  #take(data: Buffer): void {
    this.#kept = Buffer.concat([this.#kept, data]).subarray(-keptOutputBytes);
    this.#burst += data.length;
    if (this.#burst < outputBurstBytes) return;
    this.#socket.pause();
    this.#pause = setTimeout(() => {
      this.#burst = 0;
      this.#socket.resume();
    }, outputPauseMs).unref();
  }
}

/** One run of a program under a time limit, in a process group of its own, which ends as a whole. */
export class Program {
  /** Resolves when nothing of it is left that we could end, however it goes; never rejects. */
  readonly result: Promise<ProgramResult>;
  readonly #native: Native;
  readonly #startedAt: number;
  readonly #leftovers: ProgramOptions['leftovers'];
  #pid: number | undefined;
  /** Undefined while nobody wants it to end. */
  #wanted: Ending | undefined;
  #ending: Ending | undefined;
  #durationMs = 0;
  #output: Tail | undefined;
  #input: Socket | undefined;
  /** The next thing to happen if the program does not end by itself. */
  #timer: NodeJS.Timeout | undefined;
  #finished = false;
  #resolve: (result: ProgramResult) => void = () => undefined;

  static start(options: ProgramOptions): Program {
    const program = new Program(options);
    program.#start(options);
    return program;
  }

  private constructor({ native, leftovers }: ProgramOptions) {
    this.#native = native;
    this.#startedAt = native.now();
    this.#leftovers = leftovers;
    this.result = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Ends it: SIGTERM for the whole group, SIGKILL two seconds later. */
  end(): void {
    this.#end({ how: 'given_up' });
  }

  /** Ends it at once, and waits for nothing: what is left is the kernel's. */
  kill(): void {
    if (this.#finished) return;
    // What a program that has ended by itself left running is not ours to end.
    if (this.#ending === undefined || this.#wanted !== undefined) this.#signal('SIGKILL');
    this.#finish(this.#ending ?? { how: 'given_up' });
  }

  #start({ argv, environment, input, limitMs }: ProgramOptions): void {
    const [command = '', ...args] = argv;
    let ours: number[] = [];
    let theirs: number[] = [];
    try {
      const output = openPipe(this.#native);
      [ours, theirs] = [[output.reading], [output.writing]];
      const pipe = input === undefined ? undefined : openPipe(this.#native);
      if (pipe !== undefined)
        [ours, theirs] = [
          [...ours, pipe.writing],
          [...theirs, pipe.reading],
        ];
      const child = spawn(command, args, {
        stdio: [pipe?.reading ?? 'ignore', output.writing, output.writing],
        env: environmentOf(environment),
        cwd: '/',
        // A session of its own, and with it a process group.
        detached: true,
      });
      child.once('error', (error: NodeJS.ErrnoException) => {
        this.#finish({ how: 'not_started', why: startFailure(command, error) });
      });
      child.once('exit', (status, signal) => this.#onExit(status, signal));
      this.#pid = child.pid;
      this.#output = new Tail(output.reading);
      if (pipe !== undefined && input !== undefined) this.#feed(pipe.writing, input);
      if (limitMs !== undefined) this.#limit(limitMs);
      ours = [];
    } catch (error) {
      // No descriptors left, or arguments that cannot be (a NUL octet, too long).
      this.#finish({ how: 'not_started', why: startFailure(command, error) });
    } finally {
      for (const fd of [...ours, ...theirs]) closeEnd(fd);
    }
  }

  #limit(limitMs: number): void {
    this.#timer = setTimeout(() => {
      // It may have ended in time, and we are late: what has happened comes before what is decided.
      setImmediate(() => {
        this.#end({ how: 'timed_out', limitMs });
      });
    }, limitMs);
  }

  #feed(fd: number, input: string): void {
    this.#input = new Socket({ fd, readable: false, writable: true });
    // EPIPE: it did not want to read it.
    this.#input.on('error', () => undefined);
    this.#input.end(input);
  }

  #onExit(status: number | null, signal: string | null): void {
    const own: Ending =
      status === null ? { how: 'killed', signal: signal ?? 'a signal' } : { how: 'exited', status };
    this.#ending = this.#wanted ?? own;
    this.#durationMs = this.#native.now() - this.#startedAt;
    this.#input?.destroy();
    if (this.#wanted === undefined) {
      clearTimeout(this.#timer);
      if (this.#leftovers === 'end') this.#signal('SIGKILL');
      void this.#finishWithOutput(this.#ending);
    } else this.#waitForGroup(this.#ending);
  }

  #end(why: Ending): void {
    if (this.#wanted !== undefined || this.#ending !== undefined || this.#finished) return;
    this.#wanted = why;
    clearTimeout(this.#timer);
    this.#signal('SIGTERM');
    // One that is stopped would not hear it.
    this.#signal('SIGCONT');
    this.#timer = setTimeout(() => {
      this.#signal('SIGKILL');
      this.#timer = setTimeout(() => {
        this.#finish(why);
      }, lastWaitMs);
    }, graceMs);
  }

  /** The program has ended as it was told; the others of its group have as much time as it had. */
  #waitForGroup(ending: Ending): void {
    if (this.#finished) return;
    if (this.#groupLives()) setTimeout(() => this.#waitForGroup(ending), lookMs);
    else void this.#finishWithOutput(ending);
  }

  /** What it said last may not have been read yet. */
  async #finishWithOutput(ending: Ending): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, outputWaitMs);
    });
    await Promise.race([this.#output?.ended, waited]);
    clearTimeout(timer);
    this.#finish(ending);
  }

  #finish(ending: Ending): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#timer);
    this.#input?.destroy();
    if (this.#ending === undefined) this.#durationMs = this.#native.now() - this.#startedAt;
    this.#resolve({ ending, durationMs: this.#durationMs, output: this.#output?.text ?? '' });
    this.#output?.linger();
  }

  #groupLives(): boolean {
    return this.#kill(0);
  }

  #signal(signal: NodeJS.Signals): void {
    this.#kill(signal);
  }

  #kill(signal: NodeJS.Signals | 0): boolean {
    if (this.#pid === undefined) return false;
    try {
      return process.kill(-this.#pid, signal);
    } catch {
      return false; // nobody is left
    }
  }
}

function startFailure(command: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  switch (code) {
    case 'ENOENT':
      return `${command}: there is no such program, or the interpreter its first line names is missing`;
    case 'EACCES':
      return `${command}: it is not executable, or a directory on its way must not be entered`;
    default:
      return `${command}: it cannot be started: ${code}`;
  }
}

/** @returns how it ended, in words that follow its name */
export function endingText(ending: Ending): string {
  switch (ending.how) {
    case 'exited':
      return `ended with status ${ending.status}`;
    case 'killed':
      return `was ended by ${ending.signal}`;
    case 'timed_out':
      return `did not end within ${ending.limitMs / 1000} s and was ended`;
    case 'given_up':
      return 'was ended, for nobody waits for it any more';
    case 'not_started':
      return `could not be run: ${ending.why}`;
  }
}
