import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { ControlServer, type ControlServerOptions } from '../../src/control/server.ts';

/** A directory that is gone when the test is. */
export function temporaryDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'havrrp-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** An open server in a directory of its own, closed with the test. Trouble fails the test. */
export async function openServer(
  t: Test,
  options: Omit<ControlServerOptions, 'path' | 'onTrouble'> & Partial<ControlServerOptions>,
): Promise<{ server: ControlServer; path: string }> {
  const path = join(temporaryDirectory(t), 'control.sock');
  const onTrouble = (error: Error): void => void t.fail(`trouble: ${error.message}`);
  const server = await ControlServer.open({ path, onTrouble, ...options });
  t.teardown(() => server.close());
  return { server, path };
}

export interface RawReply {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

/** Connects without knowing HTTP; a reset is nothing to throw at. */
export async function rawConnect(t: Test, target: string | { host: string; port: number }): Promise<Socket> {
  const socket = typeof target === 'string' ? connect(target) : connect(target);
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  t.teardown(() => void socket.destroy());
  return socket;
}

/** All that comes until the other side closes. */
export async function readToEnd(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.resume();
  // Not once(): it would reject at a reset, and what came before counts.
  if (!socket.closed) await new Promise((resolve) => socket.on('close', resolve));
  return text;
}

/** Sends these bytes and reads until the server closes the connection. Status 0: it closed without a word. */
export async function rawExchange(
  t: Test,
  target: string | { host: string; port: number },
  bytes: string,
): Promise<RawReply> {
  const socket = await rawConnect(t, target);
  socket.write(bytes);
  const text = await readToEnd(socket);
  const end = text.indexOf('\r\n\r\n');
  const status = Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(text)?.[1] ?? 0);
  return { status, headers: text.slice(0, Math.max(end, 0)).toLowerCase(), body: text.slice(end + 4) };
}

/** A whole request as bytes. */
export function rawRequest(method: string, path: string, body: string = ''): string {
  return `${method} ${path} HTTP/1.1\r\nHost: havrrp\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A port nobody listens on (for now). */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
