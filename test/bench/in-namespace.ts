import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const inside = 'HAVRRP_TEST_NAMESPACE';

/** Runs a file's tests in a network namespace of their own: the file runs itself again inside, and its results become one
 *  subtest. The namespace ends with the last process in it. Without root it is skipped, and says so.
 *  @param url the file's import.meta.url
 *  @param through a program, and its options, that starts the tests in there: `['setpriv', '--bounding-set=-net_admin']` */
export function inNamespace(url: string, tests: () => void, through: readonly string[] = []): void {
  if (process.env[inside] !== undefined) {
    tests();
  } else if (process.getuid?.() !== 0) {
    t.pass('skipped', { skip: 'needs root: network namespaces' });
  } else {
    const self = [process.execPath, ...process.execArgv, fileURLToPath(url)];
    void t.spawn('unshare', ['--net', ...through, ...self], { env: { ...process.env, [inside]: '1' } });
  }
}

/** Runs shell commands and stands still until they are done: no event is handled meanwhile.
 *  @returns what they wrote to standard output
 *  @throws Error with what they wrote to standard error */
export function shell(commands: string): string {
  return execFileSync('sh', ['-ec', commands], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
