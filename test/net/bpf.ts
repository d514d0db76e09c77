/** A classic BPF interpreter, written from the kernel's documentation (networking/filter.rst) and knowing nothing of ours:
 *  it takes instructions apart by their bit fields, where src/net/filter.ts puts whole opcodes together. */

/** The IP header lies at these negative offsets (SKF_NET_OFF). */
const networkOffset = -0x100000;

/** @param packet what the socket shows its filter
 *  @param networkHeader the IP header in front of it, or the beginning of it
 *  @returns octets to keep; 0 refuses, as does every read outside the packet
 *  @throws Error where the kernel would refuse the program */
export function runFilter(program: Uint8Array, packet: Uint8Array, networkHeader: Uint8Array): number {
  const code = new DataView(program.buffer, program.byteOffset, program.length);
  const memory = new Array<number>(16).fill(0);
  const length = program.length / 8;
  let a = 0;
  let x = 0;
  let pc = 0;

  /** Big endian, as on the wire. */
  const load = (offset: number, size: number): number | undefined => {
    const signed = offset | 0;
    const [bytes, start] = signed < 0 ? [networkHeader, signed - networkOffset] : [packet, offset];
    if (start < 0 || start + size > bytes.length) return undefined;
    return bytes.subarray(start, start + size).reduce((value, octet) => value * 256 + octet, 0);
  };

  for (;;) {
    if (pc >= length) throw new Error(`instruction ${pc} is outside the program`);
    const opcode = code.getUint16(pc * 8, true);
    const jt = code.getUint8(pc * 8 + 2);
    const jf = code.getUint8(pc * 8 + 3);
    const k = code.getUint32(pc * 8 + 4, true);
    pc += 1;
    const operand = (opcode & 0x08) !== 0 ? x : k;
    switch (opcode & 0x07) {
      case 0: // LD
      case 1: {
        // LDX
        const size = { 0x00: 4, 0x08: 2, 0x10: 1 }[opcode & 0x18];
        if (size === undefined) throw new Error(`instruction ${pc - 1}: size`);
        const modes: Record<number, () => number | undefined> = {
          0x00: () => k,
          0x20: () => load(k, size),
          0x40: () => load(x + k, size),
          0x60: () => memory[k],
          0x80: () => packet.length,
          0xa0: () => {
            const octet = load(k, 1);
            return octet === undefined ? undefined : (octet & 0xf) * 4;
          },
        };
        const value = modes[opcode & 0xe0]?.();
        if (value === undefined) return 0;
        if ((opcode & 0x07) === 0) a = value;
        else x = value;
        break;
      }
      case 2: // ST
        memory[k] = a;
        break;
      case 4: {
        // ALU
        const operations: Record<number, () => number> = {
          0x00: () => a + operand,
          0x10: () => a - operand,
          0x50: () => a & operand,
          0x60: () => a << operand,
        };
        const result = operations[opcode & 0xf0]?.();
        if (result === undefined) throw new Error(`instruction ${pc - 1}: arithmetic`);
        a = result >>> 0;
        break;
      }
      case 5: {
        // JMP
        const tests: Record<number, boolean> = { 0x10: a === operand, 0x20: a > operand, 0x30: a >= operand };
        if ((opcode & 0xf0) === 0) pc += k;
        else pc += tests[opcode & 0xf0] ? jt : jf;
        break;
      }
      case 6: // RET
        return k;
      default:
        throw new Error(`instruction ${pc - 1}: class`);
    }
  }
}
