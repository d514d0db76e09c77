#!/usr/bin/env node
import { dirname } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { registerClientCommands } from './cli/main.ts';
import { type CommandIo, type CommonOptions, createProgram, processIo, runProgram } from './cli/program.ts';
import { version } from './version.ts';

/** The program `havrrp`: the commands that ask a daemon, and the two that are one. The daemon's rooms are loaded only where they
 *  are needed, so that `havrrp status` stays quick. */
function registerDaemonCommands(program: Command, io: CommandIo): void {
  program
    .command('run')
    .description('the daemon, in the foreground: SIGHUP reloads, SIGTERM hands over and stops')
    .action(async (_options: unknown, command: Command) => {
      // The young generation stays as small as it begins. The daemon makes little garbage, and a heap that grew while the
      // configuration was read would be resident for good.
      setFlagsFromString('--semi-space-growth-factor=1');
      const { runDaemon } = await import('./daemon/main.ts');
      await runDaemon(command.optsWithGlobals<CommonOptions>().config, version);
    });
  program
    .command('release')
    .description('remove what a dead daemon left behind, and say priority 0 in its place')
    .action(async (_options: unknown, command: Command) => {
      const { release } = await import('./daemon/release.ts');
      const { config, socket } = command.optsWithGlobals<CommonOptions>();
      const done = await release(config, socket === undefined ? undefined : dirname(socket));
      for (const line of done) io.stdout.write(`${line}\n`);
    });
}

const io = processIo();
const program = createProgram(io, version);
registerClientCommands(program, io);
registerDaemonCommands(program, io);
process.exitCode = await runProgram(program, process.argv, io);
