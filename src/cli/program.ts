import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { parseDocument } from 'yaml';
import { controlSocketName } from '../config/config.ts';
import { topKeys } from '../config/schema.ts';
import { exitStatus, exitStatusOf, failureLines } from './exit-status.ts';

export const defaultConfigFile = '/etc/havrrp/havrrp.yaml';

/** What a command reads from and writes to, and the exit status it leaves. */
export interface CommandIo {
  readonly stdin: AsyncIterable<Buffer | string>;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: { write(text: string): unknown };
  readonly env: Readonly<Record<string, string | undefined>>;
  exitStatus: number;
}

/** The io of this process. A reader that has had enough (`havrrp events | head`) ends it without a word. */
export function processIo(): CommandIo {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.stderr.write(`havrrp: cannot write: ${error.message}\n`);
    process.exit(error.code === 'EPIPE' ? exitStatus.ok : exitStatus.failed);
  });
  const { stdin, stdout, stderr, env } = process;
  return { stdin, stdout, stderr, env, exitStatus: exitStatus.ok };
}

/** Options every command takes, before or after its name. */
export interface CommonOptions {
  readonly config: string;
  readonly socket?: string;
}

/** commander's messages in the form of all the others: one line that says what is wrong and what to do. */
function usageLine(message: string): string {
  const [, what = message, guess] = /^error: ([^]*?)(?:\n\(Did you mean ([^]*)\?\))?\n?$/.exec(message) ?? [];
  const fix = guess === undefined ? 'see havrrp --help' : `did you mean ${guess}?`;
  return `havrrp: ${what
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '')}: ${fix}\n`;
}

const exitStatusHelp = `
Exit status:
  0 done; 1 failed, or wrong usage; 2 bad configuration; 3 daemon not running;
  4 no such group; 5 not handed over`;

/** The bare program: name, version, common options, the form of its errors. Commands are registered on it. */
export function createProgram(io: CommandIo, version: string): Command {
  return new Command('havrrp')
    .description('failover of IP addresses between routers and firewalls: VRRPv3 (RFC 9568)')
    .version(version)
    .option(
      '--config <file>',
      'configuration of the daemon, which also says where its socket is',
      defaultConfigFile,
    )
    .option('--socket <path>', 'control socket of the daemon, instead of the one the configuration says')
    .addHelpText('after', exitStatusHelp)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: (message, write) => write(usageLine(message)),
    })
    .exitOverride();
}

/** Runs a command line; nothing is thrown.
 *  @param argv as process.argv
 *  @returns the exit status */
export async function runProgram(program: Command, argv: readonly string[], io: CommandIo): Promise<number> {
  try {
    await program.parseAsync(argv);
    return io.exitStatus;
  } catch (error) {
    // commander has printed its own already.
    if (!(error instanceof CommanderError)) fail(io, error);
    return exitStatusOf(error);
  }
}

/** Says on standard error what went wrong. */
export function fail(io: CommandIo, error: unknown): void {
  for (const line of failureLines(error)) io.stderr.write(`${line}\n`);
}

/** The socket the common options lead to. Read leniently: a client must reach the daemon also where the configuration
 *  is broken, and where it may not read the key files named in it. */
export function socketPath({ config, socket }: CommonOptions): string {
  if (socket !== undefined) return socket;
  let directory: unknown;
  try {
    directory = parseDocument(readFileSync(config, 'utf8')).get('runtime_directory');
  } catch {
    // No file, or none we may read: the daemon may run all the same.
  }
  if (typeof directory !== 'string') directory = topKeys.runtime_directory.default;
  return join(String(directory), controlSocketName);
}
