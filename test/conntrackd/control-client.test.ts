import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ControlClient } from '../../src/conntrackd/control-client.ts';
import { removeDirectory, temporaryDirectory } from '../bench/leftovers.ts';
import { StandIn } from './stand-in.ts';

async function stage(t: Test): Promise<{ standIn: StandIn; client: ControlClient }> {
  const standIn = await StandIn.listen();
  const client = clientOf(standIn.path);
  t.teardown(async () => {
    client.close();
    await standIn[Symbol.asyncDispose]();
  });
  return { standIn, client };
}

function clientOf(path: string, binary = 'conntrackd'): ControlClient {
  return new ControlClient({ path, program: { binary, configFile: '/etc/conntrackd/conntrackd.conf' } });
}

t.test('four bytes go out, text comes in until the end', async (t) => {
  const { standIn, client } = await stage(t);
  standIn.misbehave = (socket, request) => {
    t.equal(request.length, 4);
    // Statistics come in several pieces.
    socket.write('cache ');
    setImmediate(() => socket.end(`of ${request.readUInt8()}`));
  };
  t.strictSame(await client.request('statistics', { timeoutMs: 5000 }), { ok: true, text: 'cache of 21' });
});

t.test('one connection at a time, in the order of asking', async (t) => {
  const { standIn, client } = await stage(t);
  standIn.commit = { percent: 100, tookMs: 30 };
  const asked = ['commit', 'flushCaches', 'resyncKernel', 'sendBulk', 'requestBulk'] as const;
  const answers = await Promise.all(asked.map((name) => client.request(name, { timeoutMs: 5000 })));
  t.ok(answers.every(({ ok }) => ok));
  t.strictSame(standIn.asked.items, asked);
  t.equal(standIn.mostAtOnce, 1);
});

t.test('nobody there', async (t) => {
  const { standIn, client } = await stage(t);
  await standIn.stop();
  t.match(await client.request('statistics', { timeoutMs: 5000 }), { ok: false, reason: 'absent' });
  const elsewhere = clientOf('/nonexistent/conntrackd.sock');
  t.match(await elsewhere.request('statistics', { timeoutMs: 5000 }), {
    ok: false,
    reason: 'absent',
    detail: /no socket at \/nonexistent/,
  });
});

t.test('what is no socket, and what can be none', async (t) => {
  for (const path of ['/dev/null', `/tmp/${'x'.repeat(200)}`])
    t.match(await clientOf(path).request('statistics', { timeoutMs: 5000 }), { ok: false }, path);
});

t.test('silence is given up, and the next one is asked', async (t) => {
  const { standIn, client } = await stage(t);
  standIn.misbehave = () => undefined;
  const first = client.request('commit', { timeoutMs: 50 });
  const second = client.request('statistics', { timeoutMs: 5000 });
  t.match(await first, { ok: false, reason: 'timeout', detail: /50 ms/ });
  standIn.misbehave = undefined;
  t.match(await second, { ok: true });
});

t.test('an answer that stops half-way is none; one who dies looks like one who is done', async (t) => {
  const { standIn, client } = await stage(t);
  standIn.misbehave = (socket) => void socket.write('cache internal:\n');
  t.match(await client.request('statistics', { timeoutMs: 50 }), { ok: false, reason: 'timeout' });
  standIn.misbehave = (socket) => socket.destroy();
  t.strictSame(await client.request('commit', { timeoutMs: 5000 }), { ok: true, text: '' });
});

t.test('an answer without end is cut off', async (t) => {
  const { standIn, client } = await stage(t);
  standIn.misbehave = (socket) => {
    const more = (): void => {
      if (socket.writable) socket.write(Buffer.alloc(65_536), more);
    };
    more();
  };
  t.match(await client.request('statistics', { timeoutMs: 5000 }), { ok: false, reason: 'broken' });
});

t.test('what is no longer wanted is not asked', async (t) => {
  const { standIn, client } = await stage(t);
  standIn.commit = { percent: 100, tookMs: 30 };
  let wanted = true;
  const first = client.request('commit', { timeoutMs: 5000 });
  const second = client.request('flushCaches', { timeoutMs: 5000, wanted: () => wanted });
  wanted = false;
  t.match(await first, { ok: true });
  t.match(await second, { ok: false, detail: /taken back/ });
  t.strictSame(standIn.asked.items, ['commit']);
});

t.test('closing gives up what is under way and what waits', async (t) => {
  const { standIn, client } = await stage(t);
  standIn.misbehave = () => undefined;
  const asked = [
    client.request('commit', { timeoutMs: 5000 }),
    client.request('sendBulk', { timeoutMs: 5000 }),
  ];
  await new Promise(setImmediate);
  client.close();
  for (const answer of await Promise.all(asked)) t.match(answer, { ok: false, detail: /taken back/ });
});

t.test("through conntrackd's own program", async (t) => {
  const directory = temporaryDirectory('program');
  t.teardown(() => removeDirectory(directory));
  const binary = join(directory, 'conntrackd');
  const writeProgram = (script: string): void => {
    writeFileSync(binary, `#!/bin/sh\n${script}\n`);
    chmodSync(binary, 0o700);
  };
  const client = clientOf('/nonexistent', binary);
  client.askThroughProgram(true);

  writeProgram('echo a warning >&2; echo "$@"');
  t.strictSame(await client.request('flushExternal', { timeoutMs: 5000 }), {
    ok: true,
    text: '-C /etc/conntrackd/conntrackd.conf -f external\n',
  });
  writeProgram('echo a warning >&2; echo "can\'t connect" >&2; exit 1');
  t.match(await client.request('statistics', { timeoutMs: 5000 }), {
    ok: false,
    reason: 'broken',
    detail: /-s: can't connect/,
  });
  writeProgram('exec sleep 60');
  t.match(await client.request('statistics', { timeoutMs: 100 }), { ok: false, reason: 'timeout' });
  mkdirSync(join(directory, 'empty'));
  const nothing = clientOf('/nonexistent', join(directory, 'empty', 'conntrackd'));
  nothing.askThroughProgram(true);
  t.match(await nothing.request('statistics', { timeoutMs: 5000 }), { ok: false, detail: /ENOENT/ });
});
