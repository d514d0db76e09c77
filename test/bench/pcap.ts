/** One Ethernet frame. */
export interface Frame {
  /** When the kernel saw it, in milliseconds of CLOCK_REALTIME, with fractions. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** The classic file format with nanoseconds (https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/), in host byte
 *  order on both sides: what tcpdump writes on this machine, this machine reads. */
const magic = 0xa1b23c4d;
const fileHeaderLength = 24;
const recordHeaderLength = 16;
const linkTypeEthernet = 1;

/** Frames out of a pcap stream that comes in pieces. */
export class PcapReader {
  #rest: Buffer = Buffer.alloc(0);
  #headerRead = false;

  read(chunk: Buffer): Frame[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (!this.#headerRead) {
      if (this.#rest.length < fileHeaderLength) return [];
      if (this.#rest.readUInt32LE(0) !== magic) throw new Error('not a pcap stream with nanoseconds');
      if (this.#rest.readUInt32LE(20) !== linkTypeEthernet)
        throw new Error('not a capture of Ethernet frames');
      this.#rest = this.#rest.subarray(fileHeaderLength);
      this.#headerRead = true;
    }
    const frames: Frame[] = [];
    while (this.#rest.length >= recordHeaderLength) {
      const end = recordHeaderLength + this.#rest.readUInt32LE(8);
      if (this.#rest.length < end) break;
      frames.push({
        at: this.#rest.readUInt32LE(0) * 1000 + this.#rest.readUInt32LE(4) / 1e6,
        bytes: Uint8Array.from(this.#rest.subarray(recordHeaderLength, end)),
      });
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}

export function encodePcap(frames: readonly Frame[]): Uint8Array {
  const header = Buffer.alloc(fileHeaderLength);
  header.writeUInt32LE(magic, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(0xffff, 16);
  header.writeUInt32LE(linkTypeEthernet, 20);
  const records = frames.flatMap(({ at, bytes }) => {
    const record = Buffer.alloc(recordHeaderLength);
    const seconds = Math.floor(at / 1000);
    record.writeUInt32LE(seconds, 0);
    record.writeUInt32LE(Math.floor((at - seconds * 1000) * 1e6), 4);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(bytes.length, 12);
    return [record, bytes];
  });
  return Buffer.concat([header, ...records]);
}
