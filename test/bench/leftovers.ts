import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What would stay behind when we go: network namespaces and temporary directories. Every name carries our process id, so
 *  that parallel test files never meet, and so that what a killed process left can be told from what is in use. */
const namePattern = /^hvb-(\d+)-/;
const namespaceDirectory = '/run/netns';

const namespaces = new Set<string>();
const directories = new Set<string>();
let made = 0;
let watching = false;

/** A namespace name of our own, registered for removal; creating it is the caller's part. */
export function registerNamespace(purpose: string): string {
  watch();
  const name = `hvb-${process.pid}-${made++}${purpose}`;
  namespaces.add(name);
  return name;
}

export function temporaryDirectory(purpose: string): string {
  watch();
  const directory = mkdtempSync(join(tmpdir(), `hvb-${process.pid}-${purpose}-`));
  directories.add(directory);
  return directory;
}

/** Ends what still runs in the namespaces, and removes them. Synchronous: it must work while the process exits. */
export function removeNamespaces(names: Iterable<string>): void {
  const all = [...names];
  if (all.length === 0) return;
  for (const name of all) {
    for (const pid of ip(['netns', 'pids', name]).split(/\s+/).filter(Boolean)) kill(Number(pid));
  }
  ip(['-force', '-batch', '-'], all.map((name) => `netns del ${name}\n`).join(''));
  for (const name of all) namespaces.delete(name);
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
  directories.delete(directory);
}

/** Removes everything of ours that is still there. */
export function removeAll(): void {
  removeNamespaces(namespaces);
  for (const directory of directories) removeDirectory(directory);
}

/** Removes what processes that are gone could not: a SIGKILL runs no handler. */
export function sweepStale(): void {
  removeNamespaces(list(namespaceDirectory).filter(isStale));
  for (const name of list(tmpdir()).filter(isStale)) removeDirectory(join(tmpdir(), name));
}

function isStale(name: string): boolean {
  const pid = namePattern.exec(name)?.[1];
  return pid !== undefined && !isNode(pid);
}

/** Process ids are used again; one that is no Node any more is not the one that made the name. */
function isNode(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('node');
  } catch {
    return false;
  }
}

function watch(): void {
  if (watching) return;
  watching = true;
  process.on('exit', removeAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const onSignal = (): void => {
      removeAll();
      // Whoever else listens (tap does) decides when to end; alone, we end as if nobody had listened.
      process.removeListener(signal, onSignal);
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    };
    process.on(signal, onSignal);
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function ip(args: readonly string[], input = ''): string {
  return spawnSync('ip', args, { input, encoding: 'utf8' }).stdout;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
