import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { type Native, loadNative, slot, succeed } from '../../src/net/native.ts';

const native = loadNative();
const { EBADF, EBUSY, EINVAL, ENODEV, ENOENT } = constants.errno;
const bytes = (length: number): Uint8Array => new Uint8Array(length);

function findRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

/** What scripts/native-digest.sh prints, counted here once more. */
function digestOfSources(): string {
  const directory = join(findRoot(), 'native');
  const sources = readdirSync(directory).sort();
  const names = ['.c', '.h'].flatMap((suffix) => sources.filter((name) => name.endsWith(suffix)));
  const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
  const lines = [...names, 'binding.gyp'].map(
    (name) => `${sha256(readFileSync(join(directory, name)))}  ${name}\n`,
  );
  return sha256(lines.join(''));
}

t.test('the addon in use, and the prebuilt one, were made from the sources in this tree', (t) => {
  t.equal(native.sourceDigest, digestOfSources(), 'run scripts/build-native.sh');
  const prebuilt = join(findRoot(), 'prebuilds', `linux-${process.arch}-glibc`, 'havrrp.node');
  if (existsSync(prebuilt)) {
    const addon = createRequire(import.meta.url)(prebuilt) as Native;
    t.equal(addon.sourceDigest, digestOfSources(), 'run scripts/prebuild.sh');
  } else {
    t.not(process.arch, 'x64', `${prebuilt} is missing: run scripts/prebuild.sh`);
  }
  t.end();
});

/** The compiled loader in a package of its own. */
async function loaderIn(root: string): Promise<() => Native> {
  for (const file of ['net/native.js', 'errors.js']) {
    const target = join(root, 'out', 'src', file);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(fileURLToPath(new URL(`../../src/${file}`, import.meta.url)), target);
  }
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  const module: unknown = await import(pathToFileURL(join(root, 'out/src/net/native.js')).href);
  return (module as { loadNative: () => Native }).loadNative;
}

t.test('without an addon: what was tried and what to do', async (t) => {
  const root = t.testdir({
    native: { build: { Release: { 'havrrp.node': 'not a library' } } },
    prebuilds: {},
  });
  const load = await loaderIn(root);
  t.throws(load, {
    message: new RegExp(
      `^havrrp has no native addon for linux-${process.arch}, Node v.*: ` +
        `${root}/native/build/Release/havrrp.node: .*; ${root}/prebuilds/.*-glibc/havrrp.node: not there; .*-musl.*; ` +
        `build it with scripts/build-native.sh`,
    ),
  });
});

t.test('a build that does not load gives way to the prebuilt addon', async (t) => {
  const built = join(findRoot(), 'native/build/Release/havrrp.node');
  const prebuilt = join(findRoot(), `prebuilds/linux-${process.arch}-glibc/havrrp.node`);
  const root = t.testdir({
    native: { build: { Release: { 'havrrp.node': 'not a library' } } },
    prebuilds: {
      [`linux-${process.arch}-glibc`]: { 'havrrp.node': readFileSync(existsSync(built) ? built : prebuilt) },
    },
  });
  const load = await loaderIn(root);
  t.equal(load().sourceDigest, native.sourceDigest);
});

t.test('errno has names', (t) => {
  for (const [name, errno] of Object.entries(constants.errno)) {
    const aliases = { EWOULDBLOCK: 'EAGAIN', ENOTSUP: 'EOPNOTSUPP', EDEADLOCK: 'EDEADLK' };
    t.equal(native.errnoName(errno), aliases[name as keyof typeof aliases] ?? name);
  }
  t.equal(native.errnoName(4711), 'E4711');
  t.equal(native.errnoName(-1), 'E?');
  t.throws(() => succeed(native, -ENODEV, 'send to 224.0.0.18', 'eth0'), {
    name: 'KernelError',
    message: 'send to 224.0.0.18 eth0: ENODEV',
    errno: ENODEV,
  });
  t.equal(succeed(native, 3, 'open', 'x'), 3);
  t.end();
});

t.test('now() is the clock of process.hrtime', (t) => {
  const before = Number(process.hrtime.bigint()) / 1e6;
  const now = native.now();
  t.ok(now >= before && now <= Number(process.hrtime.bigint()) / 1e6);
  t.end();
});

t.test('wrong arguments are refused, each with its errno', (t) => {
  const timer = native.openTimer();
  const netlink = native.openNetlink(0, 65536);
  t.teardown(() => [timer, netlink].forEach((fd) => native.close(fd)));
  const slab = bytes(4096);
  const none = bytes(0);
  const wrong = (value: unknown): never => value as never;
  const cases: readonly [name: string, result: number, errno: number][] = [
    ['interface: no such', native.interfaceIndex('no-such-thing'), ENODEV],
    ['interface: empty', native.interfaceIndex(''), EINVAL],
    ['interface: 16 octets', native.interfaceIndex('x'.repeat(16)), EINVAL],
    ['interface: NUL inside', native.interfaceIndex('lo\0x'), EINVAL],
    ['interface: number', native.interfaceIndex(wrong(1)), EINVAL],
    ['openRaw: family', native.openRaw(wrong(5), 112, 'lo', 65536), EINVAL],
    ['openRaw: protocol', native.openRaw(4, 256, 'lo', 65536), EINVAL],
    ['openRaw: device', native.openRaw(4, 112, wrong(undefined), 65536), EINVAL],
    ['openRaw: buffer', native.openRaw(4, 112, 'lo', -1), EINVAL],
    ['openFrames: 0', native.openFrames(0), EINVAL],
    ['openFrames: fraction', native.openFrames(1.5), EINVAL],
    ['openNetlink: protocol', native.openNetlink(-1, 65536), EINVAL],
    ['openNetlink: NaN', native.openNetlink(0, Number.NaN), EINVAL],
    ['netlinkJoin: timer', native.netlinkJoin(timer, 1), EINVAL],
    ['netlinkJoin: group 0', native.netlinkJoin(netlink, 0), EINVAL],
    ['joinGroup: netlink', native.joinGroup(netlink, 4, bytes(4), 1), EINVAL],
    ['leaveGroup: closed', native.leaveGroup(-1, 4, bytes(4), 1), EBADF],
    ['armTimer: NaN', native.armTimer(timer, Number.NaN), EINVAL],
    ['armTimer: infinite', native.armTimer(timer, Infinity), EINVAL],
    ['armTimer: text', native.armTimer(timer, wrong('1')), EINVAL],
    ['armTimer: netlink', native.armTimer(netlink, 1), EINVAL],
    ['readTimer: netlink', native.readTimer(netlink), EINVAL],
    ['attachFilter: empty', native.attachFilter(netlink, none), EINVAL],
    ['attachFilter: 12 octets', native.attachFilter(netlink, bytes(12)), EINVAL],
    ['attachFilter: 4097 instructions', native.attachFilter(netlink, bytes(8 * 4097)), EINVAL],
    ['attachFilter: the kernel refuses', native.attachFilter(netlink, bytes(8)), EINVAL],
    ['watch: no function', native.watch(netlink, wrong({})), EINVAL],
    ['watch: standard output', native.watch(1, () => undefined), EBADF],
    ['unwatch: standard output', native.unwatch(1), EBADF],
    ['close: standard output', native.close(1), EBADF],
    ['close: 2^32', native.close(2 ** 32), EBADF],
    ['receive: timer', native.receive(timer, slab, 128), constants.errno.ENOTSOCK],
    ['receive: no room for data', native.receive(netlink, slab, slot.data), EINVAL],
    ['receive: slab below a slot', native.receive(netlink, slab, 4097), EINVAL],
    ['receive: other array', native.receive(netlink, wrong(new Uint16Array(4096)), 128), EINVAL],
    ['receive: detached', native.receive(netlink, detached(), 128), EINVAL],
    ['send: timer', native.send(timer, bytes(4), none, none, 0), EINVAL],
    ['send: address for netlink', native.send(netlink, bytes(16), bytes(4), none, 0), EINVAL],
    ['send: 65536 octets', native.send(netlink, bytes(65536), none, none, 0), EINVAL],
    ['sendFrames: netlink', native.sendFrames(netlink, [bytes(60)]), EINVAL],
    ['sendFrames: no array', native.sendFrames(netlink, wrong(bytes(60))), EINVAL],
    ['dropped: timer', native.dropped(timer), constants.errno.ENOTSOCK],
    ['sdNotify: relative', native.sdNotify('run/x', 'READY=1'), EINVAL],
    ['sdNotify: long path', native.sdNotify(`/${'x'.repeat(108)}`, 'READY=1'), EINVAL],
    ['sdNotify: long message', native.sdNotify('/nowhere', 'x'.repeat(4097)), EINVAL],
    ['sdNotify: nobody there', native.sdNotify('/nowhere/at/all', 'READY=1'), ENOENT],
  ];
  for (const [name, result, errno] of cases)
    t.equal(native.errnoName(-result), native.errnoName(errno), name);
  t.end();
});

function detached(): Uint8Array {
  const buffer = new ArrayBuffer(4096);
  const array = new Uint8Array(buffer);
  structuredClone(buffer, { transfer: [buffer] });
  return array;
}

t.test('a descriptor closed is a descriptor unknown', (t) => {
  const fd = native.openTimer();
  t.equal(native.close(fd), 0);
  t.equal(native.close(fd), -EBADF);
  t.equal(native.armTimer(fd, 1), -EBADF);
  t.equal(
    native.watch(fd, () => undefined),
    -EBADF,
  );
  t.end();
});

t.test('watch: one at a time, again after unwatch, the descriptor may be reused at once', async (t) => {
  const fd = native.openTimer();
  native.watch(fd, () => t.fail('unwatched'));
  t.equal(
    native.watch(fd, () => undefined),
    -EBUSY,
  );
  native.armTimer(fd, 0);
  native.unwatch(fd);
  native.close(fd);
  const again = native.openTimer();
  t.equal(again, fd);
  const errno = await new Promise((resolve) => {
    native.watch(again, resolve);
    native.armTimer(again, 0);
  });
  t.equal(errno, 0);
  t.equal(native.readTimer(again), 1);
  t.equal(native.readTimer(again), 0);
  native.close(again);
});

t.test('watch: what the callback throws is an uncaught exception, and the watch goes on', async (t) => {
  const fd = native.openTimer();
  const thrown = new Error('thrown in a watch');
  let calls = 0;
  const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
  await new Promise<void>((resolve) => {
    native.watch(fd, () => {
      calls += 1;
      if (calls === 1) throw thrown;
      native.close(fd);
      resolve();
    });
    native.armTimer(fd, 0);
  });
  t.equal(await caught, thrown);
  t.equal(calls, 2, 'the timer had not been read, so it was still readable');
});

t.test('watch: promises and ticks of a callback run before the loop goes on', async (t) => {
  const fd = native.openTimer();
  const order = await new Promise<string[]>((resolve) => {
    const seen: string[] = [];
    setImmediate(() => setImmediate(() => undefined));
    native.watch(fd, () => {
      native.close(fd);
      setImmediate(() => resolve([...seen, 'immediate']));
      void Promise.resolve().then(() => seen.push('promise'));
      process.nextTick(() => seen.push('tick'));
    });
    native.armTimer(fd, 0);
  });
  t.same(order, ['tick', 'promise', 'immediate']);
});

/** The timers this process has open, whichever thread opened them. */
function timersOpen(): number[] {
  return readdirSync('/proc/self/fd')
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).includes('timerfd');
      } catch {
        return false; // was closed while we looked
      }
    })
    .map(Number);
}

t.test('threads that are terminated in the middle of it leave nothing open', async (t) => {
  const before = timersOpen();
  for (let round = 0; round < 5; round += 1) {
    const workers = [1, 2].map(() => new Worker(new URL('../native/worker.js', import.meta.url)));
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    const foreign = timersOpen().filter((fd) => !before.includes(fd));
    t.ok(foreign.length >= 8);
    for (const fd of foreign) t.equal(native.close(fd), -EBADF, 'what another thread opened is not ours');
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  t.same(timersOpen(), before);
});

t.test('openPipe: two ends that are not ours any more; room for two numbers, and nothing else', async (t) => {
  const ends = bytes(8);
  t.equal(native.openPipe(ends), 0);
  const view = new DataView(ends.buffer);
  const [reading, writing] = [view.getInt32(0, true), view.getInt32(4, true)];
  writeSync(writing, 'through the pipe');
  closeSync(writing);
  t.equal(readFileSync(reading, 'utf8'), 'through the pipe');
  t.equal(native.close(reading), -EBADF, "closing it is not the addon's part");
  closeSync(reading);
  for (const room of [bytes(7), bytes(9), new Uint16Array(4), undefined]) {
    t.equal(native.openPipe(room as Uint8Array), -EINVAL);
  }
});

t.test('sdNotify: a path, and a name in the abstract name space', async (t) => {
  // Node has no datagram sockets of this family, so the text arrives at nobody; that it was sent is all we see.
  t.equal(native.sdNotify('@havrrp-test-nobody', 'READY=1'), -constants.errno.ECONNREFUSED);
  t.end();
});
