import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Look } from './poller.ts';
import type { Finding } from './verdict.ts';

const zero = /^\s*[+-]?0+(\.0*)?\s*$/;

/** A switch in the file system, thrown by `touch FILE` or `echo 1 >FILE`: passes while the file is not there or holds the number 0, as
 *  those of keepalived's track_file and of every home-made maintenance script do; an empty file is there. A file that cannot be
 *  read, or one in a directory that does not exist, is an error: nobody knows what it would say. */
export function lookAtFile(path: string): Look {
  return async () => {
    try {
      // What is no file must not keep us, such as a pipe that nobody writes to.
      await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64);
      const text = buffer.toString('utf8', 0, bytesRead);
      if (zero.test(text)) return { result: 'pass', detail: `${path} holds 0` };
      const what = text.trim() === '' ? 'is there' : `holds ${JSON.stringify(text.trim())}`;
      return { result: 'fail', detail: `${path} ${what}: remove it, or write 0 into it` };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      return code === 'ENOENT'
        ? await missing(path)
        : { result: 'error', detail: `${path} cannot be read: ${code}` };
    }
  };
}

/** A directory that is missing is a slip of the pen, or a file system that was not mounted. */
async function missing(path: string): Promise<Finding> {
  const directory = dirname(path);
  try {
    if ((await stat(directory)).isDirectory()) return { result: 'pass', detail: `${path} is not there` };
  } catch {
    // said below
  }
  return { result: 'error', detail: `there is no directory ${directory}: make it, or correct the path` };
}
