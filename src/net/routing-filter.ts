import { familyNumber, flag, littleEndian } from './netlink-attributes.ts';
import { type RouteMessage, lengthOf, routeType } from './routing-messages.ts';
import { ourRoutingProtocol } from './routing-mirror.ts';

/** A classic BPF program (linux/filter.h) for a netlink socket that listens to routes: on a host with a full table of the
 *  Internet their news are hundreds of thousands, and nearly all of them none of ours. */

interface Instruction {
  readonly code: number;
  readonly k: number;
  /** Instructions to skip. */
  readonly whenTrue?: number;
  readonly whenFalse?: number;
}

// BPF loads in network byte order, whatever the host's.
const loadWord = (k: number): Instruction => ({ code: 0x20, k }); // BPF_LD | BPF_W | BPF_ABS
const loadHalf = (k: number): Instruction => ({ code: 0x28, k }); // BPF_LD | BPF_H | BPF_ABS
const loadOctet = (k: number): Instruction => ({ code: 0x30, k }); // BPF_LD | BPF_B | BPF_ABS
const and = (k: number): Instruction => ({ code: 0x54, k }); // BPF_ALU | BPF_AND | BPF_K
const jumpIfEqual = (k: number, whenTrue: number, whenFalse: number): Instruction => {
  return { code: 0x15, k, whenTrue, whenFalse }; // BPF_JMP | BPF_JEQ | BPF_K
};
const pass: Instruction = { code: 0x06, k: 0xffff_ffff }; // BPF_RET | BPF_K
const drop: Instruction = { code: 0x06, k: 0 };

// Where they stand in a message: struct nlmsghdr, then struct rtmsg.
const offset = { type: 4, flags: 6, familyAndLengths: 16, table: 20, protocol: 21 } as const;
const compatibleTable = 252; // RT_TABLE_COMPAT: one from 256 on

function hostHalf(value: number): number {
  return littleEndian ? ((value & 0xff) << 8) | (value >> 8) : value;
}

/** A destination of that family and length, for all sources and types of service, in that table. */
function like({ family, to, table }: Pick<RouteMessage, 'family' | 'to' | 'table'>): Instruction[] {
  return [
    loadWord(offset.familyAndLengths),
    jumpIfEqual(((familyNumber[family] << 24) | (lengthOf(to) << 16)) >>> 0, 0, 3),
    loadOctet(offset.table),
    jumpIfEqual(table < 256 ? table : compatibleTable, 0, 1),
    pass,
  ];
}

/** Passes everything but news of routes that cannot concern us: those with our protocol pass, and what others do to
 *  destinations of the same length, in the same table, as one of ours: it may be in the way of ours, or out of it again.
 *  @returns a program for `Native.attachFilter` */
export function routingFilter(routes: readonly Pick<RouteMessage, 'family' | 'to' | 'table'>[]): Uint8Array {
  const distinct = new Map(
    routes.map((route) => [`${route.family} ${lengthOf(route.to)} ${route.table}`, route] as const),
  );
  const instructions: Instruction[] = [
    loadHalf(offset.type),
    jumpIfEqual(hostHalf(routeType.new), 2, 0),
    jumpIfEqual(hostHalf(routeType.delete), 1, 0),
    pass,
    // A dump was asked for.
    loadHalf(offset.flags),
    and(hostHalf(flag.multi)),
    jumpIfEqual(0, 1, 0),
    pass,
    loadOctet(offset.protocol),
    jumpIfEqual(ourRoutingProtocol, 0, 1),
    pass,
    ...[...distinct.values()].flatMap(like),
    drop,
  ];
  const program = new DataView(new ArrayBuffer(instructions.length * 8));
  for (const [index, { code, k, whenTrue = 0, whenFalse = 0 }] of instructions.entries()) {
    program.setUint16(index * 8, code, littleEndian);
    program.setUint8(index * 8 + 2, whenTrue);
    program.setUint8(index * 8 + 3, whenFalse);
    program.setUint32(index * 8 + 4, k, littleEndian);
  }
  return new Uint8Array(program.buffer);
}
