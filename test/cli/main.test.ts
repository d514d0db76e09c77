import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { renderEvent } from '../../src/cli/render.ts';
import { ConfigError } from '../../src/errors.ts';
import { sampleStatus, testHandler, transition } from '../control/handler.ts';
import { openServer, temporaryDirectory } from '../control/raw.ts';

const program = fileURLToPath(new URL('havrrp.js', import.meta.url));

interface Outcome {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(
  ...args: string[]
): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  return spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
}

async function havrrp(...args: string[]): Promise<Outcome> {
  return finish(start(...args));
}

async function finish(child: ReturnType<typeof start>, input: string = ''): Promise<Outcome> {
  child.stdin?.end(input);
  const [stdout, stderr, [exit]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { exit, stdout, stderr };
}

const goodConfig = `runtime_directory: /run/elsewhere
groups:
  edge:
    instances:
      wan: { interface: eth0, vrid: 61, addresses: [203.0.113.1/24] }
`;

t.test('status', async (t) => {
  const { path } = await openServer(t, { handler: testHandler() });
  const table = await havrrp('status', '--socket', path);
  t.match(table, { exit: 0, stderr: '' });
  t.match(table.stdout, /^fw1: havrrp 0\.1\.0, pid 4711, up /);
  t.match(table.stdout, /^edge: master since .*\n {2}fw2 .*stopped advertising/m);
  t.match(table.stdout, /^dmz: fault since /m);
  t.notMatch(table.stdout, /\x1b/, 'no colours where nobody sees them');

  const one = await havrrp('--socket', path, 'status', 'dmz');
  t.match(one, { exit: 0 });
  t.notMatch(one.stdout, /^edge/m);

  const json = await havrrp('status', '--json', '--socket', path);
  t.same(JSON.parse(json.stdout), sampleStatus);
  const oneJson = await havrrp('status', 'dmz', '--json', '--socket', path);
  t.same(JSON.parse(oneJson.stdout), { ...sampleStatus, groups: sampleStatus.groups.slice(1) });

  t.same(await havrrp('status', 'egde', '--socket', path), {
    exit: 4,
    stdout: '',
    stderr: 'havrrp: there is no group "egde": the groups are edge, dmz\n',
  });
});

t.test('status --watch: a block at every event, and the end with the daemon', async (t) => {
  const handler = testHandler();
  const { path, server } = await openServer(t, { handler });
  const child = start('status', 'edge', '--watch', '--socket', path);
  let blocks = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    blocks += chunk.toString().split('fw1: havrrp').length - 1;
    if (blocks === 1) handler.emit(transition(3));
    if (blocks === 2) void server.close();
  });
  const outcome = await finish(child);
  t.match(outcome, { exit: 3, stderr: /^havrrp: the daemon stopped: .*\n$/ });
  t.equal(outcome.stdout.split('\n\nfw1: havrrp').length, 2, 'two blocks with a line between them');
  t.notMatch(outcome.stdout, /\x1b/);
});

t.test('demote', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler });
  t.same(
    await havrrp('demote', 'edge', '--for', '1.5m', '--persist', '--hard', '--force', '--socket', path),
    {
      exit: 0,
      stdout: 'edge was handed over: this node is backup\n',
      stderr: '',
    },
  );
  t.match(await havrrp('demote', 'edge', '--no-wait', '--socket', path), { exit: 0 });
  const all = await havrrp('demote', '--socket', path);
  t.same(all, {
    exit: 5,
    stdout: 'edge was handed over: this node is backup\n',
    stderr: 'havrrp: nobody took over dmz: this node is still master\n',
  });
  t.same(handler.calls, [
    'demote edge {"for_ms":90000,"persist":true,"hard":true,"force":true,"wait":true}',
    'demote edge {"wait":false}',
    'demote edge {"wait":true}',
    'demote dmz {"wait":true}',
  ]);
  t.match(await havrrp('demote', 'nope', '--socket', path), { exit: 4, stdout: '' });
});

t.test('promote', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler });
  const again = 'takes part with its own priority again\n';
  const both = `edge ${again}dmz ${again}`;
  t.same(await havrrp('promote', '--socket', path), { exit: 0, stdout: both, stderr: '' });
  t.match(await havrrp('promote', 'dmz', '--socket', path), { exit: 0 });
  t.match(await havrrp('promote', 'nope', '--socket', path), { exit: 4, stderr: /no group "nope"/ });
  t.same(handler.calls, ['promote edge', 'promote dmz', 'promote dmz']);
});

t.test('reload', async (t) => {
  const good = await openServer(t, { handler: testHandler() });
  const changed = 'group edge: interval 1 s -> 100 ms\n';
  t.same(await havrrp('reload', '--socket', good.path), { exit: 0, stdout: changed, stderr: '' });
  const same = await openServer(t, {
    handler: testHandler({ reload: () => Promise.resolve({ changes: [] }) }),
  });
  t.match(await havrrp('reload', '--socket', same.path), { exit: 0, stdout: /^nothing to change/ });
  const complaints = [
    { where: 'a.yaml:1:2', what: 'no', fix: 'yes' },
    { where: 'a.yaml:3:4', what: 'neither' },
  ];
  const handler = testHandler({ reload: () => Promise.reject(new ConfigError(complaints)) });
  const bad = await openServer(t, { handler });
  t.match(await havrrp('reload', '--socket', bad.path), {
    exit: 2,
    stdout: '',
    stderr: /^a\.yaml:1:2: no: yes\na\.yaml:3:4: neither\nhavrrp: not reloaded: .*stays in force.*\n$/,
  });
});

t.test('check', async (t) => {
  const directory = temporaryDirectory(t);
  const good = join(directory, 'good.yaml');
  const bad = join(directory, 'bad.yaml');
  writeFileSync(good, goodConfig);
  const broken = goodConfig.replace('vrid: 61', 'vrid: 300').replace('203.0.113.1/24', '203.0.113.1');
  writeFileSync(bad, broken);
  t.same(await havrrp('check', good), {
    exit: 0,
    stdout: `${good}: the configuration is good\n`,
    stderr: '',
  });
  t.match(await havrrp('check', '--config', good), { exit: 0 });
  const outcome = await havrrp('check', bad);
  t.match(outcome, { exit: 2, stdout: '' });
  const lines = outcome.stderr.trimEnd().split('\n');
  t.equal(lines.length, 2, 'all of them at once');
  for (const line of lines) t.match(line, /bad\.yaml:5:[0-9]+: /);
  t.match(await finish(start('check', '-'), goodConfig), { exit: 0, stdout: /^<stdin>: / });
  t.match(await finish(start('check', '-'), broken), { exit: 2, stderr: /^<stdin>:5:[0-9]+: / });
  const hooked = goodConfig.replace('    instances', '    hooks: { any: [/nowhere/tool] }\n    instances');
  t.match(await finish(start('check', '-'), hooked), {
    exit: 2,
    stderr: /^<stdin>:4:20: there is no program \/nowhere\/tool/,
  });
  t.match(await havrrp('check', join(directory, 'none.yaml')), {
    exit: 2,
    stderr: /none\.yaml: there is no such file/,
  });
});

t.test('events', async (t) => {
  const handler = testHandler();
  const { path, server } = await openServer(t, { handler });
  const past = handler.events().map((event) => `${renderEvent(event)}\n`);
  t.same(await havrrp('events', '--socket', path), { exit: 0, stdout: past.join(''), stderr: '' });
  const json = await havrrp('events', '--json', '--socket', path);
  const lines = json.stdout.trimEnd().split('\n');
  t.same(
    lines.map((line): unknown => JSON.parse(line)),
    handler.events(),
  );

  const head = start('events', '--follow', '--socket', path);
  await once(head.stdout, 'data');
  (head.stdout as NodeJS.ReadableStream & { destroy(): void }).destroy();
  const closed = once(head, 'close');
  handler.emit(transition(3));
  t.match(
    await Promise.all([closed, text(head.stderr)]),
    [[0], ''],
    'a reader that had enough ends it quietly',
  );

  const child = start('events', '--follow', '--socket', path);
  child.stdout.once('data', () => {
    handler.emit(transition(4));
    void server.close();
  });
  t.match(await finish(child), {
    exit: 3,
    stdout: new RegExp(`${renderEvent(transition(4))}\n$`),
    stderr: /^havrrp: the daemon stopped: .*\n$/,
  });
});

t.test('no daemon', async (t) => {
  const directory = temporaryDirectory(t);
  const config = join(directory, 'havrrp.yaml');
  writeFileSync(config, `runtime_directory: ${directory}\ngroups: [broken`);
  const socket = join(directory, 'control.sock');
  const stderr = `havrrp: the daemon is not running: ${socket}: systemctl start havrrp\n`;
  for (const args of [['status'], ['status', '--watch'], ['demote'], ['promote'], ['reload'], ['events']]) {
    t.same(await havrrp(...args, '--config', config), { exit: 3, stdout: '', stderr }, args.join(' '));
  }
  const nowhere = await havrrp('status', '--config', join(directory, 'none.yaml'));
  t.match(nowhere.stderr, /\/run\/havrrp\/control\.sock|^$/, 'without a configuration, the default place');
});

t.test('a daemon that closes on everybody', async (t) => {
  const path = join(temporaryDirectory(t), 'control.sock');
  const server = createServer((socket) => void socket.destroy()).listen(path);
  await once(server, 'listening');
  t.teardown(() => server.close());
  t.match(await havrrp('status', '--socket', path), {
    exit: 3,
    stderr: /^havrrp: the daemon closed the connection without an answer: .*: see journalctl -u havrrp\n$/,
  });
});

t.test('usage: one line, with a guess where there is one', async (t) => {
  const rows: readonly [string[], RegExp][] = [
    [['stauts'], /^havrrp: unknown command 'stauts': did you mean status\?\n$/],
    [['status', '--jsno'], /^havrrp: unknown option '--jsno': did you mean --json\?\n$/],
    [['status', '--xyzzy'], /^havrrp: unknown option '--xyzzy': see havrrp --help\n$/],
    [['status', 'a', 'b'], /^havrrp: too many arguments for 'status'.*: see havrrp --help\n$/],
    [['demote', '--for', 'soon'], /^havrrp: option '--for <duration>' argument 'soon' is invalid.*5m.*\n$/],
    [['demote', '--for', '0'], /^havrrp: option '--for <duration>' argument '0' is invalid.*\n$/],
    [['demote', '--for'], /^havrrp: option '--for <duration>' argument missing.*\n$/],
  ];
  for (const [args, stderr] of rows) {
    t.match(await havrrp(...args), { exit: 1, stdout: '', stderr }, args.join(' '));
  }
  t.match(await havrrp('--version'), { exit: 0, stdout: '0.1.0\n' });
  t.match(await havrrp('help', 'demote'), { exit: 0, stdout: /--persist[^]*--socket <path>/ });
});
