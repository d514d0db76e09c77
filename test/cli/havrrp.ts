import { registerClientCommands } from '../../src/cli/main.ts';
import { createProgram, processIo, runProgram } from '../../src/cli/program.ts';

/** `havrrp` with the commands of clients alone, for tests to run as a process of its own. */
const io = processIo();
const program = createProgram(io, '0.1.0');
registerClientCommands(program, io);
process.exitCode = await runProgram(program, process.argv, io);
