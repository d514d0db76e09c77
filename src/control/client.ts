import { readFileSync, statSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { ConfigError, ControlError, type Complaint, type ControlErrorCode } from '../errors.ts';
import type {
  DemoteReply,
  DemoteRequest,
  ErrorReply,
  PromoteReply,
  ReloadReply,
  Status,
  TransitionEvent,
} from './messages.ts';

/** How long an answer may take that needs no waiting for anybody. */
const answerMs = 5000;
/** A stream without even a heartbeat (every 15 s) for this long has no living daemon behind it. */
const silenceMs = 40_000;

interface Ask {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: object;
  readonly timeoutMs?: number;
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Who may use the socket, from its group and mode; its directory may be closed to us as well. */
function whoMay(path: string): string {
  try {
    const { mode, gid } = statSync(path);
    if ((mode & 0o020) === 0) return 'run this as root, or set control: { group: NAME } in the configuration';
    const entries = readFileSync('/etc/group', 'utf8').split('\n');
    const entry = entries.find((line) => line.split(':')[2] === String(gid));
    return `run this as root or as a member of the group ${entry?.split(':')[0] ?? gid}`;
  } catch {
    return 'run this as root';
  }
}

/** What the operator is told when there is no talking to the daemon. */
function explain(error: unknown, path: string, timedOutAfterMs?: number): ControlError {
  if (error instanceof ControlError) return error;
  if (timedOutAfterMs !== undefined) {
    return new ControlError('no_answer', {
      what: `the daemon does not answer, ${timedOutAfterMs / 1000} s were waited`,
      where: path,
      fix: 'see journalctl -u havrrp',
    });
  }
  switch (errorCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ECONNREFUSED':
      return new ControlError('not_running', {
        what: 'the daemon is not running',
        where: path,
        fix: 'systemctl start havrrp',
      });
    case 'EACCES':
    case 'EPERM':
      return new ControlError('no_permission', {
        what: 'no permission to use the control socket',
        where: path,
        fix: whoMay(path),
      });
    case 'EAGAIN':
      return new ControlError('no_answer', {
        what: 'the daemon takes no more connections',
        where: path,
        fix: 'see journalctl -u havrrp',
      });
    default:
      return new ControlError('no_answer', {
        what: 'the daemon closed the connection without an answer',
        where: path,
        fix: 'see journalctl -u havrrp',
      });
  }
}

function open(socketPath: string, ask: Ask, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const body = ask.body === undefined ? '' : JSON.stringify(ask.body);
    const request = httpRequest({
      socketPath,
      method: ask.method,
      path: ask.path,
      headers: { host: 'havrrp', 'content-length': Buffer.byteLength(body) },
      agent: false,
      signal,
    });
    request.on('error', reject);
    request.on('response', resolve);
    request.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response as AsyncIterable<string>) text += chunk;
  return text;
}

const controlErrorCodes: readonly ControlErrorCode[] = [
  'not_running',
  'no_such_group',
  'bad_request',
  'not_handed_over',
  'no_permission',
  'already_running',
  'no_answer',
];

/** The error an ErrorReply stands for: the same that the daemon's handler threw. */
function errorOf({ error, code, complaints }: ErrorReply): Error {
  if (complaints !== undefined) {
    return new ConfigError(complaints.map((what): Complaint => ({ what })));
  }
  const known = controlErrorCodes.find((candidate) => candidate === code);
  return new ControlError(known ?? 'bad_request', { what: error });
}

/** One request, one reply.
 *  @returns the HTTP status and the JSON of the reply
 *  @throws ControlError `not_running`, `no_permission`, `no_answer` */
async function exchange(socketPath: string, ask: Ask): Promise<{ status: number; value: unknown }> {
  const timeoutMs = ask.timeoutMs ?? answerMs;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await open(socketPath, ask, signal);
    const value: unknown = JSON.parse(await readText(response));
    return { status: response.statusCode ?? 0, value };
  } catch (error) {
    throw explain(error, socketPath, signal.aborted ? timeoutMs : undefined);
  }
}

/** @throws what `exchange` throws, and what the daemon refused: ControlError, or ConfigError with every complaint */
async function call<Reply>(socketPath: string, ask: Ask): Promise<Reply> {
  const { status, value } = await exchange(socketPath, ask);
  if (status >= 400) throw errorOf(value as ErrorReply);
  return value as Reply;
}

/** The functions below ask the daemon behind a socket; they reject with ControlError, in words for the operator. */
export function getStatus(socketPath: string): Promise<Status> {
  return call(socketPath, { method: 'GET', path: '/v1/status' });
}

/** @param timeoutMs how long the handover may take
 *  @returns the reply, also where nobody took over */
export async function demote(
  socketPath: string,
  group: string,
  request: DemoteRequest,
  timeoutMs: number,
): Promise<DemoteReply> {
  const path = `/v1/groups/${encodeURIComponent(group)}/demote`;
  const { value } = await exchange(socketPath, { method: 'POST', path, body: request, timeoutMs });
  const reply = value as DemoteReply | ErrorReply;
  if ('outcome' in reply) return reply;
  throw errorOf(reply);
}

export function promote(socketPath: string, group: string): Promise<PromoteReply> {
  return call(socketPath, { method: 'POST', path: `/v1/groups/${encodeURIComponent(group)}/promote` });
}

/** Rejects with ConfigError where the daemon refused its file. */
export function reload(socketPath: string): Promise<ReloadReply> {
  return call(socketPath, { method: 'POST', path: '/v1/reload', timeoutMs: 60_000 });
}

export type FollowItem =
  | { readonly type: 'event'; readonly event: TransitionEvent }
  /** Everything before was the past; what comes after happens now. */
  | { readonly type: 'snapshot-end' };

/** One message of the stream; undefined for a heartbeat. */
function readMessage(block: string): FollowItem | undefined {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const data = fields.get('data');
  if (data === undefined) return undefined;
  if (fields.get('event') === 'snapshot-end') return { type: 'snapshot-end' };
  return { type: 'event', event: JSON.parse(data) as TransitionEvent };
}

/** Every event so far, oldest first, the end of the snapshot, and then what happens. Ends when the daemon stops;
 *  rejects with ControlError when there is none, or it falls silent. */
export async function* followEvents(socketPath: string): AsyncGenerator<FollowItem, void, undefined> {
  const abort = new AbortController();
  let patienceMs = answerMs;
  let patience = setTimeout(() => abort.abort(), patienceMs);
  try {
    const response = await open(socketPath, { method: 'GET', path: '/v1/events' }, abort.signal);
    if (response.statusCode !== 200) throw errorOf(JSON.parse(await readText(response)) as ErrorReply);
    response.setEncoding('utf8');
    let text = '';
    for await (const chunk of response as AsyncIterable<string>) {
      clearTimeout(patience);
      patienceMs = silenceMs;
      patience = setTimeout(() => abort.abort(), patienceMs);
      const blocks = (text + chunk).split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const item = readMessage(block);
        if (item !== undefined) yield item;
      }
    }
  } catch (error) {
    throw explain(error, socketPath, abort.signal.aborted ? patienceMs : undefined);
  } finally {
    clearTimeout(patience);
    abort.abort();
  }
}

/** Is there a daemon behind this socket? Also one that does not answer is there. */
export function isListening(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', (error) =>
      resolve(!['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes(errorCode(error) ?? '')),
    );
  });
}
