import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { EventEmitter } from 'node:events';

/** The program behind `Injector`: raw sockets of the npm package `raw-socket`, in a process of its own because it has to
 *  live in the namespace it sends from. Arguments: interface name. Talks by IPC messages. */

export interface Injection {
  readonly family: 4 | 6;
  /** Whole IP packets, header included, sent in turn. */
  readonly packets: readonly Uint8Array[];
  readonly destination: string;
  readonly count: number;
  /** Undefined: as fast as it goes. */
  readonly perSecond: number | undefined;
}

export interface Heard {
  readonly family: 4 | 6;
  readonly source: string;
  /** IPv4: the whole packet; IPv6: what follows the IP header. */
  readonly bytes: Uint8Array;
}

export type ToChild = { readonly id: number } & Injection;
export type FromChild =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly id: number; readonly sent: number; readonly error: string | undefined }
  | ({ readonly type: 'heard' } & Heard);

/** What we use of raw-socket, which brings no types. */
interface RawSocketModule {
  readonly AddressFamily: { readonly IPv4: number; readonly IPv6: number };
  createSocket(options: { protocol: number; addressFamily: number; bufferSize: number }): RawSocket;
}
interface RawSocket extends EventEmitter {
  setOption(level: number, option: number, value: number | Buffer, length?: number): void;
  send(
    buffer: Buffer,
    offset: number,
    length: number,
    address: string,
    done: (error: Error | null) => void,
  ): void;
}

const protocol = 112;
// From the kernel's headers.
const [solSocket, soBindToDevice] = [1, 25];
const [ipLevel, ipHeaderIncluded, ipMulticastInterface, ipAddMembership] = [0, 3, 32, 35];
const [ipv6Level, ipv6MulticastInterface, ipv6JoinGroup, ipv6HeaderIncluded] = [41, 17, 20, 36];
const groups = {
  4: Buffer.from([224, 0, 0, 18]),
  6: Buffer.from([0xff, 2, ...Array<number>(13).fill(0), 0x12]),
};

const interfaceName = process.argv[2] ?? '';
const index = Buffer.alloc(4);
index.writeUInt32LE(Number(readFileSync(`/sys/class/net/${interfaceName}/ifindex`, 'utf8')));

const module = createRequire(import.meta.url)('raw-socket') as RawSocketModule;
const sockets = { 4: open(4), 6: open(6) };

function open(family: 4 | 6): RawSocket {
  const addressFamily = family === 4 ? module.AddressFamily.IPv4 : module.AddressFamily.IPv6;
  const socket = module.createSocket({ protocol, addressFamily, bufferSize: 65536 });
  socket.setOption(solSocket, soBindToDevice, Buffer.from(`${interfaceName}\0`), interfaceName.length + 1);
  if (family === 4) {
    const membership = Buffer.concat([groups[4], Buffer.alloc(4), index]); // struct ip_mreqn
    socket.setOption(ipLevel, ipHeaderIncluded, 1);
    socket.setOption(ipLevel, ipMulticastInterface, membership, membership.length);
    socket.setOption(ipLevel, ipAddMembership, membership, membership.length);
  } else {
    const membership = Buffer.concat([groups[6], index]); // struct ipv6_mreq
    socket.setOption(ipv6Level, ipv6HeaderIncluded, 1);
    socket.setOption(ipv6Level, ipv6MulticastInterface, index.readUInt32LE());
    socket.setOption(ipv6Level, ipv6JoinGroup, membership, membership.length);
  }
  socket.on('message', (bytes: Buffer, source: string) => {
    tell({ type: 'heard', family, source, bytes: Uint8Array.from(bytes) });
  });
  socket.on('error', (error: Error) => {
    throw error;
  });
  return socket;
}

function tell(message: FromChild): void {
  process.send?.(message);
}

function sendOne(family: 4 | 6, packet: Uint8Array, destination: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // raw-socket keeps the buffer until the callback, and never copies it.
    sockets[family].send(Buffer.from(packet), 0, packet.length, destination, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

async function inject({ family, packets, destination, count, perSecond }: Injection): Promise<number> {
  const startedAt = performance.now();
  for (let sent = 0; sent < count;) {
    const due =
      perSecond === undefined
        ? Math.min(count, sent + 64)
        : Math.min(count, Math.ceil(((performance.now() - startedAt) / 1000) * perSecond) || 1);
    const batch: Promise<void>[] = [];
    for (; sent < due; sent++)
      batch.push(sendOne(family, packets[sent % packets.length] as Uint8Array, destination));
    await Promise.all(batch);
    if (perSecond !== undefined && sent < count) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return count;
}

process.on('message', (message) => {
  const { id, ...injection } = message as ToChild;
  inject(injection).then(
    (sent) => {
      tell({ type: 'done', id, sent, error: undefined });
    },
    (error: unknown) => {
      tell({ type: 'done', id, sent: 0, error: String(error) });
    },
  );
});
process.on('disconnect', () => process.exit());
tell({ type: 'ready' });
