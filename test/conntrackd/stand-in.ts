import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { endianness } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../src/conntrackd/control-client.ts';
import { Feed } from '../bench/feed.ts';
import { removeDirectory, temporaryDirectory } from '../bench/leftovers.ts';

/** Somebody who behaves on a control socket as conntrackd does, or as it does on its worst days. The real one is used in
 *  test/kernel; it cannot be made to refuse every entry, or to be slow by the millisecond. */

const names: Readonly<Record<number, string>> = {
  21: 'statistics',
  22: 'sendBulk',
  23: 'requestBulk',
  33: 'flushInternal',
  34: 'flushExternal',
  43: 'flushKernel',
  44: 'resyncKernel',
  45: 'flushCaches',
  46: 'commit',
};

export class StandIn implements AsyncDisposable {
  /** What it was asked, but for statistics. */
  readonly asked: Feed<string> = new Feed((name) => name);
  /** Requests under way at the same time, at most. */
  mostAtOnce = 0;
  mode: 'external-cache' | 'injection' | 'statistics' = 'external-cache';
  /** Its tables, and the one of the kernel. */
  counts = { internal: 0, external: 0, kernel: 0 };
  /** What the other node sends when it is asked; undefined: its conntrackd does not run. */
  peerHas: number | undefined = 0;
  /** What becomes of a commit: of how many entries in a hundred, and after how long. */
  commit = { percent: 100, tookMs: 0 };
  /** Instead of an answer. */
  misbehave: ((socket: Socket, request: Buffer) => void) | undefined;
  #server: Server | undefined;
  #directory = temporaryDirectory('stand-in');
  #sockets = new Set<Socket>();
  #received = 0;
  #underWay = 0;

  static async listen(): Promise<StandIn> {
    const standIn = new StandIn();
    await standIn.start();
    return standIn;
  }

  get path(): string {
    return join(this.#directory, 'control.sock');
  }

  /** Also after `stop`: another run, with another socket. */
  async start(): Promise<void> {
    rmSync(this.path, { force: true });
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.once('data', (request) => {
        this.#underWay += 1;
        this.mostAtOnce = Math.max(this.mostAtOnce, this.#underWay);
        socket.once('finish', () => (this.#underWay -= 1));
        if (this.misbehave !== undefined) this.misbehave(socket, request);
        else this.#serve(socket, request);
      });
    });
    await new Promise<void>((resolve) => server.listen(this.path, resolve));
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    for (const socket of this.#sockets) socket.destroy();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
    this.#server = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    removeDirectory(this.#directory);
  }

  #serve(socket: Socket, request: Buffer): void {
    const code = endianness() === 'LE' ? request.readUInt32LE() : request.readUInt32BE();
    const name = names[code] ?? String(code);
    if (name === 'statistics') {
      socket.end(this.#statistics());
      return;
    }
    this.asked.push(name);
    const { counts } = this;
    switch (name) {
      case 'commit': {
        const { percent, tookMs } = this.commit;
        const work = (): void => {
          if (this.mode === 'external-cache') counts.kernel += Math.round((counts.external * percent) / 100);
          socket.end();
        };
        if (tookMs === 0) work();
        else setTimeout(work, tookMs);
        return;
      }
      case 'flushCaches':
        counts.internal = counts.external = 0;
        break;
      case 'flushInternal':
        counts.internal = 0;
        break;
      case 'flushExternal':
        counts.external = 0;
        break;
      case 'flushKernel':
        counts.kernel = counts.internal = 0;
        break;
      case 'resyncKernel':
        counts.internal = counts.kernel;
        break;
      case 'requestBulk':
        if (this.peerHas !== undefined) counts.external = this.peerHas;
        break;
    }
    socket.end();
  }

  #statistics(): string {
    const { internal, external } = this.counts;
    const cache = (heading: string, current: number): string =>
      `${heading}:\ncurrent active connections:\t ${current}\nconnections created:\t ${current}\tfailed:\t 0\n\n`;
    if (this.mode === 'statistics') return cache('cache stats', internal);
    if (this.peerHas !== undefined) this.#received += 1;
    const peer =
      this.mode === 'injection'
        ? `external inject:\nconnections created:\t ${external}\tfailed:\t 0\n\n`
        : cache('cache external', external);
    return `${cache('cache internal', internal)}${peer}UDP traffic (active device=sync0):
 1 Bytes sent 1 Bytes recv
 1 Pckts sent ${this.#received} Pckts recv
 0 Error send 0 Error recv

message tracking:
 0 Malformed msgs 0 Lost msgs

`;
  }
}

/** A clock that goes ten times as fast. */
export const fastClock: Clock = {
  now: () => performance.now() * 10,
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs / 10);
    return () => clearTimeout(timer);
  },
};
