import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { getStatus } from '../../src/control/client.ts';
import type { DemoteReply } from '../../src/control/messages.ts';
import { sampleStatus, testHandler, transition } from './handler.ts';
import { freePort, openServer, rawConnect, rawExchange, rawRequest, readToEnd } from './raw.ts';

/** Clients of every unpleasant kind. After each of them the operator must be served as if they were not there. */

async function servesTheOperator(t: Test, path: string): Promise<void> {
  t.same(await getStatus(path), sampleStatus, 'the operator is served');
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await nextTurn();
}

/** A promise and its resolve, for a handler that answers when the test says so. */
function later<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const handedOver: DemoteReply = { group: 'edge', state: 'backup', outcome: 'handed_over', text: 'done' };

t.test('what is not HTTP', async (t) => {
  const { path } = await openServer(t, { handler: testHandler() });
  const rows: readonly [string, string, number][] = [
    ['no HTTP at all', '\0\x01\x02\xff\r\n\r\n', 400],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', 400],
    ['a lower case method', 'get /v1/status HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a method nobody knows', 'BREW /v1/status HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    ['giant headers', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, 431],
    ['a giant path', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
    ['a giant body', 'POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999\r\n\r\n', 413],
    ['chunks', 'POST /v1/reload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 411],
    ['a tunnel', 'CONNECT fw2:22 HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    ['an upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', 404],
  ];
  for (const [name, bytes, status] of rows) {
    t.equal((await rawExchange(t, path, bytes)).status, status, name);
  }
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const socket = await rawConnect(t, path);
      socket.end(bytes);
      await readToEnd(socket);
    }),
    { numRuns: 100 },
  );
  await servesTheOperator(t, path);
});

t.test('requests that never end', async (t) => {
  const { path } = await openServer(t, { handler: testHandler(), limits: { requestMs: 100 } });
  const head = 'POST /v1/reload HTTP/1.1\r\nHost: a\r\n';
  const beginnings = ['', 'G', head, `${head}Content-Length: 10\r\n\r\n{`];
  const replies = await Promise.all(beginnings.map((bytes) => rawExchange(t, path, bytes)));
  t.same(
    replies.map(({ status }) => status),
    [408, 408, 408, 408],
  );
  await servesTheOperator(t, path);
});

t.test('one octet at a time', async (t) => {
  const { path } = await openServer(t, { handler: testHandler(), limits: { requestMs: 100 } });
  const socket = await rawConnect(t, path);
  const drip = setInterval(() => socket.write('x'), 10);
  socket.write('GET / HTTP/1.1\r\nX: ');
  await readToEnd(socket);
  clearInterval(drip);
  t.ok(socket.bytesWritten < 8192, 'the time is for the whole request, not for each octet');
});

t.test('a request without end is not listened to', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler });
  const heads = ['', 'GET / HTTP/1.1\r\n', rawRequest('GET', '/v1/status'), rawRequest('GET', '/v1/events')];
  for (const head of heads) {
    const endless = await rawConnect(t, path);
    endless.write(head);
    const feed = (): void => {
      if (endless.writable) endless.write('X: xxxxxxxxxxxx\r\n'.repeat(1000), () => setImmediate(feed));
    };
    feed();
    await readToEnd(endless);
    t.ok(endless.bytesWritten < 1_000_000, head.slice(0, 20));
  }
  t.same(handler.calls, []);
  await servesTheOperator(t, path);
});

t.test('too many silent connections: the oldest make room', async (t) => {
  const { path } = await openServer(t, { handler: testHandler(), limits: { requesting: 100 } });
  const sockets: Socket[] = [];
  for (let count = 0; count < 300; count += 1) sockets.push(await rawConnect(t, path));
  await servesTheOperator(t, path);
  await until(() => sockets.filter(({ closed }) => closed).length >= 300 - 100);
  t.ok(sockets[0]?.closed, 'the oldest went');
  t.notOk(sockets[299]?.closed, 'the newest is still welcome');
});

t.test('500 requests at once are answered, every one', async (t) => {
  const { path } = await openServer(t, { handler: testHandler() });
  const replies = await Promise.all(Array.from({ length: 500 }, () => getStatus(path)));
  t.equal(replies.filter(({ node }) => node === 'fw1').length, 500);
});

t.test('requests behind a request that waits are not collected', async (t) => {
  const { promise, resolve } = later<DemoteReply>();
  let calls = 0;
  const handler = testHandler({
    demote: () => {
      calls += 1;
      return promise;
    },
  });
  const { path } = await openServer(t, { handler });
  const socket = await rawConnect(t, path);
  const one = rawRequest('POST', '/v1/groups/edge/demote', '{}');
  socket.write(one.repeat(1000));
  await until(() => calls > 0);
  await servesTheOperator(t, path);
  resolve(handedOver);
  t.match(await readToEnd(socket), /^HTTP\/1\.1 200 /);
  t.equal(calls, 1, 'one connection, one request');
});

t.test('too many who wait: the oldest goes, what was asked is done all the same', async (t) => {
  const { promise, resolve } = later<DemoteReply>();
  let calls = 0;
  const handler = testHandler({
    demote: () => {
      calls += 1;
      return promise;
    },
  });
  const { path } = await openServer(t, { handler, limits: { handling: 3 } });
  const replies: Promise<string>[] = [];
  for (let count = 0; count < 5; count += 1) {
    const socket = await rawConnect(t, path);
    socket.write(rawRequest('POST', '/v1/groups/edge/demote'));
    replies.push(readToEnd(socket));
    await until(() => calls > count);
  }
  resolve(handedOver);
  const answered = (await Promise.all(replies)).map((text) => text.startsWith('HTTP/1.1 200 '));
  t.same(answered, [false, false, true, true, true]);
});

t.test('a client that goes before its answer comes', async (t) => {
  const { promise, resolve } = later<DemoteReply>();
  let calls = 0;
  const handler = testHandler({
    demote: () => {
      calls += 1;
      return promise;
    },
  });
  const { path } = await openServer(t, { handler });
  const gone = await rawConnect(t, path);
  gone.write(rawRequest('POST', '/v1/groups/edge/demote'));
  const halfOpen = await rawConnect(t, path);
  halfOpen.end(rawRequest('POST', '/v1/groups/edge/demote'));
  await until(() => calls === 2);
  gone.destroy();
  resolve(handedOver);
  await readToEnd(halfOpen);
  await servesTheOperator(t, path);
});

t.test('replies nobody reads', async (t) => {
  const large = { ...sampleStatus, config_file: 'x'.repeat(4_000_000) };
  const handler = testHandler({ status: () => large });
  const limits = { replyMs: 100, replying: 10, closeMs: 3_600_000 };
  const { path, server } = await openServer(t, { handler, limits });
  const sockets: Socket[] = [];
  for (let count = 0; count < 30; count += 1) {
    const socket = await rawConnect(t, path);
    socket.pause();
    socket.write(rawRequest('GET', '/v1/status'));
    sockets.push(socket);
  }
  t.equal((await getStatus(path)).config_file.length, 4_000_000, 'a client that reads gets all of it');
  sockets.pop()?.destroy();
  await server.close();
  // What was in the kernel by then is all they get.
  const texts = await Promise.all(sockets.map((socket) => readToEnd(socket)));
  t.ok(texts.every(({ length }) => length < 4_000_000));
});

t.test('followers that do not read are dropped: by what piles up', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler, limits: { followerBytes: 20_000 } });
  const reader = await rawConnect(t, path);
  reader.write(rawRequest('GET', '/v1/events'));
  let received = '';
  reader.setEncoding('utf8').on('data', (chunk: string) => {
    received += chunk;
  });
  const deaf = await rawConnect(t, path);
  deaf.pause();
  deaf.write(rawRequest('GET', '/v1/events'));
  await until(() => handler.followers() === 2);
  let sequence = 2;
  while (handler.followers() === 2 && sequence < 20_000) {
    sequence += 1;
    handler.emit(transition(sequence, 'x'.repeat(1000)));
    const tail = `id: ${sequence}\n`;
    await until(() => received.includes(tail));
  }
  t.ok(sequence < 2000, `dropped after ${sequence} kB, most of them in the kernel`);
  t.equal(handler.followers(), 1, 'the one that reads stays');
});

t.test('followers that do not read are dropped: by the clock', async (t) => {
  const past = [transition(1, 'x'.repeat(1_000_000))];
  const handler = testHandler({ events: () => past });
  const { path } = await openServer(t, { handler, limits: { heartbeatMs: 20 } });
  const deaf = await rawConnect(t, path);
  deaf.pause();
  deaf.write(rawRequest('GET', '/v1/events'));
  await until(() => handler.followers() === 1);
  const reader = await rawConnect(t, path);
  reader.write(rawRequest('GET', '/v1/events'));
  let received = '';
  reader.setEncoding('utf8').on('data', (chunk: string) => {
    received += chunk;
  });
  await until(() => received.split(': still here').length > 5 && handler.followers() < 2);
  t.equal(handler.followers(), 1);
  t.notOk(reader.closed);
});

t.test('too many followers: the oldest goes', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler, limits: { following: 5 } });
  const sockets: Socket[] = [];
  for (let count = 0; count < 8; count += 1) {
    const socket = await rawConnect(t, path);
    socket.write(rawRequest('GET', '/v1/events'));
    await once(socket, 'readable');
    sockets.push(socket);
  }
  await Promise.all(sockets.slice(0, 3).map((socket) => readToEnd(socket)));
  t.equal(handler.followers(), 5);
});

t.test('resets over TCP in the middle of a reply', async (t) => {
  const large = { ...sampleStatus, config_file: 'x'.repeat(4_000_000) };
  const listen = { host: '127.0.0.1', port: await freePort() };
  const { path } = await openServer(t, {
    handler: testHandler({ status: () => large }),
    metricsListen: listen,
  });
  for (let count = 0; count < 20; count += 1) {
    const socket = await rawConnect(t, listen);
    socket.write(rawRequest('GET', '/v1/status'));
    await once(socket, 'readable');
    socket.resetAndDestroy();
  }
  t.equal((await getStatus(path)).config_file.length, 4_000_000);
});

t.test('five hundred of every kind at once', async (t) => {
  const { path } = await openServer(t, { handler: testHandler(), limits: { requestMs: 300 } });
  const kinds: readonly ((socket: Socket) => void)[] = [
    (socket) => void socket.write(rawRequest('GET', '/v1/status')),
    (socket) => void socket.write('GET /v1/sta'),
    (socket) => void socket.end(rawRequest('GET', '/v1/events')),
    (socket) => void socket.write('\xff'.repeat(5000)),
    (socket) => void socket.write(rawRequest('GET', '/metrics'), () => socket.destroy()),
    (socket) => void socket.destroy(),
    () => undefined,
  ];
  const work = Array.from({ length: 500 }, async (_, index) => {
    const socket = await rawConnect(t, path);
    kinds[index % kinds.length]?.(socket);
    await readToEnd(socket);
  });
  await servesTheOperator(t, path);
  await Promise.all(work);
  await servesTheOperator(t, path);
});
