/** A thread that holds whatever can be held open when it is terminated: watched descriptors whose events are on the way,
 *  one closed a moment ago, one never watched. Says `busy` once its timers fire. */
import { parentPort } from 'node:worker_threads';
import { loadNative } from '../../src/net/native.ts';

const native = loadNative();
let fired = 0;

for (let count = 0; count < 3; count += 1) {
  const fd = native.openTimer();
  native.watch(fd, () => {
    native.readTimer(fd);
    // Again at once: the thread is never idle when it ends.
    native.armTimer(fd, 0);
    const closed = native.openTimer();
    native.watch(closed, () => undefined);
    native.close(closed);
    fired += 1;
    if (fired === 10) parentPort?.postMessage('busy');
  });
  native.armTimer(fd, 0);
}
native.openTimer();
