import { spawn } from 'node:child_process';
import { copyFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { Poller } from '../../src/daemon/trackers/poller.ts';
import type { Finding } from '../../src/daemon/trackers/verdict.ts';
import { DeadlineTimer } from '../../src/net/deadline-timer.ts';
import { loadNative } from '../../src/net/native.ts';
import { Feed } from '../bench/feed.ts';
import { Scripts, isAlive } from './scripts.ts';
import { TrackerStage, often, soon } from './tracker-stage.ts';

const native = loadNative();

t.test('file: a switch for maintenance', async (t) => {
  const scripts = new Scripts(t);
  const path = scripts.path('maintenance');
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'file', path }));
  t.match(stage.only, { state: 'unknown', contributes: 0 });
  t.match(await stage.reaches('pass'), { kind: 'file', detail: `${path} is not there`, contributes: 0 });
  t.strictSame(stage.trackers.demotions, []);
  for (const [text, detail] of [
    ['', 'is there'],
    ['1\n', 'holds "1"'],
    ['-3', 'holds "-3"'],
    ['yes', 'holds "yes"'],
  ] as const) {
    writeFileSync(path, text);
    t.match(await stage.reaches('fail'), {
      detail: `${path} ${detail}: remove it, or write 0 into it`,
      contributes: 30,
    });
    t.strictSame(stage.trackers.demotions, [{ source: 'it', value: 30, hard: false }]);
    if (text === 'yes') writeFileSync(path, ' 0\n');
    else rmSync(path);
    await stage.reaches('pass');
  }
  t.equal(stage.only.detail, `${path} holds 0`);
});

t.test('file: what cannot be read is an error, and not as if it were not there', async (t) => {
  const scripts = new Scripts(t);
  scripts.pipe('pipe');
  for (const [path, detail] of [
    [scripts.path('no/such/directory'), /^there is no directory .*\/no\/such: make it/],
    [scripts.directory, /cannot be read: EISDIR/],
    [`${scripts.write('file', '')}/below`, /cannot be read: ENOTDIR/],
  ] as const) {
    const stage = new TrackerStage(t);
    stage.track(often({ kind: 'file', path }));
    t.match(await stage.reaches('error'), { detail, contributes: 30 });
  }
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'file', path: scripts.path('pipe') }));
  t.match(await stage.reaches('fail'), { detail: /is there/ }, 'a pipe that nobody writes to keeps nobody');
});

t.test('command: its status, and what it said last', async (t) => {
  const scripts = new Scripts(t);
  const check = scripts.write(
    'check',
    '[ -e $dir/good ] && exit 0; echo first; echo "$HAVRRP_GROUP $HAVRRP_TRACKER is bad" >&2; exit 7',
  );
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'command', argv: [check] }, { fall: 2, rise: 2 }));
  t.match(await stage.reaches('fail'), { detail: 'ended with status 7: edge it is bad' });
  writeFileSync(scripts.path('good'), '');
  t.match(await stage.reaches('pass'), { detail: 'ended with status 0' });
});

t.test('command: one that cannot be run is an error, which counts as a failure', async (t) => {
  const scripts = new Scripts(t);
  const check = scripts.write('check', 'exit 0');
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'command', argv: [check] }, { demote: 'fault' }));
  await stage.reaches('pass');
  t.strictSame(stage.trackers.faults, []);
  rmSync(check);
  t.match(await stage.reaches('error'), { contributes: 'fault' });
  t.match(stage.trackers.faults, [
    {
      code: 'check_error',
      text: new RegExp(`^it cannot be checked: could not be run: ${check}: there is no such program`),
    },
  ]);
  t.strictSame(stage.trackers.demotions, []);
});

t.test('command: over its time limit it has failed, and ends with its process group', async (t) => {
  const scripts = new Scripts(t);
  const hangs = scripts.write(
    'hangs',
    `sh -c "trap '' TERM; echo \\$\\$ >>$dir/pids; while :; do sleep 0.05; done" & echo $$ >>$dir/pids; sleep 60`,
  );
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'command', argv: [hangs] }, { timeoutMs: 300 }));
  const startedAt = native.now();
  t.match(await stage.reaches('fail'), { detail: 'no result within 0.3 s' });
  t.ok(native.now() - startedAt < 2200, 'it was not waited for until SIGKILL');
  const pids = scripts.read('pids').trim().split('\n').map(Number);
  t.equal(pids.length, 2, 'never two at once');
  while (pids.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 20));
  t.ok(native.now() - startedAt < 5000, 'then nothing of it is left');
});

t.test('a look that cannot be ended fails again and again, and there is no second one', async (t) => {
  const timer = DeadlineTimer.open(native);
  const findings = new Feed<Finding>();
  let looks = 0;
  const poller = new Poller({
    native,
    timer,
    pace: { everyMs: 50, timeoutMs: 100, fall: 2, rise: 1 },
    // As reading a file of a server that is gone.
    look: () => {
      looks += 1;
      return new Promise(() => undefined);
    },
    onFinding: (finding) => findings.push(finding),
    onDiscarded: () => undefined,
  });
  t.teardown(() => {
    poller.close();
    timer.close();
  });
  await findings.next(({ detail }) => detail === 'no result within 0.1 s', soon);
  await findings.next(({ detail }) => detail === 'no result, and it does not end', soon);
  t.equal(looks, 1);
});

t.test('command: close ends it at once', async (t) => {
  const scripts = new Scripts(t);
  const deaf = scripts.write(
    'deaf',
    `trap '' TERM; echo $$ >$dir/pid; : >$dir/ready; while :; do sleep 0.1; done`,
  );
  const stage = new TrackerStage(t);
  stage.track(
    often({ kind: 'command', argv: [deaf] }),
    often({ kind: 'file', path: scripts.path('ready') }, { name: 'ready' }),
  );
  await stage.reaches('fail', 'ready');
  const startedAt = native.now();
  stage.trackers.close();
  const pid = Number(scripts.read('pid'));
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  t.ok(native.now() - startedAt < 1500);
  t.strictSame(stage.trackers.status, []);
});

t.test('command: what it leaves in the background ends with it; its output does not pile up', async (t) => {
  const scripts = new Scripts(t);
  const leaves = scripts.write('leaves', 'sleep 63 & echo $! >$dir/job; head -c 300000 /dev/zero');
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'command', argv: [leaves] }, { everyMs: 60_000 }));
  await stage.reaches('pass');
  const job = Number(scripts.read('job'));
  while (isAlive(job)) await new Promise((resolve) => setTimeout(resolve, 5));
  t.pass('it is gone');
});

t.test('process: by name, by a long name, by path', async (t) => {
  const scripts = new Scripts(t);
  const long = scripts.write('a-name-longer-than-ps-shows', 'sleep 64');
  const stage = new TrackerStage(t);
  const unlike = 'a-name-longer-t';
  stage.track(
    often({ kind: 'process', process: 'a-name-longer-than-ps-shows' }),
    often({ kind: 'process', process: unlike }, { name: 'as ps shows it' }),
    often({ kind: 'process', process: 'a-name-longer-than-others' }, { name: 'another' }),
    often({ kind: 'process', process: process.execPath }, { name: 'path' }),
    often({ kind: 'process', process: '/no/such/program' }, { name: 'no path' }),
  );
  await stage.trackers.allKnown();
  t.strictSame(
    stage.trackers.status.map(({ name, state }) => [name, state]),
    [
      ['it', 'fail'],
      ['as ps shows it', 'fail'],
      ['another', 'fail'],
      ['path', 'pass'],
      ['no path', 'fail'],
    ],
  );
  t.equal(stage.only.detail, 'no process a-name-longer-than-ps-shows runs');
  stage.changes.skip();
  const child = spawn(long, { stdio: 'ignore', detached: true });
  const found = new Set<string>();
  while (found.size < 2) {
    const { name, detail } = await stage.changes.next(({ state }) => state === 'pass', soon);
    t.equal(detail, `process ${child.pid}`);
    found.add(name);
  }
  t.strictSame([...found].toSorted(), ['as ps shows it', 'it'], 'the same beginning is not the same name');
  process.kill(-(child.pid ?? 0), 'SIGKILL');
  await stage.reaches('fail');
});

t.test('process: the long name of a program that ps cuts off, found by its command line', async (t) => {
  const scripts = new Scripts(t);
  const path = scripts.path('havrrp-long-name-of-a-program');
  copyFileSync('/bin/sleep', path);
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'process', process: 'havrrp-long-name-of-a-program' }));
  await stage.reaches('fail');
  const child = spawn(path, ['65'], { stdio: 'ignore' });
  await stage.reaches('pass');
  child.kill('SIGKILL');
  await stage.reaches('fail');
});

t.test('process: one that has ended, and that nobody has asked how, does not run', async (t) => {
  const scripts = new Scripts(t);
  copyFileSync('/bin/sleep', scripts.path('hvt-ended'));
  const parent = spawn('sh', ['-c', `${scripts.path('hvt-ended')} 0.2 & echo $!; exec sleep 66`]);
  t.teardown(() => parent.kill('SIGKILL'));
  const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  t.ok(readdirSync('/proc').includes(String(pid)), 'it is still listed');
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'process', process: 'hvt-ended' }));
  await stage.reaches('fail');
});

t.test('tcp: accepted, refused, back again; a name without an address is an error', async (t) => {
  const server = createServer((socket) => socket.destroy());
  const listen = (port: number): Promise<void> =>
    new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const stage = new TrackerStage(t);
  stage.track(
    often({ kind: 'tcp', host: '127.0.0.1', port }),
    often({ kind: 'tcp', host: 'no.such.name.invalid', port }, { name: 'nobody', timeoutMs: 9000 }),
  );
  t.match(await stage.reaches('pass'), { detail: new RegExp(`^127.0.0.1:${port} accepted in [0-9.]+ ms$`) });
  await new Promise((resolve) => server.close(resolve));
  t.match(await stage.reaches('fail'), { detail: `127.0.0.1:${port}: ECONNREFUSED` });
  await listen(port);
  await stage.reaches('pass');
  await stage.trackers.allKnown();
  t.match(
    stage.trackers.status.find(({ name }) => name === 'nobody'),
    { state: 'error', detail: /^the name in no.such.name.invalid:\d+ has no address/ },
  );
});

t.test('interface: what the kernel told, without a wait', async (t) => {
  const stage = new TrackerStage(t);
  stage.links.set('eth3', true);
  stage.track({ name: 'it', kind: 'interface', interface: 'eth3', demote: 'fault' });
  t.match(stage.only, { state: 'pass', detail: 'eth3 is up', contributes: 0 });
  stage.links.set('eth3', false);
  stage.trackers.refresh();
  t.strictSame(stage.trackers.faults, [{ code: 'link_down', text: 'it failed: eth3 has no carrier' }]);
  stage.links.delete('eth3');
  stage.trackers.refresh();
  t.match(stage.trackers.faults, [{ code: 'interface_missing' }]);
  stage.trackers.configure([{ name: 'it', kind: 'interface', interface: 'eth3', demote: 20 }], {
    hold: true,
  });
  t.strictSame(
    stage.trackers.demotions,
    [{ source: 'it', value: 20, hard: false }],
    'another weight, the same finding',
  );
  stage.links.set('eth3', true);
  stage.trackers.refresh();
  t.strictSame(stage.trackers.demotions, []);
  t.strictSame(
    stage.changes.items.map(({ state }) => state),
    ['pass', 'fail', 'pass'],
  );
});

t.test('before the first result: a fault holds the group, unless it runs already', async (t) => {
  const scripts = new Scripts(t);
  const argv = [scripts.write('slow', 'until [ -e $dir/go ]; do sleep 0.01; done')];
  const stage = new TrackerStage(t);
  const settings = often({ kind: 'command', argv }, { demote: 'fault', timeoutMs: 9000 });
  stage.trackers.configure([settings], { hold: true });
  t.match(stage.trackers.faults, [
    { code: 'check_pending', text: 'waiting for the first result of it: no result yet' },
  ]);
  t.match(stage.only, { state: 'unknown', contributes: 'fault' });
  let known = false;
  void stage.trackers.allKnown().then(() => (known = true));
  stage.trackers.configure([settings, { ...settings, name: 'other' }], { hold: false });
  t.equal(stage.trackers.faults.length, 1, 'who was there before still holds it, the new one does not');
  await t.rejects(
    stage.changes.next(() => true, { withinMs: 100 }),
    'no result',
  );
  t.notOk(known);
  writeFileSync(scripts.path('go'), '');
  await stage.trackers.allKnown();
  t.strictSame(stage.trackers.faults, []);
});

t.test('a reload keeps what was found out about the same target', async (t) => {
  const scripts = new Scripts(t);
  const path = scripts.write('there', '');
  const stage = new TrackerStage(t);
  stage.track(often({ kind: 'file', path }));
  const { since } = await stage.reaches('fail');
  stage.track(often({ kind: 'file', path }, { demote: 70, everyMs: 60_000, fall: 9 }));
  t.match(stage.only, { state: 'fail', contributes: 70, since });
  stage.track(often({ kind: 'file', path: scripts.path('elsewhere') }));
  t.match(stage.only, { state: 'unknown', contributes: 0 });
  await stage.reaches('pass');
  stage.track();
  t.strictSame(stage.trackers.status, []);
});

for (const [how, body] of [
  ['ends badly', 'sleep 0.3; exit 1'],
  ['does not end', 'exec sleep 60'],
]) {
  t.test(`what ${how} while we are late ourselves does not count, and is looked at again`, async (t) => {
    const scripts = new Scripts(t);
    const argv = [scripts.write('once', `[ -e $dir/again ] || { : >$dir/again; ${body}; }`)];
    const stage = new TrackerStage(t);
    stage.track(
      often({ kind: 'command', argv }, { timeoutMs: 400, everyMs: 60_000 }),
      often({ kind: 'file', path: scripts.path('again') }, { name: 'began' }),
    );
    await stage.reaches('fail', 'began');
    standStill(1000);
    const discarded = await stage.changes.next(({ discardedMs }) => discardedMs !== undefined, soon);
    t.match(discarded, {
      name: 'it',
      state: 'unknown',
      detail: /; does not count, for we were \d+ ms late ourselves$/,
    });
    await stage.reaches('pass');
    const failed = stage.changes.items.filter(({ name, state }) => name === 'it' && state === 'fail');
    t.strictSame(failed, [], 'and at once, not after the minute');
  });
}

t.test('a pass that waited to be read is a pass, also behind a time limit that has run out', async (t) => {
  const scripts = new Scripts(t);
  const argv = [scripts.write('quick', ': >$dir/began; sleep 0.05')];
  const stage = new TrackerStage(t);
  stage.track(
    often({ kind: 'command', argv }, { timeoutMs: 400, everyMs: 60_000 }),
    often({ kind: 'file', path: scripts.path('began') }, { name: 'began' }),
  );
  await stage.reaches('fail', 'began');
  standStill(700);
  await stage.reaches('pass');
  t.strictSame(
    stage.changes.items.filter(({ name }) => name === 'it').map(({ state }) => state),
    ['pass'],
  );
});

t.test('many commands at once leave nothing open', async (t) => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  const stage = new TrackerStage(t);
  const before = open();
  stage.track(
    ...Array.from({ length: 20 }, (_, index) =>
      often({ kind: 'command', argv: ['true'] }, { name: `true ${index}` }),
    ),
  );
  await stage.trackers.allKnown();
  stage.track(
    ...Array.from({ length: 20 }, (_, index) =>
      often({ kind: 'command', argv: ['false'] }, { name: `true ${index}` }),
    ),
  );
  await stage.trackers.allKnown();
  stage.trackers.close();
  const until = native.now() + 5000;
  while (open() > before && native.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
  t.ok(open() <= before, `${open()} descriptors, ${before} before`);
});

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
