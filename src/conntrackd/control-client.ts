import { execFile } from 'node:child_process';
import { createConnection } from 'node:net';
import { endianness } from 'node:os';

/** conntrackd's control socket: four bytes out, text in, end of file. There is no other sign of success: the text of a command is
 *  empty, and so is that of one it has refused, never heard of, or died of. What came of it, only counts tell. */

/** The clock and the timers of this room; the daemon gives its own. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** @returns what takes it back */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** What is asked of conntrackd. `-t` (26) is not among them, for good: with `DisableExternalCache on` it deletes, a minute
 *  later, everything that the backup knows. */
export type CommandName =
  | 'statistics'
  | 'network'
  | 'cache'
  | 'runtime'
  | 'queue'
  | 'commit'
  | 'flushCaches'
  | 'flushInternal'
  | 'flushExternal'
  | 'flushKernel'
  | 'resyncKernel'
  | 'sendBulk'
  | 'requestBulk';

interface Command {
  /** As conntrackd has known it since 2011; there is no request for a version. */
  readonly code: number;
  readonly flags: readonly string[];
}

const commands: Readonly<Record<CommandName, Command>> = {
  statistics: { code: 21, flags: ['-s'] },
  network: { code: 28, flags: ['-s', 'network'] },
  cache: { code: 29, flags: ['-s', 'cache'] },
  runtime: { code: 30, flags: ['-s', 'runtime'] },
  queue: { code: 36, flags: ['-s', 'queue'] },
  /** External cache to kernel; the answer ends when all is done. Takes back a `-t` that somebody has sent. */
  commit: { code: 46, flags: ['-c'] },
  flushCaches: { code: 45, flags: ['-f'] },
  flushInternal: { code: 33, flags: ['-f', 'internal'] },
  flushExternal: { code: 34, flags: ['-f', 'external'] },
  /** The kernel's table but for ignored addresses, in a child of conntrackd; the peer is told nothing. */
  flushKernel: { code: 43, flags: ['-F'] },
  /** Kernel to internal cache. */
  resyncKernel: { code: 44, flags: ['-R'] },
  /** Internal cache to the peer. */
  sendBulk: { code: 22, flags: ['-B'] },
  /** The peer's internal cache to us. */
  requestBulk: { code: 23, flags: ['-n'] },
};

export type ControlFailure =
  /** Nobody listens there: conntrackd does not run. */
  | 'absent'
  | 'no_rights'
  /** Somebody listens and does not answer. */
  | 'timeout'
  | 'broken';

export type ControlResult =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly reason: ControlFailure; readonly detail: string };

/** Statistics are some 2000 characters. */
const maxAnswerBytes = 1024 * 1024;

/** Requests to one conntrackd, one at a time: it serves one connection at a time, and reads the request standing still. */
export class ControlClient {
  readonly path: string;
  readonly #clock: Clock;
  readonly #program: { readonly binary: string; readonly configFile: string };
  #throughProgram = false;
  #last: Promise<unknown> = Promise.resolve();
  #abort: (() => void) | undefined;
  #closed = false;

  /** @param options.path the socket, `UNIX { Path }` of its configuration file
   *  @param options.program how to ask by running conntrackd itself: see `askThroughProgram` */
  constructor(options: {
    path: string;
    program: { readonly binary: string; readonly configFile: string };
    clock?: Clock;
  }) {
    this.path = options.path;
    this.#program = options.program;
    this.#clock = options.clock ?? systemClock;
  }

  /** Whether `conntrackd -C FILE -s` and the like are run instead of speaking to the socket. */
  get throughProgram(): boolean {
    return this.#throughProgram;
  }

  /** From now on conntrackd's own program asks: for one whose socket does not know our codes. Slower (4 ms instead of 0.05),
   *  the same answers. */
  askThroughProgram(use: boolean): void {
    this.#throughProgram = use;
  }

  /** Asks, after everything asked before has been answered or given up. A request given up may still be carried out: one that
   *  hangs reads it when it wakes up.
   *  @param options.timeoutMs how long the answer may take, from when it is its turn
   *  @param options.wanted asked when it is its turn; a request no longer wanted is not sent, and `broken`
   *  @returns the whole text, or why there is none; never rejects */
  request(
    name: CommandName,
    options: { readonly timeoutMs: number; readonly wanted?: () => boolean },
  ): Promise<ControlResult> {
    const { timeoutMs, wanted = () => true } = options;
    const result = this.#last.then(() => {
      if (this.#closed || !wanted()) return failure('broken', 'the request was taken back');
      const command = commands[name];
      return this.#throughProgram ? this.#run(command, timeoutMs) : this.#exchange(command, timeoutMs);
    });
    this.#last = result;
    return result;
  }

  /** Gives up what is under way and what waits. */
  close(): void {
    this.#closed = true;
    this.#abort?.();
  }

  #exchange({ code }: Command, timeoutMs: number): Promise<ControlResult> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const socket = createConnection({ path: this.path });
      const finish = (result: ControlResult): void => {
        cancel();
        this.#abort = undefined;
        socket.destroy();
        resolve(result);
      };
      const cancel = this.#clock.after(timeoutMs, () => finish(silence(timeoutMs)));
      this.#abort = () => finish(failure('broken', 'the request was taken back'));
      // At once, and in one piece: until it has come, conntrackd does nothing else at all.
      socket.once('connect', () => socket.write(fourBytes(code)));
      socket.on('data', (chunk) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > maxAnswerBytes) finish(failure('broken', 'its answer does not end'));
      });
      socket.once('end', () => finish({ ok: true, text: Buffer.concat(chunks).toString('latin1') }));
      socket.on('error', (error) => finish(failureOf(error, this.path)));
    });
  }

  #run({ flags }: Command, timeoutMs: number): Promise<ControlResult> {
    const { binary, configFile } = this.#program;
    return new Promise((resolve) => {
      const finish = (result: ControlResult): void => {
        cancel();
        this.#abort = undefined;
        child.kill('SIGKILL');
        resolve(result);
      };
      const child = execFile(
        binary,
        ['-C', configFile, ...flags],
        { encoding: 'latin1', maxBuffer: maxAnswerBytes },
        (error, stdout, stderr) => {
          // What it says on standard error beside its answer is about its configuration file.
          if (error === null) finish({ ok: true, text: stdout });
          else
            finish(failure('broken', `${binary} ${flags.join(' ')}: ${lastLine(stderr) ?? error.message}`));
        },
      );
      const cancel = this.#clock.after(timeoutMs, () => finish(silence(timeoutMs)));
      this.#abort = () => finish(failure('broken', 'the request was taken back'));
    });
  }
}

function fourBytes(code: number): Buffer {
  const bytes = Buffer.alloc(4);
  if (endianness() === 'LE') bytes.writeUInt32LE(code);
  else bytes.writeUInt32BE(code);
  return bytes;
}

function failure(reason: ControlFailure, detail: string): ControlResult {
  return { ok: false, reason, detail };
}

function silence(timeoutMs: number): ControlResult {
  return failure('timeout', `no answer in ${Math.round(timeoutMs)} ms`);
}

function failureOf(error: NodeJS.ErrnoException, path: string): ControlResult {
  switch (error.code) {
    case 'ENOENT':
      return failure('absent', `no socket at ${path}`);
    case 'ECONNREFUSED':
      return failure('absent', `nobody listens at ${path}`);
    case 'EACCES':
    case 'EPERM':
      return failure('no_rights', `not allowed to connect to ${path}`);
    case 'EAGAIN':
      // The requests that nobody has come for fill its backlog.
      return failure('timeout', `too many unanswered requests at ${path}`);
    default:
      return failure('broken', error.message);
  }
}

function lastLine(text: string): string | undefined {
  return text.trim().split('\n').at(-1) || undefined;
}
