import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { ConfigError, ControlError, type ControlErrorCode } from '../errors.ts';
import { isListening } from './client.ts';
import type { HttpRequest } from './http-request.ts';
import { httpLimits, HttpServer, json, refusal, type HttpAnswer, type HttpLimits } from './http.ts';
import { complaintLine, type ControlHandler, type DemoteRequest, type TransitionEvent } from './messages.ts';

export interface ControlServerOptions {
  readonly path: string;
  /** Unix group that may use the socket besides its owner. */
  readonly group?: string | undefined;
  readonly handler: ControlHandler;
  /** A TCP listener that only shows: `GET /metrics` and `GET /v1/status`. */
  readonly metricsListen?: { readonly host: string; readonly port: number } | undefined;
  /** What nobody else hears of: a request that failed by our own fault, a TCP listener that cannot be had (yet). */
  readonly onTrouble: (error: Error) => void;
  readonly limits?: Partial<HttpLimits>;
  /** How often a TCP listener that cannot be had is tried again (5000). */
  readonly retryMs?: number;
}

type Field = { readonly isRight: (value: unknown) => boolean; readonly rule: string };

const aBoolean: Field = { isRight: (value) => typeof value === 'boolean', rule: 'true or false' };

const demoteFields: Readonly<Record<keyof DemoteRequest, Field>> = {
  for_ms: {
    isRight: (value) => typeof value === 'number' && Number.isFinite(value) && value > 0,
    rule: 'a number of milliseconds above 0',
  },
  persist: aBoolean,
  hard: aBoolean,
  force: aBoolean,
  wait: aBoolean,
};

function badRequest(what: string, fix: string): ControlError {
  return new ControlError('bad_request', { what, where: 'request body', fix });
}

/** The JSON object of a request body with these fields and no others; an empty body is an empty object.
 *  @throws ControlError `bad_request` */
function readFields(
  body: string,
  fields: Readonly<Record<string, Field>>,
): Readonly<Record<string, unknown>> {
  const names = Object.keys(fields).join(', ');
  const shape = names === '' ? 'send none, or {}' : `send an object of ${names}`;
  if (body.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw badRequest('this is not JSON', shape);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('this is not a JSON object', shape);
  }
  const entries: [string, unknown][] = Object.entries(value);
  for (const [name, content] of entries) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (field === undefined) throw badRequest(`unknown field ${JSON.stringify(name)}`, shape);
    if (!field.isRight(content)) throw badRequest(`wrong value for ${name}`, `use ${field.rule}`);
  }
  return Object.fromEntries(entries);
}

function sseMessage(event: TransitionEvent): string {
  return `id: ${event.sequence}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: RegExp;
  readonly answer: (handler: ControlHandler, group: string, body: string) => HttpAnswer | Promise<HttpAnswer>;
}

/** What the TCP listener serves too: it shows, and changes nothing. */
const readOnlyRoutes: readonly Route[] = [
  { method: 'GET', path: /^\/v1\/status$/, answer: (handler) => json(200, handler.status()) },
  {
    method: 'GET',
    path: /^\/metrics$/,
    answer: (handler) => ({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      text: handler.metrics(),
    }),
  },
];

const routes: readonly Route[] = [
  ...readOnlyRoutes,
  {
    method: 'GET',
    path: /^\/v1\/events$/,
    answer: (handler) => ({
      follow: (send) => {
        const past = handler.events().map(sseMessage).join('');
        send(`${past}event: snapshot-end\ndata: {}\n\n`);
        return handler.follow((event) => send(sseMessage(event)));
      },
    }),
  },
  {
    method: 'POST',
    path: /^\/v1\/groups\/(?<group>[^/]+)\/demote$/,
    answer: async (handler, group, body) => {
      const reply = await handler.demote(group, readFields(body, demoteFields));
      if (reply.outcome !== 'nobody_took_over') return json(200, reply);
      return refusal(409, { error: reply.text, code: 'not_handed_over', ...reply });
    },
  },
  {
    method: 'POST',
    path: /^\/v1\/groups\/(?<group>[^/]+)\/promote$/,
    answer: async (handler, group, body) => {
      readFields(body, {});
      return json(200, await handler.promote(group));
    },
  },
  {
    method: 'POST',
    path: /^\/v1\/reload$/,
    answer: async (handler, _group, body) => {
      readFields(body, {});
      return json(200, await handler.reload());
    },
  },
];

const httpStatuses: Readonly<Record<ControlErrorCode, number>> = {
  bad_request: 400,
  no_permission: 403,
  already_running: 409,
  no_such_group: 404,
  not_handed_over: 409,
  not_running: 503,
  no_answer: 504,
};

function failed(error: unknown, onTrouble: (error: Error) => void): HttpAnswer {
  if (error instanceof ControlError) {
    return refusal(httpStatuses[error.code], { error: error.message, code: error.code });
  }
  if (error instanceof ConfigError) {
    const complaints = error.complaints.map(complaintLine);
    const what = 'the configuration was refused: the one before stays in force';
    return refusal(422, { error: what, code: 'bad_configuration', complaints });
  }
  const trouble = error instanceof Error ? error : new Error(String(error));
  onTrouble(trouble);
  return refusal(500, { error: `the request failed: ${trouble.message}: see the log`, code: 'internal' });
}

/** A path segment, percent-decoded; as it stands where that is not possible, it then names no group. */
function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function respond(
  served: readonly Route[],
  { handler, onTrouble }: ControlServerOptions,
  { method, path, body }: HttpRequest,
): Promise<HttpAnswer> {
  try {
    const here = served.filter((route) => route.path.test(path));
    const route = here.find((candidate) => candidate.method === method);
    if (route !== undefined) {
      const group = decodeSegment(route.path.exec(path)?.groups?.['group'] ?? '');
      return await route.answer(handler, group, body);
    }
    if (here.length === 0) {
      return refusal(404, { error: `there is no ${path.slice(0, 200)} here`, code: 'not_found' });
    }
    const allow = here.map((candidate) => candidate.method).join(', ');
    return refusal(405, { error: `${path} takes ${allow} only`, code: 'method_not_allowed' }, { allow });
  } catch (error) {
    return failed(error, onTrouble);
  }
}

/** @param groupFile the text of /etc/group
 *  @throws ConfigError when there is no such group */
function groupId(name: string, groupFile: string): number {
  for (const line of groupFile.split('\n')) {
    const [groupName, , id] = line.split(':');
    if (groupName === name && id !== undefined && /^[0-9]+$/.test(id)) return Number(id);
  }
  throw new ConfigError([
    {
      where: 'control.group',
      what: `there is no Unix group ${JSON.stringify(name)}`,
      fix: `create it with groupadd --system ${name}, or name another`,
    },
  ]);
}

/** Makes way for the socket: its directory exists, and no file of a dead daemon is in it.
 *  @throws ControlError when a daemon lives there, or something that is no socket */
async function makeWay(path: string): Promise<void> {
  // The kernel's sun_path has 108 octets with the closing NUL; Node cuts a longer path off without a word.
  if (Buffer.byteLength(path) > 107) {
    const fix = 'choose a runtime_directory with a shorter path (107 octets at most with control.sock)';
    throw new ConfigError([{ where: path, what: 'the path of the control socket is too long', fix }]);
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const file = lstatSync(path, { throwIfNoEntry: false });
  if (file === undefined) return;
  if (!file.isSocket()) {
    const fix = 'remove it, or set another runtime_directory';
    throw new ControlError('no_permission', {
      what: 'something that is no socket is in the way',
      where: path,
      fix,
    });
  }
  if (await isListening(path)) {
    const fix = 'stop it first, or give this one another runtime_directory';
    throw new ControlError('already_running', { what: 'another havrrp is running', where: path, fix });
  }
  unlinkSync(path);
}

/** The daemon's ear: HTTP on the Unix socket, and read-only on TCP where the configuration asks for it. */
export class ControlServer {
  readonly #onTrouble: (error: Error) => void;
  readonly #unix: HttpServer;
  readonly #tcp: HttpServer;
  readonly #retryMs: number;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(options: ControlServerOptions) {
    const { onTrouble } = options;
    const limits: HttpLimits = { ...httpLimits, ...options.limits };
    this.#onTrouble = onTrouble;
    this.#retryMs = options.retryMs ?? 5000;
    this.#unix = new HttpServer((request) => respond(routes, options, request), limits, onTrouble);
    this.#tcp = new HttpServer(
      (request) => respond(readOnlyRoutes, options, request),
      limits,
      () => {
        // The TCP listener's only trouble is that of #listenOnTcp(), which says so itself.
      },
    );
  }

  /** Listens. The socket is for its owner alone (0600), or for `group` too (0660).
   *  @throws ConfigError for an unknown group or a path too long, ControlError when another havrrp is running or the
   *          socket cannot be made */
  static async open(options: ControlServerOptions): Promise<ControlServer> {
    const { path, group, metricsListen } = options;
    const gid = group === undefined ? undefined : groupId(group, readFileSync('/etc/group', 'utf8'));
    const control = new ControlServer(options);
    try {
      await makeWay(path);
      // listen() binds before it returns: at no moment may anybody else connect.
      const umask = process.umask(0o177);
      const listening = control.#unix.listen({ path });
      process.umask(umask);
      await listening;
      if (gid !== undefined) {
        chownSync(path, process.getuid?.() ?? 0, gid);
        chmodSync(path, 0o660);
      }
    } catch (error) {
      await control.close();
      if (error instanceof ControlError || error instanceof ConfigError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      const fix = 'run as root, or set another runtime_directory';
      throw new ControlError('no_permission', { what: `no control socket: ${why}`, where: path, fix });
    }
    if (metricsListen !== undefined) await control.#listenOnTcp(metricsListen, true);
    return control;
  }

  /** The socket's file is gone at once; event streams and idle connections end, replies under way get a moment. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await Promise.all([this.#unix.close(), this.#tcp.close()]);
  }

  /** An address that is not there yet (at boot, or a virtual one) must not keep a firewall from its work: tries again. */
  async #listenOnTcp(
    listen: { readonly host: string; readonly port: number },
    first: boolean,
  ): Promise<void> {
    try {
      await this.#tcp.listen({ ...listen });
    } catch (error) {
      if (this.#closed) return;
      const why = error instanceof Error ? error.message : String(error);
      if (first) {
        const again = `trying again every ${this.#retryMs / 1000} s`;
        this.#onTrouble(new Error(`no metrics listener: ${why}: ${again}`));
      }
      this.#retry = setTimeout(() => void this.#listenOnTcp(listen, false), this.#retryMs).unref();
    }
  }
}
