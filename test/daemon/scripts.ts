import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { removeDirectory, temporaryDirectory } from '../bench/leftovers.ts';

/** Programs for tests: shell scripts in a directory of their own, and what becomes of their processes. */
export class Scripts {
  readonly directory: string;

  constructor(t: Test) {
    this.directory = temporaryDirectory('scripts');
    t.teardown(() => removeDirectory(this.directory));
  }

  /** @returns the path of a program that runs this; `$dir` is the directory */
  write(name: string, body: string, shebang = '#!/bin/sh'): string {
    const path = this.path(name);
    writeFileSync(path, `${shebang}\ndir=${this.directory}\n${body}\n`, { mode: 0o755 });
    return path;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** What a script has written into a file. */
  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  /** A pipe with a name: a script that reads from it stands still until somebody writes a line. */
  pipe(name: string): { readonly path: string; release(): void } {
    const path = this.path(name);
    execFileSync('mkfifo', [path]);
    return { path, release: () => writeFileSync(path, 'go\n') };
  }
}

/** Whether a process is there and has not ended. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
