import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KernelError } from '../errors.ts';

/** The one door to the addon: its functions, typed, and nothing else.
 *
 *  Every function that asks the kernel for something answers `>= 0`, or `-errno`; none throws for what the kernel says.
 *  A wrong argument (type, length, negative descriptor) answers `-EINVAL` or `-EBADF`: validated in C, so that no caller
 *  can make the addon read or write outside a buffer.
 *
 *  Descriptors belong to the thread that opened them: every other number answers `-EBADF`, and what a thread left open is
 *  closed when it ends. */
export interface Native {
  /** sha256 over the sources the addon was made from (`scripts/native-digest.sh` prints it for a tree). */
  readonly sourceDigest: string;

  /** CLOCK_MONOTONIC in milliseconds, with fractions: the only clock in havrrp's rooms. */
  now(): number;
  /** The symbol of a positive errno, such as `ENODEV`. */
  errnoName(errno: number): string;
  interfaceIndex(name: string): number;

  /** A raw IP socket on one device (SO_BINDTODEVICE), or, where `device` is empty, on whichever the routes choose: hop limit 255
   *  and DSCP CS6 on send, no multicast loop; hop limit, destination, interface and arrival time on receive. It hears nothing
   *  before `attachFilter` says what. */
  openRaw(family: 4 | 6, protocol: number, device: string, receiveBufferBytes: number): number;
  joinGroup(fd: number, family: 4 | 6, group: Uint8Array, interfaceIndex: number): number;
  leaveGroup(fd: number, family: 4 | 6, group: Uint8Array, interfaceIndex: number): number;
  /** A packet socket that only transmits Ethernet frames on one interface. */
  openFrames(interfaceIndex: number): number;
  /** Netlink, with NETLINK_EXT_ACK, NETLINK_CAP_ACK and NETLINK_GET_STRICT_CHK, the receive buffer forced where allowed. */
  openNetlink(protocol: number, receiveBufferBytes: number): number;
  netlinkJoin(fd: number, group: number): number;
  /** pipe(2), close-on-exec: the numbers of the reading and the writing end, i32 each, are put into `ends` (8 octets). Unlike every other
   *  descriptor they do not belong to the addon: Node's streams and `fs.close` close them. */
  openPipe(ends: Uint8Array): number;
  /** A timerfd on CLOCK_MONOTONIC. */
  openTimer(): number;
  /** Arms for an absolute time in milliseconds of `now()`; one already past fires at once; `undefined` disarms. */
  armTimer(fd: number, at: number | undefined): number;
  /** Takes the expirations off a timer that fired: their number, 0 when it has not. */
  readTimer(fd: number): number;

  /** Classic BPF: 8 octets an instruction (u16 code, u8 jt, u8 jf, u32 k, host byte order), at most 4096 of them. */
  attachFilter(fd: number, program: Uint8Array): number;
  /** How many packets this socket has lost since it was opened, chiefly to a full receive buffer (SO_MEMINFO; what
   *  its filter refused is not among them). A u32, which wraps. */
  dropped(fd: number): number;

  /** Calls back whenever the descriptor can be read: with 0, or with the positive errno the socket reported (ENOBUFS,
   *  ENETDOWN); it goes on watching either way. The watch keeps the process alive. One watch for each
   *  descriptor: `-EBUSY` for a second. What `onReadable` throws becomes an uncaughtException. */
  watch(fd: number, onReadable: (errno: number) => void): number;
  unwatch(fd: number): number;
  /** Ends the watch, if there is one, and closes. */
  close(fd: number): number;

  /** Reads what is queued, without waiting, one datagram a slot (layout: `slot` below), at most 64 a call.
   *  @returns how many slots were filled; 0 when nothing was queued; -errno */
  receive(fd: number, slab: Uint8Array, slotBytes: number): number;
  /** Sends one datagram on a raw or netlink socket. `source` and `destination` are 4 or 16 octets, or empty. */
  send(
    fd: number,
    bytes: Uint8Array,
    destination: Uint8Array,
    source: Uint8Array,
    interfaceIndex: number,
  ): number;
  /** Sends Ethernet frames on a packet socket, in one call. @returns how many went out, or -errno when none did */
  sendFrames(fd: number, frames: readonly Uint8Array[]): number;

  /** One datagram to a Unix socket path (`@` first: abstract), as sd_notify(3) asks. */
  sdNotify(path: string, message: string): number;
}

/** A slot of the slab `receive` fills; all numbers in host byte order.
 *  For raw sockets the data is the IP payload: the header is left out for both families.
 *  For netlink, `source` begins with the sender's port (u32; 0 is the kernel). */
export const slot = {
  length: 0, // u32, octets of data in the slot
  hopLimit: 4, // i32, -1 unknown
  interfaceIndex: 8, // u32
  flags: 12, // u32, 1 = did not fit in the slot
  arrivedAt: 16, // f64, when the kernel took it, in milliseconds of now()
  source: 24, // 16 octets, IPv4 in the first four
  destination: 40, // 16 octets
  data: 56,
} as const;

/** Loads the addon: the one built in this tree where there is one, else the prebuilt one for this machine.
 *  @throws Error saying what was tried, and what to do */
export function loadNative(): Native {
  const require = createRequire(import.meta.url);
  const root = packageRoot(dirname(fileURLToPath(import.meta.url)));
  const platform = `${process.platform}-${process.arch}`;
  const failures: string[] = [];
  // A binary for the other C library is refused by the dynamic linker, so trying is the simplest way to know.
  for (const place of ['native/build/Release', `prebuilds/${platform}-glibc`, `prebuilds/${platform}-musl`]) {
    const file = join(root, place, 'havrrp.node');
    if (!existsSync(file)) {
      failures.push(`${file}: not there`);
      continue;
    }
    try {
      return require(file) as Native;
    } catch (error) {
      failures.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(
    `havrrp has no native addon for ${platform}, Node ${process.version}: ${failures.join('; ')}; ` +
      `build it with scripts/build-native.sh (needs a C compiler, make and python3)`,
  );
}

/** The nearest directory upwards that holds a package.json; the compiled code may lie at any depth below it. */
function packageRoot(start: string): string {
  for (let directory = start; ; directory = dirname(directory)) {
    if (existsSync(join(directory, 'package.json'))) return directory;
    if (directory === dirname(directory))
      throw new Error(`${start}: no package.json here or above: reinstall havrrp`);
  }
}

/** @param result what a function of the addon answered
 *  @returns the result, when it is no error
 *  @throws KernelError for a negative one */
export function succeed(native: Native, result: number, operation: string, target: string): number {
  if (result >= 0) return result;
  throw new KernelError({ errno: -result, code: native.errnoName(-result), operation, target });
}
