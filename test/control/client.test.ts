import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  demote,
  followEvents,
  getStatus,
  isListening,
  promote,
  reload,
  type FollowItem,
} from '../../src/control/client.ts';
import { ConfigError } from '../../src/errors.ts';
import { sampleStatus, testHandler, transition } from './handler.ts';
import { openServer, temporaryDirectory } from './raw.ts';

/** Something that listens and is no havrrp: it does this with every connection. */
async function stranger(t: Test, behave: (socket: Socket) => void): Promise<string> {
  const path = join(temporaryDirectory(t), 'control.sock');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    t.teardown(() => void socket.destroy());
    behave(socket);
  }).listen(path);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return path;
}

t.test('every request, and what comes back', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler });
  t.same(await getStatus(path), sampleStatus);
  t.match(await demote(path, 'edge', { for_ms: 1000, wait: true }, 1000), { outcome: 'handed_over' });
  t.match(await demote(path, 'dmz', {}, 1000), { outcome: 'nobody_took_over', text: /still master/ });
  t.match(await promote(path, 'edge'), { group: 'edge', text: /own priority/ });
  t.match(await reload(path), { changes: [/interval/] });
  t.same(handler.calls, [
    'demote edge {"for_ms":1000,"wait":true}',
    'demote dmz {}',
    'promote edge',
    'reload',
  ]);
});

t.test('what the daemon refuses is thrown here as it was there', async (t) => {
  const complaints = [
    { where: 'a.yaml:1:2', what: 'no', fix: 'yes' },
    { where: 'a.yaml:3:4', what: 'neither' },
  ];
  const handler = testHandler({ reload: () => Promise.reject(new ConfigError(complaints)) });
  const { path } = await openServer(t, { handler });
  await t.rejects(promote(path, 'a/b ?#%'), {
    name: 'ControlError',
    code: 'no_such_group',
    message: 'there is no group "a/b ?#%"',
  });
  await t.rejects(demote(path, 'nope', {}, 1000), { name: 'ControlError', code: 'no_such_group' });
  await t.rejects(demote(path, 'edge', { for_ms: -1 }, 1000), { code: 'bad_request', message: /for_ms/ });
  await t.rejects(reload(path), { name: 'ConfigError', message: 'a.yaml:1:2: no: yes\na.yaml:3:4: neither' });
});

t.test('no daemon: which socket, and what to do', async (t) => {
  const directory = temporaryDirectory(t);
  const missing = join(directory, 'control.sock');
  const file = join(directory, 'file');
  writeFileSync(file, '');
  for (const path of [missing, file, join(file, 'control.sock')]) {
    const message = `the daemon is not running: ${path}: systemctl start havrrp`;
    await t.rejects(getStatus(path), { name: 'ControlError', code: 'not_running', message });
    await t.rejects(followEvents(path).next(), { code: 'not_running', message });
    t.equal(await isListening(path), false);
  }
});

t.test('a daemon that does not answer', async (t) => {
  const path = await stranger(t, () => undefined);
  const failure = { name: 'ControlError', code: 'no_answer', message: /does not answer.*0\.1 s.*journalctl/ };
  await t.rejects(demote(path, 'edge', {}, 100), failure);
  t.equal(await isListening(path), true, 'but it is there');
});

t.test('a daemon that dies in the middle, or is none', async (t) => {
  const half = 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"node":';
  const endings: readonly [string, (socket: Socket) => void][] = [
    ['closes at once', (socket) => void socket.destroy()],
    ['closes when asked', (socket) => void socket.once('data', () => socket.destroy())],
    ['closes within the reply', (socket) => void socket.end(half)],
    ['is no HTTP server', (socket) => void socket.end('220 mail.example.net ESMTP\r\n')],
    ['speaks no JSON', (socket) => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi')],
  ];
  for (const [name, behave] of endings) {
    const path = await stranger(t, behave);
    await t.rejects(
      getStatus(path),
      { name: 'ControlError', code: 'no_answer', message: /control\.sock/ },
      name,
    );
  }
});

t.test('followEvents: the past, its end, what happens, and the end with the daemon', async (t) => {
  const handler = testHandler();
  const { path, server } = await openServer(t, { handler });
  const items: FollowItem[] = [];
  for await (const item of followEvents(path)) {
    items.push(item);
    if (item.type === 'snapshot-end') handler.emit(transition(3, 'zwölf — "quoted"\nand broken'));
    else if (item.event.sequence === 3) void server.close();
  }
  t.same(items, [
    { type: 'event', event: transition(1, 'started') },
    { type: 'event', event: transition(2) },
    { type: 'snapshot-end' },
    { type: 'event', event: transition(3, 'zwölf — "quoted"\nand broken') },
  ]);
});

t.test('followEvents: leaving the loop leaves the daemon', async (t) => {
  const gone = { resolve: (): void => undefined };
  const left = new Promise<void>((resolve) => {
    gone.resolve = resolve;
  });
  const handler = testHandler({ follow: () => () => gone.resolve() });
  const { path } = await openServer(t, { handler });
  for await (const item of followEvents(path)) if (item.type === 'snapshot-end') break;
  await t.resolves(left);
});

t.test('no permission: who may', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const handler = testHandler();
  const alone = await openServer(t, { handler });
  const shared = await openServer(t, { handler, group: 'daemon' });
  const messages: string[] = [];
  for (const { path } of [alone, shared]) {
    chmodSync(join(path, '..'), 0o755);
    process.seteuid?.(65_534);
    try {
      await getStatus(path);
    } catch (error) {
      messages.push(error instanceof Error ? error.message : '');
    } finally {
      process.seteuid?.(0);
    }
  }
  t.match(messages, [
    /^no permission to use the control socket: .*: run this as root, or set control: \{ group: NAME \}/,
    /^no permission to use the control socket: .*: run this as root or as a member of the group daemon$/,
  ]);
});
