/** One HTTP/1.1 request out of the bytes of a connection (RFC 9112); pure.
 *
 *  Not node:http: that parses whatever stands in a read of 64 KiB before anybody can stop it, two thousand pipelined requests
 *  for instance. Twenty such connections held the event loop for 440 ms, and Advertisements are sent from that loop. */
export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly body: string;
}

/** Why there will be no request. */
export interface HttpMistake {
  readonly status: 400 | 411 | 413 | 431 | 505;
  readonly code: string;
  readonly error: string;
}

interface Head {
  readonly method: string;
  readonly path: string;
  readonly length: number;
}

/** `METHOD TARGET HTTP/MAJOR.MINOR` (RFC 9112 3); the target is visible ASCII. */
const requestLine = /^([A-Z]{1,20}) ([!-~]+) HTTP\/([0-9])\.([0-9])$/;
/** `name: value`, the name a token (RFC 9110 5.6.2), no control characters, no folding (RFC 9112 5.2). */
const fieldLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t -~\x80-\xff]*)$/;

function malformed(what: string): HttpMistake {
  return { status: 400, code: 'bad_request', error: `this is no HTTP/1.1 request: ${what}` };
}

function parseHead(text: string, bodyBytes: number): Head | HttpMistake {
  const [first = '', ...lines] = text.split('\r\n');
  const [, method, target, major, minor] = requestLine.exec(first) ?? [];
  if (method === undefined || target === undefined) return malformed('bad request line');
  if (major !== '1') return { status: 505, code: 'bad_request', error: 'only HTTP/1.1 is spoken here' };
  const fields = new Map<string, string[]>();
  for (const line of lines) {
    const [, name, value = ''] = fieldLine.exec(line) ?? [];
    if (name === undefined) return malformed('bad header field');
    const key = name.toLowerCase();
    fields.set(key, [...(fields.get(key) ?? []), value.trimEnd()]);
  }
  if (minor !== '0' && fields.get('host')?.length !== 1) return malformed('it needs one Host field');
  if (fields.has('transfer-encoding')) {
    return { status: 411, code: 'bad_request', error: 'a request body needs a Content-Length' };
  }
  const [length = '0', ...moreLengths] = fields.get('content-length') ?? [];
  if (!/^[0-9]+$/.test(length) || moreLengths.length > 0) return malformed('bad Content-Length');
  if (Number(length) > bodyBytes) {
    const error = `the request body is too large: send ${bodyBytes} octets at most`;
    return { status: 413, code: 'too_large', error };
  }
  // The absolute form, as to a proxy, has to be understood (RFC 9112 3.2.2).
  const [path = ''] = target.replace(/^http:\/\/[^/?]*/i, '').split('?', 1);
  return { method, path: path === '' ? '/' : path, length: Number(length) };
}

/** Reads one request, whatever the pieces it comes in; what follows it is not looked at. */
export class RequestReader {
  readonly #headerBytes: number;
  readonly #bodyBytes: number;
  #start: Buffer = Buffer.alloc(0);
  #head: Head | undefined;
  readonly #body: Buffer[] = [];
  #bodyLength = 0;

  constructor(limits: { readonly headerBytes: number; readonly bodyBytes: number }) {
    this.#headerBytes = limits.headerBytes;
    this.#bodyBytes = limits.bodyBytes;
  }

  /** Not to be called again once it has returned something.
   *  @returns undefined while more has to come */
  take(chunk: Buffer): HttpRequest | HttpMistake | undefined {
    if (this.#head !== undefined) return this.#takeBody(this.#head, chunk);
    this.#start = this.#start.length === 0 ? chunk : Buffer.concat([this.#start, chunk]);
    const end = this.#start.indexOf('\r\n\r\n');
    if ((end === -1 ? this.#start.length : end) > this.#headerBytes) {
      const error = `the request header is too large: send ${this.#headerBytes} octets at most`;
      return { status: 431, code: 'too_large', error };
    }
    if (end === -1) return this.#mistakeSoFar();
    const head = parseHead(this.#start.toString('latin1', 0, end), this.#bodyBytes);
    if ('error' in head) return head;
    this.#head = head;
    return this.#takeBody(head, this.#start.subarray(end + 4));
  }

  /** Who speaks another protocol may be waiting for us to say something. */
  #mistakeSoFar(): HttpMistake | undefined {
    const lineEnd = this.#start.indexOf('\n');
    const line = this.#start.toString('latin1', 0, lineEnd === -1 ? undefined : lineEnd);
    const isWrong = lineEnd === -1 ? !/^[A-Z]/.test(line) : !requestLine.test(line.replace(/\r$/, ''));
    return isWrong ? malformed('bad request line') : undefined;
  }

  #takeBody({ method, path, length }: Head, chunk: Buffer): HttpRequest | undefined {
    this.#body.push(chunk);
    this.#bodyLength += chunk.length;
    if (this.#bodyLength < length) return undefined;
    return { method, path, body: Buffer.concat(this.#body).toString('utf8', 0, length) };
  }
}
