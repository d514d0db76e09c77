import t, { type Test } from 'tap';

/** A test that needs network namespaces. Without root it is not run, and says so. */
export function rootTest(name: string, body: (t: Test) => Promise<void>): void {
  if (process.getuid?.() === 0) void t.test(name, body);
  else t.comment(`SKIPPED, for want of root: ${name}`);
}
