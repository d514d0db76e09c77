/** Calls every function of the addon with everything it should not be given, and a little of what it should, under a memory
 *  checker (test/native/sanitize.sh). It has a network namespace to itself: a call that happens to be right may send.
 *
 *  What must hold for any arguments: an integer comes back, `>= 0` or `-errno`; nothing is thrown that the arguments did not
 *  throw themselves; no octet is touched outside a buffer, which the checker sees. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { advertisementFilter } from '../../src/net/filter.ts';
import { loadNative, slot } from '../../src/net/native.ts';
import { ethernetFrame } from '../net/packets.ts';
import { type Operation, hostileCalls, hostileRooms } from './hostile-values.ts';

const runs = Number(process.env['ABUSE_RUNS'] ?? '5000');
const native = loadNative();
const group = Uint8Array.of(224, 0, 0, 18);

/** The one place where the types are set aside: hostile arguments have none. */
function call(operation: Operation, values: readonly unknown[]): number {
  const result = Reflect.apply(native[operation], native, values) as unknown;
  assert(
    typeof result === 'number' && Number.isSafeInteger(result),
    `${operation} answered ${String(result)}`,
  );
  assert(result >= -133, `${operation} answered ${result}`);
  return result;
}

/** One of each kind, opened anew as often as the calls have closed it. */
function openAll(): number[] {
  const timer = native.openTimer();
  const netlink = native.openNetlink(0, 65536);
  const ipv4 = native.openRaw(4, 112, 'abuse0', 65536);
  const ipv6 = native.openRaw(6, 112, 'abuse0', 65536);
  const frames = native.openFrames(native.interfaceIndex('abuse1'));
  const all = [timer, netlink, ipv4, ipv6, frames];
  assert(
    all.every((fd) => fd >= 0),
    `opened ${all.join(' ')}`,
  );
  native.joinGroup(ipv4, 4, group, native.interfaceIndex('abuse0'));
  return all;
}

/** The numbers the kernel gives to the five, being the lowest that are free. */
let usual: readonly number[] = [];

function closeAll(): void {
  for (let fd = 0; fd < 400; fd += 1) native.close(fd);
}

function callHostilely(): void {
  let opened = 0;
  let succeeded = 0;
  fc.assert(
    fc.property(
      hostileCalls(() => usual, closeAll),
      ({ operation, values }) => {
        if (opened % 50 === 0) {
          closeAll();
          usual = openAll();
        }
        opened += 1;
        try {
          if (call(operation, values) >= 0) succeeded += 1;
        } catch (error) {
          assert(error instanceof RangeError && error.message === 'thrown by an element', String(error));
        }
        native.now();
        native.errnoName(values[0] as number);
      },
    ),
    { numRuns: runs, endOnFailure: true, ignoreEqualValues: false },
  );
  closeAll();
  console.log(`${runs} hostile calls, ${succeeded} of which were right`);
}

function openPipesHostilely(): void {
  fc.assert(
    fc.property(hostileRooms, (room) => {
      const result = Reflect.apply(native.openPipe, native, [room]) as number;
      if (!(room instanceof Uint8Array) || room.length !== 8) {
        assert.equal(native.errnoName(-result), 'EINVAL');
        return;
      }
      assert.equal(result, 0);
      const view = new DataView(room.buffer, room.byteOffset, room.length);
      for (const offset of [0, 4]) closeSync(view.getInt32(offset, true));
    }),
    { numRuns: Math.ceil(runs / 10) },
  );
}

/** What hostile calls hit upon but rarely, done right once: it must succeed, and the checkers look at it as well. */
function rightCalls(): void {
  const none = new Uint8Array();
  const [, netlink = -1, ipv4 = -1, ipv6 = -1, frames = -1] = openAll();
  const index = native.interfaceIndex('abuse0');
  const payload = new Uint8Array(24);
  const linkLocal = Buffer.from('fe800000000000000000000000000008', 'hex');
  const allNodes = Buffer.from('ff020000000000000000000000000001', 'hex');
  // A netlink message that asks for nothing: NLMSG_NOOP.
  const noop = Uint8Array.from([16, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(native.send(ipv4, payload, group, none, 0), 24);
  assert.equal(native.send(ipv4, payload, group, Uint8Array.of(192, 0, 2, 8), index), 24);
  assert.equal(native.send(ipv6, payload, allNodes, linkLocal, index), 24);
  assert.equal(native.send(ipv6, payload, linkLocal, none, index), 24);
  assert.equal(native.send(netlink, noop, none, none, 0), 16);
  assert.equal(native.sendFrames(frames, new Array<Uint8Array>(70).fill(new Uint8Array(14))), 70);
  assert.equal(native.joinGroup(ipv6, 6, allNodes, index), 0);
  assert.equal(native.leaveGroup(ipv6, 6, allNodes, index), 0);
  assert.equal(native.netlinkJoin(netlink, 1), 0);
  for (const fd of [netlink, ipv4, ipv6, frames]) assert.equal(native.dropped(fd), 0);
  closeAll();
}

/** Datagrams of any size into slabs of any shape: what is read must be what was sent, as far as the slot reaches. */
function receiveIntoTightSlots(): void {
  const frames = native.openFrames(native.interfaceIndex('abuse1'));
  const fd = native.openRaw(4, 112, 'abuse0', 1 << 20);
  native.attachFilter(fd, advertisementFilter({ family: 'ipv4', vrids: [] }).reject);
  native.joinGroup(fd, 4, group, native.interfaceIndex('abuse0'));
  const slab = fc.record({
    slotBytes: fc.integer({ min: slot.data + 1, max: slot.data + 90 }),
    slack: fc.integer({ min: 0, max: 60 }),
    count: fc.integer({ min: 0, max: 70 }),
    start: fc.integer({ min: 0, max: 7 }),
  });
  const payloads = fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 1, maxLength: 80 });
  const words = fc.integer({ min: 0, max: 10 });
  fc.assert(
    fc.property(payloads, slab, words, (payloads, { slotBytes, slack, count, start }, words) => {
      const packet = {
        family: 'ipv4',
        source: '198.51.100.1',
        destination: '224.0.0.18',
        hopLimit: 7,
      } as const;
      const options = new Uint8Array(4 * words).fill(1);
      native.sendFrames(
        frames,
        payloads.map((payload) => ethernetFrame({ ...packet, options, payload })),
      );
      const room = new Uint8Array(start + count * slotBytes + slack).subarray(start);
      const view = new DataView(room.buffer, room.byteOffset, room.length);
      const length = (index: number): number => view.getUint32(index * slotBytes + slot.length, true);
      if (room.length < slotBytes) {
        assert.equal(native.errnoName(-native.receive(fd, room, slotBytes)), 'EINVAL');
        const trash = new Uint8Array(80 * 64);
        while (native.receive(fd, trash, 64) > 0);
        return;
      }
      for (let next = 0; next < payloads.length;) {
        const got = native.receive(fd, room, slotBytes);
        assert(got > 0 && got <= Math.min(64, Math.floor(room.length / slotBytes)), `got ${got}`);
        for (let index = 0; index < got; index += 1, next += 1) {
          const sent = payloads[next] ?? new Uint8Array();
          // Options have to pass through the slot before they are left out.
          const expected = Math.min(sent.length, Math.max(0, slotBytes - slot.data - options.length));
          const data = index * slotBytes + slot.data;
          assert.equal(length(index), expected);
          assert.deepEqual(room.subarray(data, data + expected), sent.subarray(0, expected));
          assert.equal(view.getInt32(index * slotBytes + slot.hopLimit, true), 7);
        }
      }
    }),
    { numRuns: Math.ceil(runs / 20) },
  );
  native.close(fd);
  native.close(frames);
}

/** Watches that are ended from within, by callbacks that throw, close themselves or each other. */
async function watchAndClose(): Promise<void> {
  let thrown = 0;
  const onThrown = (): void => void (thrown += 1);
  process.on('uncaughtException', onThrown);
  for (let round = 0; round < Math.ceil(runs / 100); round += 1) {
    const fds = [native.openTimer(), native.openTimer(), native.openTimer()];
    await new Promise<void>((resolve) => {
      for (const [index, fd] of fds.entries()) {
        native.watch(fd, () => {
          if (index === round % 3) for (const other of fds) native.close(other);
          else native.unwatch(fd);
          setImmediate(resolve);
          throw new Error('thrown in a watch');
        });
        native.armTimer(fd, 0);
      }
    });
    for (const fd of fds) native.close(fd);
  }
  process.off('uncaughtException', onThrown);
  assert(thrown > 0);
}

/** More notifications than the buffer holds: ENOBUFS reaches the callback, and the watch goes on. */
async function overrunNetlink(): Promise<void> {
  const fd = native.openNetlink(0, 1);
  assert.equal(native.netlinkJoin(fd, 5), 0); // RTNLGRP_IPV4_IFADDR
  const address = (verb: string): string[] => ['address', verb, '192.0.2.9/32', 'dev', 'abuse0'];
  for (let count = 0; count < 20; count += 1)
    for (const verb of ['add', 'delete']) execFileSync('ip', address(verb));
  const slab = new Uint8Array(64 * 1024);
  const errors: number[] = [];
  await new Promise<void>((resolve) => {
    native.watch(fd, (errno) => {
      if (errno !== 0) errors.push(errno);
      while (native.receive(fd, slab, 1024) > 0);
      // Something new after the overrun.
      if (errors.length === 1 && errno !== 0) execFileSync('ip', address('add'));
      else if (errors.length > 0) resolve();
    });
  });
  assert.deepEqual(errors.map(native.errnoName), ['ENOBUFS']);
  native.close(fd);
}

async function terminateWorkers(): Promise<void> {
  for (let round = 0; round < Math.ceil(runs / 1000); round += 1) {
    const worker = new Worker(new URL('./worker.js', import.meta.url));
    await once(worker, 'message');
    await worker.terminate();
  }
}

execFileSync('ip', 'link add abuse0 type veth peer name abuse1'.split(' '));
for (const name of ['lo', 'abuse0', 'abuse1']) execFileSync('ip', ['link', 'set', name, 'up']);
execFileSync('ip', 'address add 192.0.2.8/24 dev abuse0'.split(' '));
execFileSync('ip', 'address add fe80::8/64 dev abuse0 nodad'.split(' '));
rightCalls();
receiveIntoTightSlots();
await watchAndClose();
await overrunNetlink();
await terminateWorkers();
callHostilely();
openPipesHostilely();
// Left open on purpose, watched and not: the end of the process finds them.
const [left = -1] = openAll();
native.watch(left, () => process.stdout.write('survived\n', () => native.close(left)));
native.armTimer(left, native.now() + 10);
