import t, { type Test } from 'tap';
import { readFileSync } from 'node:fs';
import {
  type HookEnd,
  type HookName,
  HookQueue,
  type HookState,
  type HookTransition,
} from '../../src/daemon/hooks.ts';
import { loadNative } from '../../src/net/native.ts';
import { Feed } from '../bench/feed.ts';
import { Scripts, isAlive } from './scripts.ts';

const native = loadNative();
const soon = { withinMs: 5000 };

type Happening =
  | { readonly type: 'started'; readonly hook: HookName; readonly sequence: number }
  | { readonly type: 'ended'; readonly end: HookEnd }
  | { readonly type: 'skipped'; readonly sequence: number; readonly next: number | undefined };

class Stage {
  readonly queue: HookQueue;
  readonly happened: Feed<Happening> = new Feed();
  #sequence = 0;

  constructor(
    t: Test,
    programs: Partial<Record<HookName, readonly (readonly string[])[]>>,
    timeoutMs = 30_000,
  ) {
    this.queue = new HookQueue({
      native,
      node: 'fw1',
      group: 'edge',
      settings: {
        programs: { master: [], backup: [], fault: [], stop: [], any: [], ...programs },
        timeoutMs,
      },
      onStarted: ({ hook, sequence }) => this.happened.push({ type: 'started', hook, sequence }),
      onEnded: (end) => this.happened.push({ type: 'ended', end }),
      onSkipped: ({ sequence }, next) =>
        this.happened.push({ type: 'skipped', sequence, next: next?.sequence }),
    });
    t.teardown(() => this.queue.close());
  }

  transition(state: HookState, changes: Partial<HookTransition> = {}): void {
    this.#sequence += 1;
    const sequence = this.#sequence;
    this.queue.transition({
      state,
      previous: 'backup',
      reason: 'master_down_timer',
      sequence,
      statusJson: JSON.stringify({ name: 'edge', state, sequence }),
      ...changes,
    });
  }

  async started(hook: HookName): Promise<void> {
    await this.happened.next((each) => each.type === 'started' && each.hook === hook, {
      ...soon,
      what: `hook ${hook} started`,
    });
  }

  async ended(hook: HookName, withinMs = soon.withinMs): Promise<HookEnd> {
    const happening = await this.happened.next(
      (each): each is Extract<Happening, { type: 'ended' }> =>
        each.type === 'ended' && each.end.hook === hook,
      { withinMs, what: `hook ${hook} ended` },
    );
    return happening.end;
  }
}

t.test('environment, standard input, directory; those of the state in their order, then any', async (t) => {
  const scripts = new Scripts(t);
  const tell = scripts.write(
    'tell',
    'env | grep -E "^(HAVRRP_|PATH=|NOTIFY_SOCKET|NODE_)" | sort; pwd; read -r json; echo "$json"; echo "$@"',
  );
  const fail = scripts.write('fail', 'echo "it went wrong" >&2; exit 3');
  const stage = new Stage(t, {
    master: [[tell, 'primary', 'two words'], [fail]],
    any: [[tell]],
    backup: [[fail]],
  });
  stage.transition('master', { previous: 'fault', reason: 'recovered' });
  const first = await stage.ended('master');
  t.strictSame(first.result.ending, { how: 'exited', status: 0 });
  const lines = first.result.output.trim().split('\n');
  // tap puts a loader of its own into every process below a test.
  t.strictSame(
    lines.filter((line) => !line.startsWith('NODE_OPTIONS=')),
    [
      'HAVRRP_GROUP=edge',
      'HAVRRP_NODE=fw1',
      'HAVRRP_PREVIOUS_STATE=fault',
      'HAVRRP_REASON=recovered',
      'HAVRRP_SEQUENCE=1',
      'HAVRRP_STATE=master',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      '/',
      '{"name":"edge","state":"master","sequence":1}',
      'primary two words',
    ],
  );
  const second = await stage.ended('master');
  t.strictSame(second.result.ending, { how: 'exited', status: 3 });
  t.equal(second.result.output, 'it went wrong\n');
  t.equal((await stage.ended('any')).result.output.includes('HAVRRP_STATE=master'), true);
  await stage.queue.finish(1000);
  t.strictSame(
    stage.queue.runs.map(({ hook, result }) => [hook, result?.ending]),
    [
      ['master', { how: 'exited', status: 0 }],
      ['master', { how: 'exited', status: 3 }],
      ['any', { how: 'exited', status: 0 }],
    ],
  );
  const durations = stage.queue.durations;
  t.equal(durations.get('master')?.count, 2);
  t.equal(durations.get('any')?.buckets.at(-1)?.count, 1);
  t.ok((durations.get('master')?.sum ?? 0) > 0.001, 'seconds');
});

t.test('never two at once; what is history when its turn comes is skipped', async (t) => {
  const scripts = new Scripts(t);
  const gate = scripts.pipe('gate');
  const slow = scripts.write(
    'slow',
    `echo begin $HAVRRP_SEQUENCE >>$dir/log; read -r go <${gate.path}; echo end >>$dir/log`,
  );
  const quick = scripts.write('quick', 'echo $HAVRRP_STATE $HAVRRP_SEQUENCE >>$dir/log');
  const stage = new Stage(t, { master: [[slow], [quick]], backup: [[quick]], fault: [[quick]] });
  stage.transition('master');
  await stage.started('master');
  stage.transition('backup');
  stage.transition('fault');
  stage.transition('backup');
  t.equal(stage.queue.runs.find(({ result }) => result === undefined)?.sequence, 1, 'status shows what runs');
  gate.release();
  await stage.ended('backup');
  t.equal(scripts.read('log'), 'begin 1\nend\nmaster 1\nbackup 4\n', 'what was begun is told to the end');
  const skipped = stage.happened.items.filter(({ type }) => type === 'skipped');
  t.strictSame(skipped, [
    { type: 'skipped', sequence: 2, next: 3 },
    { type: 'skipped', sequence: 3, next: 4 },
  ]);
});

t.test('a transition without hooks is neither run nor skipped, but supersedes', async (t) => {
  const scripts = new Scripts(t);
  const quick = scripts.write('quick', 'true');
  const stage = new Stage(t, { master: [[quick]] });
  stage.transition('master');
  stage.transition('backup');
  stage.transition('fault');
  await stage.queue.finish(1000);
  t.strictSame(stage.happened.items, [{ type: 'skipped', sequence: 1, next: 2 }]);
});

t.test('nothing is started in the turn of the loop that reports the transition', async (t) => {
  const scripts = new Scripts(t);
  const stage = new Stage(t, { master: [[scripts.write('quick', 'true')]] });
  stage.transition('master');
  await Promise.resolve();
  t.strictSame(stage.happened.items, []);
  await stage.ended('master');
});

t.test(
  'the time limit ends the whole process group, also what ignores SIGTERM or stands still',
  async (t) => {
    const scripts = new Scripts(t);
    const deaf = scripts.write(
      'deaf',
      `trap '' TERM
     sh -c "trap '' TERM; echo \\$\\$ >$dir/child; while :; do sleep 0.1; done" &
     echo $$ >$dir/parent; echo started; while :; do sleep 0.1; done`,
    );
    const stopped = scripts.write('stopped', 'kill -STOP $$; sleep 60');
    const polite = scripts.write('polite', 'exec sleep 60');
    const stage = new Stage(t, { master: [[deaf], [polite], [stopped]] }, 300);
    stage.transition('master');
    const { result } = await stage.ended('master');
    t.strictSame(result.ending, { how: 'timed_out', limitMs: 300 });
    t.equal(result.output, 'started\n', 'what it had said is kept');
    t.ok(
      result.durationMs > 2200 && result.durationMs < 3500,
      `SIGKILL two seconds later: ${result.durationMs} ms`,
    );
    for (const name of ['parent', 'child']) t.notOk(isAlive(Number(scripts.read(name))), `${name} is gone`);
    for (const name of ['polite', 'stopped']) {
      const { result } = await stage.ended('master');
      t.strictSame(result.ending, { how: 'timed_out', limitMs: 300 }, name);
      t.ok(result.durationMs < 1500, `${name}: SIGTERM was enough: ${result.durationMs} ms`);
    }
  },
);

t.test('whoever is of its group has as much time to end as the hook itself', async (t) => {
  const scripts = new Scripts(t);
  const leaves = scripts.write(
    'leaves',
    `sh -c "trap 'sleep 0.4; echo tidied >$dir/log; exit' TERM; : >$dir/ready; while :; do sleep 0.05; done" &
     until [ -e $dir/ready ]; do sleep 0.01; done; sleep 60`,
  );
  const next = scripts.write('next', 'echo next >>$dir/log');
  const stage = new Stage(t, { master: [[leaves], [next]] }, 300);
  stage.transition('master');
  const { result } = await stage.ended('master');
  t.strictSame(result.ending, { how: 'timed_out', limitMs: 300 });
  await stage.ended('master');
  t.equal(scripts.read('log'), 'tidied\nnext\n', 'and the next begins when all are gone');
});

t.test('one that has ended in time is not over its time limit because we were late', async (t) => {
  const stage = new Stage(t, { master: [['true']] }, 200);
  stage.transition('master');
  await stage.started('master');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  t.strictSame((await stage.ended('master')).result.ending, { how: 'exited', status: 0 });
});

t.test('what a hook leaves in the background is left alone, and nobody waits for it', async (t) => {
  const scripts = new Scripts(t);
  const forks = scripts.write(
    'forks',
    `sleep 61 & echo $! >$dir/job
     setsid sh -c 'echo $$ >$0; exec sleep 62' $dir/daemon & wait_for() { until [ -s $dir/daemon ]; do sleep 0.01; done; }; wait_for
     sh -c 'until [ -e $0 ]; do sleep 0.02; done; echo still writing; echo written >$1' $dir/write $dir/written & echo $! >$dir/writer
     echo forked`,
  );
  const quick = scripts.write('quick', 'true');
  const stage = new Stage(t, { backup: [[forks], [quick]] }, 3000);
  stage.transition('backup');
  const { result } = await stage.ended('backup');
  t.strictSame(result.ending, { how: 'exited', status: 0 });
  t.equal(result.output, 'forked\n');
  t.ok(result.durationMs < 2000, `${result.durationMs} ms`);
  await stage.ended('backup');
  const pids = ['job', 'daemon'].map((name) => Number(scripts.read(name)));
  t.teardown(() => pids.forEach((pid) => process.kill(pid, 'SIGKILL')));
  for (const pid of pids) t.ok(isAlive(pid), 'it still runs');
  // Nobody ends by SIGPIPE because its hook has ended.
  scripts.write('write', '');
  const writer = Number(scripts.read('writer'));
  while (isAlive(writer)) await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(scripts.read('written'), 'written\n');
});

t.test('one that prints without end keeps neither memory nor the event loop', async (t) => {
  const stage = new Stage(t, { master: [['yes', 'x'.repeat(99)]] }, 1000);
  const before = process.memoryUsage().rss;
  let last = native.now();
  let longest = 0;
  const ticking = setInterval(() => {
    longest = Math.max(longest, native.now() - last);
    last = native.now();
  }, 5);
  const cpu = process.cpuUsage();
  stage.transition('master');
  const { result } = await stage.ended('master');
  clearInterval(ticking);
  const { user, system } = process.cpuUsage(cpu);
  t.equal(result.ending.how, 'timed_out');
  t.equal(result.output.length, 2048);
  t.ok(process.memoryUsage().rss - before < 32 * 1024 * 1024, 'memory');
  t.ok(longest < 250, `the loop never stood still for long: ${longest.toFixed(1)} ms`);
  t.ok((user + system) / 1e6 < 0.5, `processor: ${((user + system) / 1e4).toFixed(0)} % of a second`);
});

t.test('one that cannot be run is reported, and the next has its turn', async (t) => {
  const scripts = new Scripts(t);
  const gone = scripts.path('gone');
  const noInterpreter = scripts.write('no-interpreter', 'true', '#!/no/such/shell');
  const hooks = [
    [gone],
    [noInterpreter],
    ['/etc/passwd'],
    [scripts.directory],
    ['no-such-program'],
    ['true', 'a\0b'],
    [],
  ];
  const stage = new Stage(t, { fault: [...hooks, ['true']] });
  stage.transition('fault');
  for (const argv of hooks) {
    const { result } = await stage.ended('fault');
    t.equal(result.ending.how, 'not_started', `${JSON.stringify(argv)}: ${JSON.stringify(result.ending)}`);
  }
  t.strictSame(
    (await stage.ended('fault')).result.ending,
    { how: 'exited', status: 0 },
    'a name is found in PATH',
  );
});

t.test('standard input: read again by name, larger than a pipe, or not read at all', async (t) => {
  const scripts = new Scripts(t);
  const whole = scripts.write(
    'whole',
    'cat /dev/stdin | wc -c; echo to the other >/dev/stderr; echo out >/dev/stdout',
  );
  const stage = new Stage(t, { master: [['true'], ['sh', '-c', 'exec <&-; sleep 0.05'], [whole]] });
  const statusJson = JSON.stringify({ text: 'x'.repeat(1 << 20) });
  stage.transition('master', { statusJson });
  t.strictSame((await stage.ended('master')).result.ending, { how: 'exited', status: 0 });
  t.strictSame((await stage.ended('master')).result.ending, { how: 'exited', status: 0 });
  t.equal((await stage.ended('master')).result.output, `${statusJson.length + 1}\nto the other\nout\n`);
});

t.test('a signal that was not ours is the end it had', async (t) => {
  const stage = new Stage(t, { master: [['sh', '-c', 'kill -SEGV $$']] });
  stage.transition('master');
  t.strictSame((await stage.ended('master')).result.ending, { how: 'killed', signal: 'SIGSEGV' });
});

t.test('finish waits for what is left to do', async (t) => {
  const scripts = new Scripts(t);
  const stage = new Stage(t, {
    master: [['sh', '-c', 'sleep 0.1']],
    stop: [[scripts.write('last', 'echo last >>$dir/log')]],
  });
  stage.transition('master');
  await stage.started('master');
  stage.transition('stop');
  await stage.queue.finish(10_000);
  t.equal(scripts.read('log'), 'last\n');
  stage.transition('master');
  t.equal(
    stage.happened.items.filter(({ type }) => type === 'started').length,
    2,
    'nothing is run after that',
  );
});

t.test('finish does not wait for ever', async (t) => {
  const scripts = new Scripts(t);
  const stage = new Stage(t, {
    stop: [['sh', '-c', 'sleep 60 & sleep 60'], [scripts.write('last', 'echo last >>$dir/log')]],
  });
  stage.transition('stop');
  const startedAt = native.now();
  await stage.queue.finish(200);
  // The one in the background may be waited for as long as nobody has asked how it ended.
  t.ok(native.now() - startedAt < 4000);
  t.strictSame((await stage.ended('stop')).result.ending, { how: 'given_up' });
  t.match(stage.happened.items.at(-1), { type: 'skipped', sequence: 1, next: undefined });
  t.throws(() => scripts.read('log'), { code: 'ENOENT' });
});

t.test('close ends what runs at once', async (t) => {
  const scripts = new Scripts(t);
  const stage = new Stage(t, {
    master: [[scripts.write('deaf', `trap '' TERM; echo $$ >$dir/pid; echo ready; sleep 60`)]],
  });
  stage.transition('master');
  await stage.started('master');
  while (!existsWithText(scripts.path('pid'))) await new Promise((resolve) => setTimeout(resolve, 5));
  stage.queue.close();
  t.strictSame((await stage.ended('master')).result.ending, { how: 'given_up' });
  const pid = Number(scripts.read('pid'));
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  t.pass('it is gone');
});

t.test('other hooks after a reload: those that begin later, and what status shows', async (t) => {
  const scripts = new Scripts(t);
  const log = (word: string): string[] => [scripts.write(word, `echo ${word} >>$dir/log`)];
  const stage = new Stage(t, { master: [log('old'), log('both')] });
  stage.transition('master');
  await stage.ended('master');
  await stage.ended('master');
  const programs = { master: [log('new'), log('both')], backup: [], fault: [], stop: [], any: [] };
  stage.queue.configure({ programs, timeoutMs: 1000 });
  t.strictSame(
    stage.queue.runs.map(({ argv }) => argv),
    [log('both')],
  );
  stage.transition('master');
  await stage.queue.finish(5000);
  t.equal(scripts.read('log'), 'old\nboth\nnew\nboth\n');
});

function existsWithText(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').endsWith('\n');
  } catch {
    return false;
  }
}
