import { STATUS_CODES } from 'node:http';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { RequestReader, type HttpRequest } from './http-request.ts';
import type { ErrorReply } from './messages.ts';

/** HTTP/1.1 for a program that must not be disturbed by its clients: one request a connection, every stage of a
 *  connection bounded in number and in time, little work in one turn of the event loop, nothing thrown for what a client
 *  does. Knows nothing of what is served. */
export interface HttpReply {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Server-sent events: called once with the door to the follower; what it returns is called when he has gone. */
export interface HttpStream {
  readonly follow: (send: (text: string) => void) => () => void;
}

export type HttpAnswer = HttpReply | HttpStream;

export interface HttpLimits {
  /** From connecting to the end of the request. */
  readonly requestMs: number;
  /** A reply that was not read by then is given up. */
  readonly replyMs: number;
  /** A comment to every follower this often; who has not read since the one before is dropped. */
  readonly heartbeatMs: number;
  /** What close() gives replies under way. */
  readonly closeMs: number;
  readonly headerBytes: number;
  readonly bodyBytes: number;
  /** A follower with more than this unread when an event comes is dropped. */
  readonly followerBytes: number;
  /** Connections at each stage: sending a request, being worked for, reading the reply, following. */
  readonly requesting: number;
  readonly handling: number;
  readonly replying: number;
  readonly following: number;
}

export const httpLimits: HttpLimits = {
  requestMs: 10_000,
  replyMs: 10_000,
  heartbeatMs: 15_000,
  closeMs: 250,
  headerBytes: 8192,
  bodyBytes: 65_536,
  followerBytes: 262_144,
  requesting: 512,
  handling: 64,
  replying: 128,
  following: 32,
};

/** Requests that are answered in one turn of the event loop; between two turns the packets have their say. */
const requestsPerTurn = 4;

/** The connections at one stage. When there are too many, the oldest makes room: whoever comes next may be the
 *  operator, and must be served however many silent connections were there before him. */
class Stage {
  readonly #sockets = new Set<Socket>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  enter(socket: Socket): void {
    this.#sockets.add(socket);
    if (this.#sockets.size <= this.#limit) return;
    const [oldest] = this.#sockets;
    if (oldest === undefined) return;
    this.#sockets.delete(oldest);
    oldest.destroy();
  }

  leave(socket: Socket): void {
    this.#sockets.delete(socket);
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

export function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpReply {
  return { status, type: 'application/json', text: `${JSON.stringify(value, undefined, 2)}\n`, headers };
}

/** Every answer of 400 and above is such an ErrorReply. */
export function refusal(
  status: number,
  reply: ErrorReply,
  headers?: Readonly<Record<string, string>>,
): HttpReply {
  return json(status, reply, headers);
}

function responseHead(status: number, headers: Readonly<Record<string, string>>): string {
  const all = {
    date: new Date().toUTCString(),
    connection: 'close',
    'cache-control': 'no-store',
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`;
}

export class HttpServer {
  readonly #respond: (request: HttpRequest) => Promise<HttpAnswer>;
  readonly #limits: HttpLimits;
  readonly #onTrouble: (error: Error) => void;
  readonly #server: Server;
  readonly #requesting: Stage;
  readonly #handling: Stage;
  readonly #replying: Stage;
  readonly #following: Stage;
  readonly #followers = new Set<Socket>();
  /** Requests that wait for their turn. */
  #queue: (() => void)[] = [];

  /** @param respond must not reject
   *  @param onTrouble the listening socket failed after listen() had resolved */
  constructor(
    respond: (request: HttpRequest) => Promise<HttpAnswer>,
    limits: HttpLimits,
    onTrouble: (error: Error) => void,
  ) {
    this.#respond = respond;
    this.#limits = limits;
    this.#requesting = new Stage(limits.requesting);
    this.#handling = new Stage(limits.handling);
    this.#replying = new Stage(limits.replying);
    this.#following = new Stage(limits.following);
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    this.#onTrouble = onTrouble;
  }

  /** Rejects with the error of bind(2) or listen(2). */
  listen(options: ListenOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(options, () => {
        this.#server.off('error', reject).on('error', this.#onTrouble);
        resolve();
      });
    });
  }

  /** Takes no more connections (a Unix socket's file is gone when this returns), ends followers and idle connections
   *  at once; resolves when replies under way were read, or after `closeMs`. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#requesting.destroyAll();
    for (const follower of this.#followers) follower.destroySoon();
    const patience = setTimeout(() => {
      for (const stage of [this.#handling, this.#replying, this.#following]) stage.destroyAll();
    }, this.#limits.closeMs);
    await closed;
    clearTimeout(patience);
  }

  #accept(socket: Socket): void {
    this.#requesting.enter(socket);
    const reader = new RequestReader(this.#limits);
    const late = setTimeout(() => {
      const error = `no request within ${this.#limits.requestMs / 1000} s`;
      take(refusal(408, { error, code: 'too_late' }));
    }, this.#limits.requestMs).unref();
    const take = (next: HttpRequest | HttpReply): void => {
      clearTimeout(late);
      socket.off('data', onData).off('end', onEnd).pause();
      if ('status' in next) this.#reply(socket, next);
      else this.#enqueue(socket, next);
    };
    const onData = (chunk: Buffer): void => {
      const read = reader.take(chunk);
      if (read === undefined) return;
      take('status' in read ? refusal(read.status, { error: read.error, code: read.code }) : read);
    };
    const onEnd = (): void => void socket.destroy();
    socket.on('data', onData).on('end', onEnd);
    // A client that is gone is not our trouble: 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(late);
      for (const stage of [this.#requesting, this.#handling, this.#replying, this.#following]) {
        stage.leave(socket);
      }
    });
  }

  #enqueue(socket: Socket, request: HttpRequest): void {
    this.#queue.push(() => void this.#handle(socket, request));
    if (this.#queue.length === 1) setImmediate(() => this.#takeTurn());
  }

  #takeTurn(): void {
    for (const handle of this.#queue.slice(0, requestsPerTurn)) handle();
    this.#queue = this.#queue.slice(requestsPerTurn);
    if (this.#queue.length > 0) setImmediate(() => this.#takeTurn());
  }

  async #handle(socket: Socket, request: HttpRequest): Promise<void> {
    if (socket.destroyed) return;
    this.#requesting.leave(socket);
    this.#handling.enter(socket);
    const answer = await this.#respond(request);
    this.#handling.leave(socket);
    if (socket.destroyed) return;
    if ('follow' in answer) this.#follow(socket, answer.follow);
    else this.#reply(socket, answer);
  }

  #reply(socket: Socket, { status, type, text, headers }: HttpReply): void {
    this.#requesting.leave(socket);
    this.#replying.enter(socket);
    const unread = setTimeout(() => socket.destroy(), this.#limits.replyMs).unref();
    socket.on('close', () => clearTimeout(unread));
    const length = String(Buffer.byteLength(text));
    socket.write(responseHead(status, { 'content-type': type, 'content-length': length, ...headers }) + text);
    socket.destroySoon();
  }

  #follow(socket: Socket, begin: (send: (text: string) => void) => () => void): void {
    this.#following.enter(socket);
    this.#followers.add(socket);
    let hasStalled = false;
    socket.on('drain', () => {
      hasStalled = false;
    });
    // A follower has nothing more to say: its end, or another word, is its farewell.
    socket.on('end', () => socket.destroy());
    socket.on('data', () => socket.destroy());
    socket.resume();
    socket.write(responseHead(200, { 'content-type': 'text/event-stream' }));
    const heartbeat = setInterval(() => {
      if (hasStalled) return void socket.destroy();
      socket.write(': still here\n\n');
      hasStalled = socket.writableNeedDrain;
    }, this.#limits.heartbeatMs).unref();
    const stop = begin((text) => {
      if (socket.writableLength > this.#limits.followerBytes) socket.destroy();
      else socket.write(text);
    });
    socket.on('close', () => {
      clearInterval(heartbeat);
      this.#followers.delete(socket);
      stop();
    });
  }
}
