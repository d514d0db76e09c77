import { createServer, createConnection, type Socket } from 'node:net';
import { createSocket } from 'node:dgram';
import { endianness } from 'node:os';
import { loadNative, slot } from '../../src/net/native.ts';

/** The program behind `Flows` and `makeBackground`.
 *  `serve`: a server of downloads and of echoes, IPv4 and IPv6, until it is ended.
 *  `flows JSON`: opens sessions and checks every byte of them until standard input ends; prints what happens as lines of JSON.
 *  `background JSON`: puts entries of sessions that nobody uses into the kernel's table, and ends.
 *  `forget`: empties the kernel's table, and ends. */

export const ports = { download: 5001, echo: 5002, udp: 5003 } as const;

export type FlowKind = 'download' | 'echo' | 'udp';

export interface FlowPlan {
  readonly name: string;
  readonly kind: FlowKind;
  /** Of the server. */
  readonly address: string;
}

/** Milliseconds of CLOCK_REALTIME. */
export type FlowLine =
  /** Bytes until now, all of them right. */
  | { readonly flow: string; readonly type: 'moved'; readonly at: number; readonly bytes: number }
  /** Nothing had come since `from`, for longer than is usual. */
  | { readonly flow: string; readonly type: 'silence'; readonly from: number; readonly at: number }
  | { readonly flow: string; readonly type: 'ended'; readonly at: number; readonly why: string };

export interface BackgroundPlan {
  readonly count: number;
  /** The first of these sessions; further calls begin behind the last one. */
  readonly first: number;
  /** Sources are 10.X.0.0 to 10.X.255.255. */
  readonly sourceNet: number;
  readonly destination: string;
  /** Sessions go out under this address. */
  readonly snat: string;
}

/** Server-sent data is what shows a missing entry: what a client sends may make a new one. */
const downloadChunk = 60_000;
const downloadEveryMs = 3;
const echoEveryMs = 20;
const echoBytes = 64;
const reportEveryMs = 20;
const silenceMs = 40;

function now(): number {
  return performance.timeOrigin + performance.now();
}

/** The bytes of a download are a pattern of their place in it. */
const period = 65_521;
const pattern = Buffer.from(Array.from({ length: 2 * period }, (_, place) => ((place % period) * 31) & 0xff));

function serve(): void {
  const download = createServer({ noDelay: true }, (socket) => {
    let place = 0;
    const timer = setInterval(() => {
      // What the network does not take is not made up for later.
      if (socket.writableLength > 4 * downloadChunk) return;
      socket.write(pattern.subarray(place, place + downloadChunk));
      place = (place + downloadChunk) % period;
    }, downloadEveryMs);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(timer);
    });
  });
  const echo = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const udp = createSocket('udp4');
  udp.on('message', (message, { address, port }) => {
    udp.send(message, port, address, () => undefined);
  });
  let listening = 0;
  const ready = (): void => {
    listening += 1;
    if (listening === 3) process.stdout.write('ready\n');
  };
  download.listen(ports.download, '::', ready);
  echo.listen(ports.echo, '::', ready);
  udp.bind(ports.udp, ready);
}

class Flow {
  readonly #name: string;
  #bytes = 0;
  #movedAt = now();
  #reportedAt = 0;
  #ended = false;

  constructor(name: string) {
    this.#name = name;
  }

  get bytes(): number {
    return this.#bytes;
  }

  moved(bytes: number): void {
    const at = now();
    if (at - this.#movedAt > silenceMs && this.#bytes > 0)
      print({ flow: this.#name, type: 'silence', from: this.#movedAt, at });
    this.#movedAt = at;
    this.#bytes += bytes;
    if (at - this.#reportedAt < reportEveryMs) return;
    this.#reportedAt = at;
    print({ flow: this.#name, type: 'moved', at, bytes: this.#bytes });
  }

  end(why: string): void {
    if (!this.#ended) print({ flow: this.#name, type: 'ended', at: now(), why });
    this.#ended = true;
  }
}

function print(line: FlowLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function openFlow({ name, kind, address }: FlowPlan): void {
  const flow = new Flow(name);
  if (kind === 'udp') return openUdp(flow, address);
  const socket = createConnection({ host: address, port: ports[kind], noDelay: true });
  socket.on('error', (error) => flow.end(error.message));
  socket.on('close', () => flow.end('closed by the other end'));
  if (kind === 'download') {
    socket.on('data', (chunk) => {
      const start = flow.bytes % period;
      for (let offset = 0; offset < chunk.length;) {
        const from = (start + offset) % period;
        const part = chunk.subarray(offset, offset + pattern.length - from);
        if (!part.equals(pattern.subarray(from, from + part.length))) {
          flow.end(`wrong bytes after ${flow.bytes + offset}`);
          socket.destroy();
          return;
        }
        offset += part.length;
      }
      flow.moved(chunk.length);
    });
  } else openEcho(flow, socket);
}

function openEcho(flow: Flow, socket: Socket): void {
  let sent = 0;
  let expected = 0;
  socket.once('connect', () => {
    const timer = setInterval(() => {
      const message = Buffer.alloc(echoBytes, sent & 0xff);
      sent += 1;
      socket.write(message);
    }, echoEveryMs);
    socket.once('close', () => {
      clearInterval(timer);
    });
  });
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= echoBytes) {
      if (!rest.subarray(0, echoBytes).every((value) => value === (expected & 0xff))) {
        flow.end(`wrong echo after ${flow.bytes}`);
        socket.destroy();
        return;
      }
      rest = rest.subarray(echoBytes);
      expected += 1;
    }
    flow.moved(chunk.length);
  });
}

function openUdp(flow: Flow, address: string): void {
  const socket = createSocket('udp4');
  socket.on('error', (error) => flow.end(error.message));
  socket.on('message', (message) => flow.moved(message.length));
  socket.bind(0, () => {
    setInterval(() => {
      socket.send(Buffer.alloc(echoBytes), ports.udp, address, () => undefined);
    }, echoEveryMs);
  });
}

// Entries of the kernel's table, by ctnetlink (linux/netfilter/nfnetlink_conntrack.h)

const netlinkNetfilter = 12;
const conntrackNew = 0x0100;
const conntrackDelete = 0x0102;
const [request, exclusive, create] = [1, 0x200, 0x400];
const nested = 0x8000;
const [seenReply, assured, confirmed] = [2, 4, 8];
const established = 3;
const littleEndian = endianness() === 'LE';
const sessionsPerMessage = 64;

function attribute(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = 4 + parts.reduce((sum, part) => sum + part.length, 0);
  const header = Buffer.alloc(4);
  new DataView(header.buffer, header.byteOffset).setUint16(0, length, littleEndian);
  new DataView(header.buffer, header.byteOffset).setUint16(2, type, littleEndian);
  return Buffer.concat([header, ...parts, Buffer.alloc(-length & 3)]);
}

function big16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function big32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function ipv4(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

interface End {
  readonly address: string;
  readonly port: number;
}

function tuple(type: number, source: End, destination: End): Buffer {
  return attribute(
    type | nested,
    attribute(1 | nested, attribute(1, ipv4(source.address)), attribute(2, ipv4(destination.address))),
    attribute(
      2 | nested,
      attribute(1, Buffer.from([6])),
      attribute(2, big16(source.port)),
      attribute(3, big16(destination.port)),
    ),
  );
}

/** An established TCP session with source NAT that keeps its port. */
function sessionMessage(plan: BackgroundPlan, index: number): Buffer {
  const source = {
    address: `10.${plan.sourceNet}.${(index >> 8) & 255}.${index & 255}`,
    port: 1024 + (index % 60_000),
  };
  const destination = { address: plan.destination, port: 7000 + Math.floor(index / 60_000) };
  const snat = ipv4(plan.snat);
  const port = big16(source.port);
  const body = Buffer.concat([
    Buffer.from([2, 0, 0, 0]), // AF_INET, NFNETLINK_V0
    tuple(1, source, destination),
    tuple(2, destination, source),
    attribute(3, big32(seenReply | assured | confirmed)),
    attribute(
      4 | nested,
      attribute(
        1 | nested,
        attribute(1, Buffer.from([established])),
        attribute(4, Buffer.alloc(2)),
        attribute(5, Buffer.alloc(2)),
      ),
    ),
    attribute(
      6 | nested,
      attribute(1, snat),
      attribute(2, snat),
      attribute(3 | nested, attribute(1, port), attribute(2, port)),
    ),
    attribute(7, big32(3600)),
  ]);
  return message(conntrackNew, request | exclusive | create, index + 1, body);
}

function message(type: number, flags: number, sequence: number, body: Uint8Array): Buffer {
  const header = new DataView(new ArrayBuffer(16));
  header.setUint32(0, 16 + body.length, littleEndian);
  header.setUint16(4, type, littleEndian);
  header.setUint16(6, flags, littleEndian);
  header.setUint32(8, sequence, littleEndian);
  return Buffer.concat([new Uint8Array(header.buffer), body]);
}

/** The kernel says nothing of a session it has taken. */
async function background(plan: BackgroundPlan): Promise<void> {
  const native = loadNative();
  const fd = native.openNetlink(netlinkNetfilter, 1 << 20);
  const slotBytes = slot.data + 4096;
  const answers = new Uint8Array(64 * slotBytes);
  const nothing = new Uint8Array(0);
  const end = plan.first + plan.count;
  for (let start = plan.first; start < end; start += sessionsPerMessage) {
    const messages: Buffer[] = [];
    for (let index = start; index < Math.min(start + sessionsPerMessage, end); index += 1)
      messages.push(sessionMessage(plan, index));
    const sent = native.send(fd, Buffer.concat(messages), nothing, nothing, 0);
    const refused = native.receive(fd, answers, slotBytes);
    if (sent < 0 || refused !== 0) throw new Error(`ctnetlink: ${sent}, ${refused} sessions were refused`);
    // conntrackd is to keep up with their events.
    if (start % 2048 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  native.close(fd);
}

/** Without a tuple, all of them. */
function forget(): void {
  const native = loadNative();
  const fd = native.openNetlink(netlinkNetfilter, 1 << 20);
  const nothing = new Uint8Array(0);
  const sent = native.send(fd, message(conntrackDelete, request, 1, new Uint8Array(4)), nothing, nothing, 0);
  if (sent < 0) throw new Error(`ctnetlink: ${sent}`);
  native.close(fd);
}

const [role, argument = ''] = process.argv.slice(2);
if (role === 'serve') serve();
else if (role === 'background') await background(JSON.parse(argument) as BackgroundPlan);
else if (role === 'forget') forget();
else if (role === 'flows') {
  for (const plan of JSON.parse(argument) as FlowPlan[]) openFlow(plan);
  process.stdin.resume().on('end', () => process.exit());
}
