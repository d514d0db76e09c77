// Reads the output of tap runs on standard input and prints the last line of .ci/run: `N passed, N failed`, counting
// assertions as tap does. Ends with status 1 when one failed, or when there was none.
import { text } from 'node:stream/consumers';
import { Parser } from 'tap-parser';

let passed = 0;
let failed = 0;

/** Counts the assertions below a parser. A subtest's own line counts where nothing inside it did: it held a property
 *  that only throws, or it broke (a plan not kept, a timeout, a crash). */
function count(parser) {
  let subtest;
  parser.on('child', (child) => {
    const before = failed;
    count(child);
    child.on(
      'complete',
      ({ count: held }) => (subtest = { isEmpty: held === 0, hasFailed: failed > before }),
    );
  });
  parser.on('assert', ({ ok, todo, skip }) => {
    const closed = subtest;
    subtest = undefined;
    if (skip || todo) return;
    if (!ok) failed += closed?.hasFailed ? 0 : 1;
    else if (closed === undefined || closed.isEmpty) passed += 1;
  });
  parser.on('bailout', () => (failed += 1));
}

const output = await text(process.stdin);
for (const stream of output
  .split(/^(?=TAP version \d+$)/m)
  .filter((part) => part.startsWith('TAP version'))) {
  const parser = new Parser();
  const before = failed;
  count(parser);
  parser.on('complete', ({ ok }) => {
    if (!ok && failed === before) failed += 1;
  });
  parser.end(stream);
}

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
