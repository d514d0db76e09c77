import { lstat, readlink } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { Stats } from 'node:fs';
import type { Complaint } from '../errors.ts';

/** Where programs without a slash in their name are looked for, whoever started us: the same now and when they are run. */
export const programPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** As many symbolic links as the kernel follows (path_resolution(7)). */
const maxLinks = 40;

/** Whether a program that havrrp is to run as root can be run, and by whom it could be exchanged: every directory on its way, every
 *  symbolic link and the file itself must belong to root or to us, and be writable by nobody else. Looks at the files without
 *  keeping the event loop.
 *  @param program an absolute path, or a name to look for in `programPath`
 *  @returns the first thing that is wrong, with the command that mends it; undefined when nothing is */
export async function checkProgram(program: string): Promise<Complaint | undefined> {
  if (isAbsolute(program)) return await checkFile(program);
  if (program === '' || program.includes('/')) {
    return {
      what: `${program || 'a program without a name'} is no absolute path`,
      fix: 'write it from / on',
    };
  }
  for (const directory of programPath.split(':')) {
    const file = join(directory, program);
    const stats = await lstat(file).catch(() => undefined);
    if (stats !== undefined) return await checkFile(file);
  }
  return {
    what: `there is no program ${program} in ${programPath}`,
    fix: 'install it, or write its path from / on',
  };
}

async function checkFile(program: string): Promise<Complaint | undefined> {
  // What is still to be looked at, from / on: a symbolic link puts its target in its own place.
  const left = program.split('/').filter(isName);
  let links = 0;
  let place = '/';
  let stats = await lstat('/');
  for (;;) {
    const complaint = checkComponent(program, place, stats);
    if (complaint !== undefined) return complaint;
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > maxLinks)
        return { what: `${program} goes round in symbolic links`, fix: 'correct the path' };
      const target = await readlink(place);
      left.unshift(...target.split('/').filter(isName));
      place = isAbsolute(target) ? '/' : dirname(place);
    } else {
      const name = left.shift();
      if (name === undefined) break;
      if (!stats.isDirectory()) {
        return { what: `${program} cannot be reached: ${place} is no directory`, fix: 'correct the path' };
      }
      place = resolve(place, name);
    }
    const next = await look(program, place);
    if ('what' in next) return next;
    stats = next;
  }
  if (!stats.isFile()) return { what: `${program} is no file that can be run`, fix: 'name a program' };
  if ((stats.mode & 0o111) === 0) {
    return {
      what: `${program} is not executable: ${modeOf(place, stats)}`,
      fix: `chmod +x ${quoted(place)}`,
    };
  }
  return undefined;
}

function isName(part: string): boolean {
  return part !== '' && part !== '.';
}

async function look(program: string, place: string): Promise<Stats | Complaint> {
  try {
    return await lstat(place);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code !== 'ENOENT') {
      const fix = code === 'EACCES' ? 'look again as root' : 'correct the path';
      return { what: `${program} cannot be reached: ${place}: ${code}`, fix };
    }
    const missing = place === program ? '' : `: there is no ${place}`;
    return { what: `there is no program ${program}${missing}`, fix: 'install it, or correct the path' };
  }
}

function checkComponent(program: string, place: string, stats: Stats): Complaint | undefined {
  const self = process.getuid?.() ?? 0;
  const what = place === program ? place : `${place}, on the way to ${program},`;
  const anybody = `whoever that is decides what havrrp runs`;
  if (stats.uid !== 0 && stats.uid !== self) {
    return {
      what: `${what} belongs to user ${stats.uid}: ${anybody}: ${modeOf(place, stats)}`,
      fix: `chown ${stats.isSymbolicLink() ? '-h ' : ''}root ${quoted(place)}`,
    };
  }
  if (stats.isSymbolicLink() || (stats.mode & 0o022) === 0) return undefined;
  const whom = (stats.mode & 0o002) !== 0 ? 'everybody' : `group ${stats.gid}`;
  // In a directory with the sticky bit (/tmp) nobody removes what is not his; but once it is gone, by a clean-up or a reboot, anybody
  // may put his own in its place. Without that bit, the host would no longer work.
  const isShared = stats.isDirectory() && (stats.mode & 0o1000) !== 0;
  const mend = `chmod go-w ${quoted(place)}`;
  const move = `put it where root alone may write: install -m 755 ${quoted(program)} /usr/local/sbin/`;
  return {
    what: `${what} may be written by ${whom}: ${anybody}: ${modeOf(place, stats)}`,
    fix: isShared ? move : mend,
  };
}

function modeOf(place: string, { uid, gid, mode }: Stats): string {
  return `${place} has owner ${uid}:${gid} and mode ${(mode & 0o7777).toString(8).padStart(4, '0')}`;
}

function quoted(path: string): string {
  return /^[\w/.:=@%+,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
