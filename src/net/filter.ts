import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import type { Family } from '../protocol/address.ts';

/** Two classic BPF programs (linux/filter.h) that part the packets of a raw socket between them. */
export interface Filters {
  /** Passes what a configured router may have to act on. */
  readonly accept: Uint8Array;
  /** Passes exactly what `accept` does not, so that it can be counted by reason. */
  readonly reject: Uint8Array;
}

interface Instruction {
  readonly code: number;
  readonly k: number;
  /** For jumps: whether the packet is refused when the comparison holds, or when it does not. */
  readonly refuse?: 'if' | 'unless';
}

// The accumulator A is loaded from the packet, from its length or from memory; X holds an offset.
const loadOctet = (k: number): Instruction => ({ code: 0x30, k }); // BPF_LD | BPF_B | BPF_ABS
const loadOctetFromIndex = (k: number): Instruction => ({ code: 0x50, k }); // BPF_LD | BPF_B | BPF_IND
const loadHalfFromIndex = (k: number): Instruction => ({ code: 0x48, k }); // BPF_LD | BPF_H | BPF_IND
const loadPacketLength: Instruction = { code: 0x80, k: 0 }; // BPF_LD | BPF_W | BPF_LEN
const store: Instruction = { code: 0x02, k: 0 }; // BPF_ST: M[0] = A
const setIndex = (k: number): Instruction => ({ code: 0x01, k }); // BPF_LDX | BPF_W | BPF_IMM
const setIndexToIpv4Header: Instruction = { code: 0xb1, k: 0 }; // BPF_LDX | BPF_B | BPF_MSH: 4 * (octet 0 & 15)
const setIndexToStored: Instruction = { code: 0x61, k: 0 }; // BPF_LDX | BPF_W | BPF_MEM
const add = (k: number): Instruction => ({ code: 0x04, k }); // BPF_ALU | BPF_ADD | BPF_K
const subtractIndex: Instruction = { code: 0x1c, k: 0 }; // BPF_ALU | BPF_SUB | BPF_X
const and = (k: number): Instruction => ({ code: 0x54, k }); // BPF_ALU | BPF_AND | BPF_K
const shiftLeft = (k: number): Instruction => ({ code: 0x64, k }); // BPF_ALU | BPF_LSH | BPF_K
const mustEqual = (k: number): Instruction => ({ code: 0x15, k, refuse: 'unless' }); // BPF_JMP | BPF_JEQ | BPF_K
const mustDiffer = (k: number): Instruction => ({ code: 0x15, k, refuse: 'if' });
const mustEqualIndex: Instruction = { code: 0x1d, k: 0, refuse: 'unless' }; // BPF_JMP | BPF_JEQ | BPF_X
const mustReach = (k: number): Instruction => ({ code: 0x35, k, refuse: 'unless' }); // BPF_JMP | BPF_JGE | BPF_K
const mustReachIndex: Instruction = { code: 0x3d, k: 0, refuse: 'unless' }; // BPF_JMP | BPF_JGE | BPF_X

const jumpAlways = 0x05; // BPF_JMP | BPF_JA
const jumpIfEqual = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const answer = 0x06; // BPF_RET | BPF_K: how many octets to keep
const wholePacket = 0xffff_ffff;

/** SKF_NET_OFF: offsets from here count from the IP header, wherever the packet begins for the filter. */
const networkHeader = 0xfff0_0000;

const offset = { versionAndType: 0, vrid: 1, count: 3, maxAdvertiseInterval: 4, addresses: 8 } as const;

/** What makes sense of a packet's beginning: a raw IPv4 socket shows its filter the IP header first, a raw IPv6 socket the
 *  payload. Leaves the payload's offset in X, and has refused hop limits other than 255. */
const begin: Readonly<Record<Family, readonly Instruction[]>> = {
  ipv4: [loadPacketLength, mustReach(20), loadOctet(8), mustEqual(255), setIndexToIpv4Header],
  ipv6: [loadOctet(networkHeader + 7), mustEqual(255), setIndex(0)],
};

/** In an order that never reads behind the packet's end: there the kernel would answer 0 for both programs. */
function checks(family: Family): readonly Instruction[] {
  const addressBits = family === 'ipv4' ? 2 : 4;
  return [
    ...begin[family],
    loadPacketLength,
    mustReachIndex,
    subtractIndex,
    mustReach(offset.addresses + (1 << addressBits)),
    store,
    loadOctetFromIndex(offset.versionAndType),
    mustEqual(0x31),
    loadHalfFromIndex(offset.maxAdvertiseInterval),
    and(0x0fff),
    mustDiffer(0),
    loadOctetFromIndex(offset.count),
    shiftLeft(addressBits),
    add(offset.addresses),
    setIndexToStored,
    mustEqualIndex,
    family === 'ipv4' ? setIndexToIpv4Header : setIndex(0),
    loadOctetFromIndex(offset.vrid),
  ];
}

/** Checks, then the VRIDs one by one. A conditional jump reaches 255 instructions: so the checks have an exit of their own
 *  in front of the VRIDs, and the way from the first of 255 VRIDs to the last line is just short enough. */
function assemble(family: Family, vrids: readonly number[], passed: number, refused: number): Uint8Array {
  const before = checks(family);
  const length = before.length + 2 + vrids.length + 2;
  const program = new DataView(new ArrayBuffer(length * 8));
  const littleEndian = endianness() === 'LE';
  let next = 0;
  const emit = (code: number, k: number, whenTrue = 0, whenFalse = 0): void => {
    assert(whenTrue <= 255 && whenFalse <= 255);
    program.setUint16(next * 8, code, littleEndian);
    program.setUint8(next * 8 + 2, whenTrue);
    program.setUint8(next * 8 + 3, whenFalse);
    program.setUint32(next * 8 + 4, k, littleEndian);
    next += 1;
  };
  for (const { code, k, refuse } of before) {
    const toRefusal = before.length - next;
    emit(code, k, refuse === 'if' ? toRefusal : 0, refuse === 'unless' ? toRefusal : 0);
  }
  emit(jumpAlways, 1);
  emit(answer, refused);
  for (const vrid of vrids) emit(jumpIfEqual, vrid, length - 2 - next);
  emit(answer, refused);
  emit(answer, passed);
  return new Uint8Array(program.buffer);
}

/** The filters of a socket for VRRPv3 Advertisements: `accept` passes hop limit 255, version 3 type 1, a VRID of the list, a
 *  length that fits the number of addresses, at least one address, a Max Advertise Interval other than zero (RFC 9568 7.1
 *  without the checksum). Destination and checksum are left to those who can count what is wrong with them.
 *  @param vrids 1 to 255 each, in any order; none: everything is refused
 *  @returns programs for `Native.attachFilter` */
export function advertisementFilter({
  family,
  vrids,
}: {
  readonly family: Family;
  readonly vrids: readonly number[];
}): Filters {
  const distinct = [...new Set(vrids)].sort((left, right) => left - right);
  assert(distinct.every((vrid) => Number.isInteger(vrid) && vrid >= 1 && vrid <= 255));
  return {
    accept: assemble(family, distinct, wholePacket, 0),
    reject: assemble(family, distinct, 0, wholePacket),
  };
}
