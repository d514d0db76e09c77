import fc from 'fast-check';
import t from 'tap';
import { RequestReader, type HttpMistake, type HttpRequest } from '../../src/control/http-request.ts';

const limits = { headerBytes: 200, bodyBytes: 50 };

/** What the reader says to these bytes in one piece. */
function read(bytes: string | Buffer): HttpRequest | HttpMistake | undefined {
  return new RequestReader(limits).take(Buffer.from(bytes));
}

t.test('requests', (t) => {
  const rows: readonly [string, string, HttpRequest][] = [
    [
      'plain',
      'GET /v1/status HTTP/1.1\r\nHost: havrrp\r\n\r\n',
      { method: 'GET', path: '/v1/status', body: '' },
    ],
    ['HTTP/1.0 without Host', 'GET / HTTP/1.0\r\n\r\n', { method: 'GET', path: '/', body: '' }],
    [
      'a query',
      'GET /metrics?x=1?y HTTP/1.1\r\nHost: a\r\n\r\n',
      { method: 'GET', path: '/metrics', body: '' },
    ],
    [
      'absolute form',
      'GET http://h/p?q HTTP/1.1\r\nHost: h\r\n\r\n',
      { method: 'GET', path: '/p', body: '' },
    ],
    [
      'absolute form, bare',
      'GET HTTP://h HTTP/1.1\r\nHost: h\r\n\r\n',
      { method: 'GET', path: '/', body: '' },
    ],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', { method: 'GET', path: '/', body: '' }],
    [
      'a body',
      'POST /r HTTP/1.1\r\nhost:a\r\nCONTENT-LENGTH:\t3 \r\n\r\n{ }',
      { method: 'POST', path: '/r', body: '{ }' },
    ],
    ['what follows', 'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2', { method: 'GET', path: '/', body: '' }],
    [
      'UTF-8',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"é"',
      { method: 'POST', path: '/', body: '"é"' },
    ],
  ];
  for (const [name, bytes, request] of rows) t.same(read(bytes), request, name);
  t.end();
});

t.test('mistakes', (t) => {
  const post = 'POST / HTTP/1.1\r\nHost: a\r\n';
  const rows: readonly [string, string, number][] = [
    ['another protocol, at once', 'SSH-2.0-OpenSSH_9.2\r\n', 400],
    ['binary, at once', '\x16\x03\x01', 400],
    ['a bare line feed', 'GET / HTTP/1.1\nHost: a\n\n\r\n\r\n', 400],
    ['no version', 'GET /\r\n\r\n', 400],
    ['two spaces', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['an unprintable path', 'GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\n', 505],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400],
    ['no colon', `${post}x\r\n\r\n`, 400],
    ['a space before the colon', `${post}x : y\r\n\r\n`, 400],
    ['a folded line', `${post}x: y\r\n z\r\n\r\n`, 400],
    ['a NUL', `${post}x: \0\r\n\r\n`, 400],
    ['a negative length', `${post}Content-Length: -1\r\n\r\n`, 400],
    ['a length with a sign', `${post}Content-Length: +1\r\n\r\n`, 400],
    ['a list of lengths', `${post}Content-Length: 1, 1\r\n\r\n`, 400],
    ['two lengths', `${post}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`, 400],
    ['chunks', `${post}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 411],
    ['a body too large, before it comes', `${post}Content-Length: 51\r\n\r\n`, 413],
    ['a length beyond all numbers', `${post}Content-Length: ${'9'.repeat(99)}\r\n\r\n`, 413],
    ['a header too large', `${post}x: ${'y'.repeat(200)}\r\n\r\n`, 431],
    ['a header too large, without end', `GET /${'y'.repeat(200)}`, 431],
  ];
  for (const [name, bytes, status] of rows) t.match(read(bytes), { status, error: String }, name);
  t.end();
});

t.test('a request comes in any pieces', (t) => {
  const whole = Buffer.from('POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n{"é"}');
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: whole.length - 1 })), (unsorted) => {
      const cuts = [0, ...unsorted.sort((a, b) => a - b), whole.length];
      const reader = new RequestReader(limits);
      const results = cuts.slice(1).map((end, index) => reader.take(whole.subarray(cuts[index], end)));
      const last = results.pop();
      t.ok(results.every((result) => result === undefined));
      t.same(last, { method: 'POST', path: '/v1/reload', body: '{"é"}' });
    }),
  );
  t.end();
});

t.test('any bytes: a request, a mistake, or more to come; nothing is thrown', (t) => {
  const pieces = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.constantFrom('GET ', '/ ', 'HTTP/1.1', '\r\n', 'Host: a', 'Content-Length: ', '3', ': ', '\n'),
  );
  fc.assert(
    fc.property(fc.array(pieces), (parts) => {
      const reader = new RequestReader(limits);
      for (const part of parts) {
        const result = reader.take(Buffer.from(part, 'latin1'));
        if (result === undefined) continue;
        if ('status' in result) t.ok([400, 411, 413, 431, 505].includes(result.status));
        else t.match(result, { method: /^[A-Z]+$/, path: /^[!-~]+$/ });
        break;
      }
    }),
    { numRuns: 500 },
  );
  t.end();
});
