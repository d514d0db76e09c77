import { createSocket, type Socket } from 'node:dgram';

/** The program behind `Probe` and `startResponder`: UDP echo. (`ping` below 10 ms an interval spins a whole core.)
 *  `respond PORT`: answers on every address of the host, IPv4 and IPv6, whichever addresses come and go.
 *  `probe JSON`: sends to every target at the interval until standard input ends; prints outcomes as lines of JSON. */

export interface ProbePlan {
  readonly targets: readonly { readonly address: string; readonly port: number }[];
  readonly intervalMs: number;
  /** A probe not answered for this long is lost. */
  readonly patienceMs: number;
}

/** [target index, sequence, sent at (ms of CLOCK_REALTIME), answered after ms or null: lost]; in order of sequence for
 *  each target. */
export type ProbeLine = readonly (readonly [number, number, number, number | null])[];

const flushEveryMs = 20;

function now(): number {
  return performance.timeOrigin + performance.now();
}

function openSocket(family: 4 | 6): Socket {
  return createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    // Addresses only, and no detour through the resolver's threads.
    lookup: (hostname, _options, callback) => {
      callback(null, hostname, family);
    },
    ...(family === 6 ? { ipv6Only: true } : {}),
  });
}

function respond(port: number): void {
  let listening = 0;
  for (const family of [4, 6] as const) {
    const socket = openSocket(family);
    socket.on('message', (message, { address, port: from }) => {
      socket.send(message, from, address, () => undefined); // unreachable right now: the probe counts as lost
    });
    socket.bind(port, () => {
      listening += 1;
      if (listening === 2) process.stdout.write('ready\n');
    });
  }
}

function probe({ targets, intervalMs, patienceMs }: ProbePlan): void {
  const sockets = { 4: openSocket(4), 6: openSocket(6) };
  const open = targets.map(() => new Map<number, { sentAt: number; answeredAfter: number | null }>());
  let outcomes: [number, number, number, number | null][] = [];
  let stopping = false;

  for (const socket of [sockets[4], sockets[6]]) {
    socket.on('error', () => undefined);
    socket.on('message', (message) => {
      if (message.length < 8) return;
      const sent = open[message.readUInt32BE(0)]?.get(message.readUInt32BE(4));
      if (sent !== undefined) sent.answeredAfter = now() - sent.sentAt;
    });
  }

  const startedAt = now();
  let slot = 0;
  const sendAll = (): void => {
    for (const [index, { address, port }] of targets.entries()) {
      const message = Buffer.alloc(8);
      message.writeUInt32BE(index, 0);
      message.writeUInt32BE(slot, 4);
      open[index]?.set(slot, { sentAt: now(), answeredAfter: null });
      sockets[address.includes(':') ? 6 : 4].send(message, port, address, () => undefined);
    }
    // A slot that we were too late for is not sent at all: it would say nothing about the network.
    slot = Math.max(slot + 1, Math.floor((now() - startedAt) / intervalMs));
    if (!stopping) setTimeout(sendAll, startedAt + slot * intervalMs - now());
  };
  sendAll();

  const collect = (): void => {
    for (const [index, waiting] of open.entries()) {
      for (const [sequence, { sentAt, answeredAfter }] of waiting) {
        if (answeredAfter === null && now() - sentAt < patienceMs) break;
        outcomes.push([index, sequence, sentAt, answeredAfter]);
        waiting.delete(sequence);
      }
    }
    if (outcomes.length > 0) process.stdout.write(`${JSON.stringify(outcomes satisfies ProbeLine)}\n`);
    outcomes = [];
    if (stopping && open.every((waiting) => waiting.size === 0)) process.exit();
  };
  setInterval(collect, flushEveryMs);
  process.stdin.resume().on('end', () => {
    stopping = true;
  });
}

const [role, argument = ''] = process.argv.slice(2);
if (role === 'respond') respond(Number(argument));
else probe(JSON.parse(argument) as ProbePlan);
