import { close, open, read } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Look } from './poller.ts';

/** The kernel keeps this much of a name (TASK_COMM_LEN). */
const nameLength = 15;

interface Process {
  readonly pid: number;
  readonly name: string;
  /** One letter; Z and X have ended. */
  readonly state: string;
}

/** Passes while a process of that name runs: the name ps(1) shows, the program's own name where that is longer than ps shows, or its whole
 *  path. Who was found is looked for first the next time, so that a healthy host costs one small file each time. */
export function lookAtProcess(wanted: string): Look {
  let known: number | undefined;
  return async (signal) => {
    try {
      if (known !== undefined && (await isWanted(known, wanted))) {
        return { result: 'pass', detail: `process ${known}` };
      }
      known = undefined;
      for (const entry of await readdir('/proc')) {
        if (signal.aborted) break;
        const pid = Number(entry);
        if (!Number.isInteger(pid) || !(await isWanted(pid, wanted))) continue;
        known = pid;
        return { result: 'pass', detail: `process ${pid}` };
      }
      return { result: 'fail', detail: `no process ${wanted} runs` };
    } catch (error) {
      return { result: 'error', detail: `/proc cannot be read: ${String(error)}` };
    }
  };
}

async function isWanted(pid: number, wanted: string): Promise<boolean> {
  const process = await readProcess(pid);
  if (process === undefined || process.state === 'Z' || process.state === 'X') return false;
  if (wanted.startsWith('/')) return (await readLink(`/proc/${pid}/exe`)) === wanted;
  if (process.name !== wanted.slice(0, nameLength)) return false;
  if (Buffer.byteLength(wanted) <= nameLength) return true;
  // The first argument is the program, or the interpreter of one that is a script.
  const line = (await readStart(`/proc/${pid}/cmdline`)) ?? '';
  return line.split('\0').some((argument) => basename(argument) === wanted);
}

/** @returns undefined when it has ended meanwhile */
async function readProcess(pid: number): Promise<Process | undefined> {
  // `123 (name) S 1 ...`; the name may hold anything, also parentheses.
  const match = /^\d+ \((.*)\) (\w)/s.exec((await readStart(`/proc/${pid}/stat`)) ?? '');
  return match === null ? undefined : { pid, name: match[1] ?? '', state: match[2] ?? '' };
}

/** With callbacks: a scan takes a third of the time that it does with file handles, 40 us for each process. */
function readStart(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    open(path, (error, fd) => {
      if (error !== null) {
        resolve(undefined);
        return;
      }
      read(fd, Buffer.alloc(1024), 0, 1024, null, (failed, length, buffer) => {
        close(fd, () => resolve(failed === null ? buffer.toString('utf8', 0, length) : undefined));
      });
    });
  });
}

async function readLink(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch {
    return undefined;
  }
}
