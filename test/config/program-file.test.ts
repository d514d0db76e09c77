import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkProgram } from '../../src/config/program-file.ts';

/** Temporary directories are for everybody, so that no program in one is as it should be; and only root gives files away. */
const asRoot = { skip: process.getuid?.() !== 0 && 'only root has a place that nobody else may write to' };

/** A directory with a program `tool` in a directory `bin`, all as it should be. */
function place(t: Test): { readonly root: string; readonly bin: string; readonly tool: string } {
  const root = mkdtempSync('/run/havrrp-test-program-');
  t.teardown(() => rmSync(root, { recursive: true }));
  const bin = join(root, 'bin');
  const tool = join(bin, 'tool');
  chmodSync(root, 0o755);
  mkdirSync(bin, { mode: 0o755 });
  writeFileSync(tool, '#!/bin/sh\n', { mode: 0o755 });
  chmodSync(bin, 0o755);
  chmodSync(tool, 0o755);
  return { root, bin, tool };
}

t.test('a program that is as it should be', asRoot, async (t) => {
  const { root, tool } = place(t);
  t.equal(await checkProgram(tool), undefined);
  t.equal(await checkProgram(`${root}//bin/./../bin/tool`), undefined);
  t.equal(await checkProgram('sh'), undefined, 'a name is looked for in the path of programs, through links');
  t.equal(await checkProgram('/bin/sh'), undefined);
});

t.test('links are followed, and the way they lead is looked at', asRoot, async (t) => {
  const { root, bin, tool } = place(t);
  symlinkSync('tool', join(bin, 'relative'));
  symlinkSync(bin, join(root, 'elsewhere'));
  symlinkSync('loop', join(bin, 'loop'));
  t.equal(await checkProgram(join(root, 'elsewhere', 'relative')), undefined);
  chmodSync(tool, 0o757);
  t.match(await checkProgram(join(root, 'elsewhere', 'relative')), { fix: `chmod go-w ${tool}` });
  t.match(await checkProgram(join(bin, 'loop')), { what: /goes round in symbolic links/ });
});

t.test('what others may write, by its component, owner and mode, with what mends it', asRoot, async (t) => {
  const { bin, tool } = place(t);
  chmodSync(tool, 0o775);
  t.strictSame(await checkProgram(tool), {
    what: `${tool} may be written by group 0: whoever that is decides what havrrp runs: ${tool} has owner 0:0 and mode 0775`,
    fix: `chmod go-w ${tool}`,
  });
  chmodSync(tool, 0o755);
  chmodSync(bin, 0o777);
  t.strictSame(await checkProgram(tool), {
    what: `${bin}, on the way to ${tool}, may be written by everybody: whoever that is decides what havrrp runs: ${bin} has owner 0:0 and mode 0777`,
    fix: `chmod go-w ${bin}`,
  });
  chmodSync(bin, 0o1777);
  t.match(
    await checkProgram(tool),
    {
      what: /bin has owner 0:0 and mode 1777$/,
      fix: `put it where root alone may write: install -m 755 ${tool} /usr/local/sbin/`,
    },
    'as /tmp, which is to stay as it is',
  );
});

t.test('what belongs to others', asRoot, async (t) => {
  const { bin, tool } = place(t);
  chownSync(bin, 4711, 4711);
  t.strictSame(await checkProgram(tool), {
    what: `${bin}, on the way to ${tool}, belongs to user 4711: whoever that is decides what havrrp runs: ${bin} has owner 4711:4711 and mode 0755`,
    fix: `chown root ${bin}`,
  });
  chownSync(bin, 0, 0);
  chownSync(tool, 4711, 0);
  t.match(await checkProgram(tool), { fix: `chown root ${tool}` });
});

t.test('what cannot be run at all', asRoot, async (t) => {
  const { root, bin, tool } = place(t);
  chmodSync(tool, 0o644);
  t.strictSame(await checkProgram(tool), {
    what: `${tool} is not executable: ${tool} has owner 0:0 and mode 0644`,
    fix: `chmod +x ${tool}`,
  });
  const odd = join(bin, "it's odd");
  writeFileSync(odd, '', { mode: 0o644 });
  t.match(await checkProgram(odd), { fix: `chmod +x '${bin}/it'\\''s odd'` }, 'to be pasted into a shell');
  t.match(await checkProgram(bin), { what: `${bin} is no file that can be run` });
  t.match(await checkProgram(join(bin, 'gone')), { what: `there is no program ${bin}/gone` });
  t.match(await checkProgram(join(root, 'gone', 'tool')), {
    what: `there is no program ${root}/gone/tool: there is no ${root}/gone`,
  });
  t.match(await checkProgram(join(tool, 'deeper')), {
    what: `${tool}/deeper cannot be reached: ${tool} is no directory`,
  });
  t.match(await checkProgram('bin/tool'), { what: 'bin/tool is no absolute path' });
  t.match(await checkProgram('./tool'), { what: './tool is no absolute path' });
  t.match(await checkProgram(''), { what: 'a program without a name is no absolute path' });
  t.match(await checkProgram('no-such-program'), { what: /^there is no program no-such-program in \/usr/ });
});
