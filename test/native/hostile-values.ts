/** What the functions of the addon should not be given, as fast-check makes it: wrong types, lengths at the edges, buffers
 *  that are shared, detached or unaligned, arrays that run code while they are read. */
import fc from 'fast-check';
import { advertisementFilter } from '../../src/net/filter.ts';
import type { Native } from '../../src/net/native.ts';

/** `openPipe` is not among them: what it opens nobody here could close again. */
export type Operation = Exclude<keyof Native, 'sourceDigest' | 'now' | 'errnoName' | 'openPipe'>;
const operations: readonly Operation[] = [
  'interfaceIndex',
  'openRaw',
  'joinGroup',
  'leaveGroup',
  'openFrames',
  'openNetlink',
  'netlinkJoin',
  'openTimer',
  'armTimer',
  'readTimer',
  'attachFilter',
  'dropped',
  'watch',
  'unwatch',
  'close',
  'receive',
  'send',
  'sendFrames',
  'sdNotify',
];

function detached(): Uint8Array {
  const buffer = new ArrayBuffer(4096);
  const array = new Uint8Array(buffer);
  structuredClone(buffer, { transfer: [buffer] });
  return array;
}

const size = fc.constantFrom(
  ...[
    0, 1, 3, 4, 5, 8, 13, 14, 15, 16, 17, 40, 55, 56, 57, 58, 63, 64, 65, 120, 128, 1000, 4160, 65535, 65536,
  ],
);
const number = fc.oneof(
  fc.integer({ min: -2, max: 300 }),
  size,
  fc.constantFrom(
    -0,
    0.5,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 + 3,
    2 ** 53,
    -(2 ** 63),
    1e300,
    NaN,
    Infinity,
    -Infinity,
    1 << 20,
  ),
  fc.double(),
);
/** The groups of VRRP, and none. */
const addresses = fc.constantFrom(
  Uint8Array.of(224, 0, 0, 18),
  Buffer.from('ff020000000000000000000000000012', 'hex'),
  new Uint8Array(),
);
const bytes = fc.oneof(
  size.map((length) => new Uint8Array(length).fill(49)),
  fc.uint8Array({ maxLength: 80 }),
  // In the middle of something larger, at any alignment.
  fc
    .tuple(size, fc.integer({ min: 0, max: 9 }))
    .map(([length, start]) => new Uint8Array(length + 19).subarray(start, start + length)),
  size.map((length) => new Uint8Array(new SharedArrayBuffer(length))),
  addresses,
  fc.constantFrom(
    advertisementFilter({ family: 'ipv4', vrids: [51] }).accept,
    advertisementFilter({ family: 'ipv6', vrids: [51] }).reject,
  ),
  fc.constant(null).map(detached),
);
const text = fc.oneof(
  fc.constantFrom(
    '',
    'lo',
    'abuse0',
    'abuse1',
    'x'.repeat(15),
    'x'.repeat(16),
    '@',
    '@a',
    '/',
    '/tmp',
    'a\0b',
    'ü'.repeat(60),
  ),
  fc.integer({ min: 90, max: 5000 }).map((length) => `/${'n'.repeat(length)}`),
  fc.string({ unit: 'binary' }),
);

/** For `openPipe`, which takes room for two numbers and nothing else. */
export const hostileRooms: fc.Arbitrary<unknown> = fc.oneof(bytes, number, text);

/** @param usual descriptors of every kind that are open when the call is made
 *  @param closeAll what the nastiest of the arrays does while the addon reads it
 *  @returns calls that are wrong in one argument or in all, or even right */
export function hostileCalls(
  usual: () => readonly number[],
  closeAll: () => void,
): fc.Arbitrary<{ operation: Operation; values: readonly unknown[] }> {
  /** Arrays that run code while they are read. */
  const trap = fc.constantFrom('throws', 'closes', 'detaches', 'none').map((kind) => {
    const victim = new ArrayBuffer(60);
    const frames: unknown[] = [new Uint8Array(victim), new Uint8Array(60)];
    Object.defineProperty(frames, '1', {
      get: () => {
        if (kind === 'throws') throw new RangeError('thrown by an element');
        if (kind === 'closes') closeAll();
        if (kind === 'detaches') structuredClone(victim, { transfer: [victim] });
        return new Uint8Array(60);
      },
    });
    return frames;
  });
  const list = fc.oneof(
    fc.array(fc.constant(new Uint8Array(60)), { maxLength: 200 }),
    fc.array(bytes, { maxLength: 200 }),
    trap,
    fc.constant(null).map(() => new Array<unknown>(2 ** 32 - 1)),
    fc.constant(null).map(() => new Proxy([], {})),
  );
  const junk = fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    Symbol('s'),
    10n,
    {},
    [],
    new Uint16Array(64),
    new DataView(new ArrayBuffer(64)),
    new Date(),
  );
  const handler = fc.constant(null).map(() => () => undefined);
  const descriptor = fc.oneof(
    { weight: 5, arbitrary: fc.nat({ max: 4 }).map((index) => usual()[index]) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 79 }) },
  );
  const anything = fc.oneof(number, descriptor, bytes, text, list, junk, handler);

  /** Mostly of the right type, so that calls get past the first check. */
  const shapes: Readonly<Record<Operation, readonly fc.Arbitrary<unknown>[]>> = {
    interfaceIndex: [text],
    openRaw: [
      fc.constantFrom(4, 6),
      fc.constantFrom(112, 1, 255),
      fc.constantFrom('abuse0', 'abuse1', 'none', ''),
      fc.constantFrom(1, 4096, 1 << 20),
    ],
    joinGroup: [descriptor, fc.constantFrom(4, 6), addresses, fc.integer({ min: 1, max: 4 })],
    leaveGroup: [descriptor, fc.constantFrom(4, 6), addresses, fc.integer({ min: 1, max: 4 })],
    openFrames: [fc.integer({ min: 1, max: 5 })],
    openNetlink: [fc.integer({ min: 0, max: 31 }), number],
    netlinkJoin: [descriptor, fc.integer({ min: 1, max: 60 })],
    openTimer: [],
    armTimer: [descriptor, fc.oneof(number, fc.constant(undefined))],
    readTimer: [descriptor],
    attachFilter: [descriptor, bytes],
    dropped: [descriptor],
    watch: [descriptor, handler],
    unwatch: [descriptor],
    close: [descriptor],
    receive: [descriptor, bytes, size],
    send: [descriptor, bytes, addresses, addresses, fc.integer({ min: 0, max: 4 })],
    sendFrames: [descriptor, list],
    sdNotify: [text, text],
  };
  return fc.constantFrom(...operations).chain((operation) =>
    fc
      .tuple(
        fc.tuple(
          ...shapes[operation].map((shape) =>
            fc.oneof({ weight: 6, arbitrary: shape }, { weight: 1, arbitrary: anything }),
          ),
        ),
        fc.array(anything, { maxLength: 6 }),
        fc.integer({ min: 0, max: 9 }),
      )
      // Now and then quite other arguments, too few or too many.
      .map(([shaped, others, choice]) => ({
        operation,
        values: choice === 0 ? others : choice === 1 ? [...shaped, ...others] : shaped,
      })),
  );
}
