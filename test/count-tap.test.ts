import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

/** The last line of .ci/run is what others believe: it is counted from all of tap's runs. */
function count(tap: readonly string[]): { line: string; status: number | null } {
  const script = fileURLToPath(new URL('../../scripts/count-tap.mjs', import.meta.url));
  const { stdout, status } = spawnSync(process.execPath, [script], {
    input: tap.join('\n'),
    encoding: 'utf8',
  });
  return { line: stdout.trim(), status };
}

const passing = [
  'TAP version 14',
  '1..1',
  '# Subtest: file',
  '    ok 1 - a',
  '    ok 2 - b',
  '    1..2',
  'ok 1 - file',
];

t.test('assertions are counted, not files, over several runs and amid other output', async (t) => {
  t.strictSame(count(['> npm test', ...passing, 'noise', ...passing]), {
    line: '4 passed, 0 failed',
    status: 0,
  });
});

t.test('a failed assertion counts once, not again for the file around it', async (t) => {
  const failing = passing.with(3, '    not ok 1 - a').with(6, 'not ok 1 - file');
  t.strictSame(count(failing), { line: '1 passed, 1 failed', status: 1 });
});

t.test('a file that broke without a failed assertion is a failure', async (t) => {
  t.strictSame(count(passing.with(6, 'not ok 1 - file')), { line: '2 passed, 1 failed', status: 1 });
  t.strictSame(count(passing.slice(0, -1)), { line: '2 passed, 1 failed', status: 1 }, 'a run cut short');
});

t.test('a subtest that only could have thrown is one assertion; a skipped one is none', async (t) => {
  const empty = [
    'TAP version 14',
    '1..2',
    '# Subtest: property',
    '    1..0',
    'ok 1 - property',
    'ok 2 - x # SKIP why',
  ];
  t.strictSame(count(empty), { line: '1 passed, 0 failed', status: 0 });
});

t.test('no test at all is no success', async (t) => {
  t.strictSame(count([]), { line: '0 passed, 0 failed', status: 1 });
});
