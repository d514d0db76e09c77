import type { Native } from '../../net/native.ts';
import { Program, endingText } from '../program.ts';
import { type Look, closing } from './poller.ts';

let lastTurn: Promise<unknown> = Promise.resolve();

/** One program in a turn of the event loop: starting one holds it for some milliseconds, and Advertisements are not to wait behind twenty
 *  checks that happen to be due together. */
async function turnToStart(): Promise<void> {
  const turn = lastTurn.then(() => new Promise(setImmediate));
  lastTurn = turn;
  await turn;
}

/** Passes while the program ends with status 0. At the time limit its process group ends. */
export function lookAtCommand(
  native: Native,
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
): Look {
  return async (signal) => {
    await turnToStart();
    if (signal.aborted) return { result: 'fail', detail: 'it was not started' };
    const program = Program.start({
      native,
      argv,
      environment,
      input: undefined,
      limitMs: undefined,
      leftovers: 'end',
    });
    signal.addEventListener('abort', () => (signal.reason === closing ? program.kill() : program.end()), {
      once: true,
    });
    const { ending, output } = await program.result;
    if (ending.how === 'exited' && ending.status === 0) return { result: 'pass', detail: endingText(ending) };
    const said = output.trim().split('\n').at(-1) ?? '';
    return {
      result: ending.how === 'not_started' ? 'error' : 'fail',
      detail: `${endingText(ending)}${said === '' ? '' : `: ${said}`}`,
    };
  };
}
