import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import t from 'tap';
import { getStatus } from '../../src/control/client.ts';
import type { ErrorReply } from '../../src/control/messages.ts';
import { ControlServer } from '../../src/control/server.ts';
import { ConfigError, ControlError } from '../../src/errors.ts';
import { sampleStatus, testHandler, transition } from './handler.ts';
import {
  freePort,
  openServer,
  rawConnect,
  rawExchange,
  rawRequest,
  readToEnd,
  temporaryDirectory,
} from './raw.ts';

function failOnTrouble(error: Error): void {
  throw error;
}

t.test('GET /v1/status and /metrics', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler });
  const status = await rawExchange(t, path, rawRequest('GET', '/v1/status?pretty'));
  t.equal(status.status, 200);
  t.match(status.headers, /content-type: application\/json/);
  t.match(status.headers, /connection: close/, 'one request a connection');
  t.same(JSON.parse(status.body), sampleStatus);
  const metrics = await rawExchange(t, path, rawRequest('GET', '/metrics'));
  t.match(metrics.headers, /content-type: text\/plain; version=0\.0\.4/);
  t.equal(metrics.body, handler.metrics());
});

t.test('GET /v1/events: the past, its end, then what happens', async (t) => {
  const handler = testHandler();
  const { path, server } = await openServer(t, { handler });
  const socket = await rawConnect(t, path);
  socket.write(rawRequest('GET', '/v1/events'));
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    if (text.includes('snapshot-end') && !text.includes('id: 3')) handler.emit(transition(3));
    if (text.includes('id: 3')) void server.close();
  });
  await once(socket, 'close');
  t.match(text, /content-type: text\/event-stream/i);
  const order = [...text.matchAll(/^(id: [0-9]+|event: [a-z-]+)$/gm)].map(([line]) => line);
  t.same(order, [
    'id: 1',
    'event: transition',
    'id: 2',
    'event: transition',
    'event: snapshot-end',
    'id: 3',
    'event: transition',
  ]);
  const data = [...text.matchAll(/^data: (\{"sequence".*)$/gm)].map(([, json]): unknown =>
    JSON.parse(json ?? ''),
  );
  t.same(data, handler.events());
});

t.test('POST: what is asked reaches the handler', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler });
  const body = '{"for_ms": 1500, "persist": true, "hard": false, "force": true, "wait": true}';
  const demoted = await rawExchange(t, path, rawRequest('POST', '/v1/groups/edge/demote', body));
  t.equal(demoted.status, 200);
  t.match(JSON.parse(demoted.body), { group: 'edge', outcome: 'handed_over' });
  t.equal((await rawExchange(t, path, rawRequest('POST', '/v1/groups/%65dge/promote', '{}'))).status, 200);
  t.equal((await rawExchange(t, path, rawRequest('POST', '/v1/reload'))).status, 200);
  const request = { for_ms: 1500, persist: true, hard: false, force: true, wait: true };
  t.same(handler.calls, [`demote edge ${JSON.stringify(request)}`, 'promote edge', 'reload']);
});

t.test('refusals: status, code and words', async (t) => {
  const complaints = [
    { where: 'havrrp.yaml:14:15', what: 'priority 300 is out of range', fix: 'use 1 to 254' },
  ];
  const handler = testHandler({ reload: () => Promise.reject(new ConfigError(complaints)) });
  const { path } = await openServer(t, { handler });
  const rows: readonly [string, string, string, number, string, RegExp][] = [
    ['GET', '/', '', 404, 'not_found', /there is no \/ here/],
    ['GET', '//', '', 404, 'not_found', /here/],
    ['GET', '/v1/status/', '', 404, 'not_found', /here/],
    ['POST', '/v1/groups//demote', '', 404, 'not_found', /here/],
    ['POST', '/v1/groups/a/b/demote', '', 404, 'not_found', /here/],
    ['POST', '/v1/groups/nope/demote', '', 404, 'no_such_group', /no group "nope"/],
    ['POST', '/v1/groups/nope/promote', '', 404, 'no_such_group', /no group "nope"/],
    ['POST', '/v1/groups/%zz/promote', '', 404, 'no_such_group', /no group "%zz"/],
    ['POST', '/v1/status', '', 405, 'method_not_allowed', /takes GET only/],
    ['DELETE', '/v1/groups/edge/demote', '', 405, 'method_not_allowed', /takes POST only/],
    ['GET', '/v1/reload', '', 405, 'method_not_allowed', /takes POST only/],
    ['POST', '/v1/groups/edge/demote', '{', 400, 'bad_request', /not JSON.*for_ms, persist/],
    ['POST', '/v1/groups/edge/demote', '[]', 400, 'bad_request', /not a JSON object/],
    ['POST', '/v1/groups/edge/demote', 'null', 400, 'bad_request', /not a JSON object/],
    ['POST', '/v1/groups/edge/demote', '{"fro_ms":1}', 400, 'bad_request', /unknown field "fro_ms"/],
    ['POST', '/v1/groups/edge/demote', '{"__proto__":{}}', 400, 'bad_request', /unknown field "__proto__"/],
    ['POST', '/v1/groups/edge/demote', '{"for_ms":0}', 400, 'bad_request', /for_ms.*above 0/],
    ['POST', '/v1/groups/edge/demote', '{"for_ms":1e999}', 400, 'bad_request', /for_ms/],
    ['POST', '/v1/groups/edge/demote', '{"hard":"yes"}', 400, 'bad_request', /hard.*true or false/],
    ['POST', '/v1/groups/edge/promote', '{"for_ms":1}', 400, 'bad_request', /unknown field/],
    ['POST', '/v1/groups/dmz/demote', '', 409, 'not_handed_over', /nobody took over/],
    ['POST', '/v1/groups/edge/demote', ' '.repeat(65_537), 413, 'too_large', /65536 octets at most/],
    ['POST', '/v1/reload', '', 422, 'bad_configuration', /the one before stays/],
  ];
  for (const [method, url, body, status, code, words] of rows) {
    const reply = await rawExchange(t, path, rawRequest(method, url, body));
    const error = JSON.parse(reply.body) as ErrorReply;
    t.match(
      { status: reply.status, ...error },
      { status, code, error: words },
      `${method} ${url} ${body.slice(0, 30)}`,
    );
    if (status === 405) t.match(reply.headers, /allow: (get|post)/);
    if (status === 422) {
      t.same(error.complaints, ['havrrp.yaml:14:15: priority 300 is out of range: use 1 to 254']);
    }
  }
  t.same(handler.calls, ['demote dmz {}'], 'nothing refused was done');
});

t.test('a fault of our own is answered and reported, once', async (t) => {
  const troubles: string[] = [];
  const handler = testHandler({
    status: () => {
      throw new TypeError('x is not a function');
    },
  });
  const onTrouble = (error: Error): void => void troubles.push(error.message);
  const { path } = await openServer(t, { handler, onTrouble });
  const reply = await rawExchange(t, path, rawRequest('GET', '/v1/status'));
  t.match({ status: reply.status, ...JSON.parse(reply.body) }, { status: 500, code: 'internal' });
  t.same(troubles, ['x is not a function']);
});

t.test('any request body: done when it is right, 400 when it is not', async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler });
  const right = fc.record(
    {
      for_ms: fc.double({ min: 0, minExcluded: true, noNaN: true, noDefaultInfinity: true }),
      persist: fc.boolean(),
      hard: fc.boolean(),
      force: fc.boolean(),
      wait: fc.boolean(),
    },
    { requiredKeys: [] },
  );
  const post = (body: string): Promise<{ status: number; body: string }> =>
    rawExchange(t, path, rawRequest('POST', '/v1/groups/edge/demote', body));
  await fc.assert(
    fc.asyncProperty(right, async (request) => {
      t.equal((await post(JSON.stringify(request))).status, 200);
      t.equal(handler.calls.pop(), `demote edge ${JSON.stringify(request)}`);
    }),
    { numRuns: 50 },
  );
  const names = fc.oneof(
    fc.constantFrom('for_ms', 'persist', 'hard', 'force', 'wait', '__proto__'),
    fc.string(),
  );
  const anything = fc.oneof(
    fc.string(),
    fc.json(),
    fc.dictionary(names, fc.jsonValue()).map((v) => JSON.stringify(v)),
  );
  await fc.assert(
    fc.asyncProperty(anything, async (body) => {
      const before = handler.calls.length;
      const reply = await post(body);
      t.ok([200, 400].includes(reply.status), body);
      t.equal(handler.calls.length - before, reply.status === 200 ? 1 : 0);
      t.type((JSON.parse(reply.body) as ErrorReply).error, reply.status === 200 ? 'undefined' : 'string');
    }),
    { numRuns: 150 },
  );
});

t.test('the socket file', async (t) => {
  const handler = testHandler();
  const onTrouble = failOnTrouble;
  const directory = temporaryDirectory(t);
  const path = join(directory, 'made', 'on', 'demand', 'control.sock');

  const server = await ControlServer.open({ path, handler, onTrouble });
  t.equal(statSync(path).mode & 0o777, 0o600, 'for the owner alone');
  await t.rejects(ControlServer.open({ path, handler, onTrouble }), {
    name: 'ControlError',
    message: /^another havrrp is running: .*control\.sock: stop it first/,
  });
  t.match(await getStatus(path), { node: 'fw1' }, 'the one that was there is not disturbed');
  const closing = server.close();
  t.notOk(existsSync(path), 'close() removes it at once');
  await closing;

  const leaveSocket = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
  spawnSync(process.execPath, ['-e', leaveSocket]);
  t.ok(statSync(path).isSocket(), 'a killed daemon leaves it behind');
  const successor = await ControlServer.open({ path, handler, onTrouble });
  t.match(await getStatus(path), { node: 'fw1' }, 'the next one replaces it');
  await successor.close();

  writeFileSync(path, 'precious');
  await t.rejects(ControlServer.open({ path, handler, onTrouble }), {
    name: 'ControlError',
    message: /^something that is no socket is in the way: .*control\.sock: remove it/,
  });
  t.equal(readFileSync(path, 'utf8'), 'precious');

  const long = join(directory, 'x'.repeat(108));
  await t.rejects(ControlServer.open({ path: long, handler, onTrouble }), {
    name: 'ConfigError',
    message: /too long/,
  });
  const blocked = join(path, 'control.sock');
  await t.rejects(
    ControlServer.open({ path: blocked, handler, onTrouble }),
    ControlError,
    'no directory there',
  );
});

t.test('the group that may use the socket', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const handler = testHandler();
  const { path } = await openServer(t, { handler, group: 'daemon' });
  t.match(statSync(path), { gid: 1, uid: 0 });
  t.equal(statSync(path).mode & 0o777, 0o660);
  const other = join(temporaryDirectory(t), 'control.sock');
  await t.rejects(ControlServer.open({ path: other, handler, group: 'no-such', onTrouble: failOnTrouble }), {
    name: 'ConfigError',
    message: /no Unix group "no-such".*control\.group.*groupadd/,
  });
  t.notOk(existsSync(other));
});

t.test('the TCP listener shows and changes nothing', async (t) => {
  const handler = testHandler();
  const listen = { host: '127.0.0.1', port: await freePort() };
  const { server } = await openServer(t, { handler, metricsListen: listen });
  t.equal((await rawExchange(t, listen, rawRequest('GET', '/metrics'))).status, 200);
  t.equal((await rawExchange(t, listen, rawRequest('GET', '/v1/status'))).status, 200);
  t.equal((await rawExchange(t, listen, rawRequest('POST', '/v1/status'))).status, 405);
  for (const url of ['/v1/groups/edge/demote', '/v1/groups/edge/promote', '/v1/reload', '/v1/events']) {
    t.equal((await rawExchange(t, listen, rawRequest('POST', url))).status, 404, url);
  }
  t.same(handler.calls, []);
  await server.close();
  await t.rejects(rawConnect(t, listen), { code: 'ECONNREFUSED' });
});

t.test('a TCP listener that cannot be had yet does not keep the daemon from its work', async (t) => {
  const listen = { host: '127.0.0.1', port: await freePort() };
  const occupant = createServer().listen(listen.port, listen.host);
  await once(occupant, 'listening');
  const troubles: string[] = [];
  const { path } = await openServer(t, {
    handler: testHandler(),
    metricsListen: listen,
    onTrouble: (error) => void troubles.push(error.message),
    retryMs: 10,
  });
  t.match(await getStatus(path), { node: 'fw1' });
  occupant.close();
  await once(occupant, 'close');
  let status: number | undefined;
  while (status === undefined) {
    const attempt = rawExchange(t, listen, rawRequest('GET', '/metrics'));
    status = await attempt.then(
      (reply) => reply.status,
      () => undefined,
    );
  }
  t.equal(status, 200, 'it comes when it can');
  t.match(troubles, [/^no metrics listener: .*EADDRINUSE.*: trying again every 0\.01 s$/], 'said once');
  t.equal(troubles.length, 1);
});

t.test('close() ends event streams and silent connections at once', async (t) => {
  const handler = testHandler();
  const { path, server } = await openServer(t, { handler, limits: { closeMs: 3_600_000 } });
  const silent = await rawConnect(t, path);
  const half = await rawConnect(t, path);
  half.write('GET /v1/sta');
  const follower = await rawConnect(t, path);
  follower.write(rawRequest('GET', '/v1/events'));
  await once(follower, 'readable');
  await Promise.all([server.close(), readToEnd(silent), readToEnd(half), readToEnd(follower)]);
  t.equal(handler.followers(), 0);
});
