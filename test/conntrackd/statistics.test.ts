import fc from 'fast-check';
import t from 'tap';
import {
  type Mode,
  parseCache,
  parseNetwork,
  parseQueue,
  parseRuntime,
  parseStatistics,
} from '../../src/conntrackd/statistics.ts';
import * as samples from './samples.ts';

t.test('-s with an external cache', async (t) => {
  t.strictSame(parseStatistics(samples.externalCache), {
    mode: 'external-cache',
    internal: {
      current: 7,
      created: 12,
      createFailed: 1,
      updated: 2,
      updateFailed: 3,
      destroyed: 5,
      destroyFailed: 4,
    },
    external: {
      current: 10_000,
      created: 20_005,
      createFailed: 0,
      updated: 0,
      updateFailed: 0,
      destroyed: 10_005,
      destroyFailed: 0,
    },
    link: {
      device: 'sync0',
      bytesSent: 4032,
      bytesReceived: 4864,
      packetsSent: 104,
      packetsReceived: 105,
      sendErrors: 6,
      receiveErrors: 8,
    },
    malformedMessages: 9,
    lostMessages: 11,
  });
});

t.test('-s with injection: how many there are is not known, which is not 0', async (t) => {
  const { mode, internal, external, link } = parseStatistics(samples.injection);
  t.equal(mode, 'injection');
  t.equal(internal?.current, 10);
  t.equal(external?.current, undefined);
  t.match(external, { created: 20, updated: 10 });
  t.match(link, { device: 'eth2', packetsReceived: 3 });
});

t.test('-s in statistics mode: no cache of either kind', async (t) => {
  t.match(parseStatistics(samples.statisticsMode), {
    mode: 'statistics',
    internal: undefined,
    external: undefined,
    link: undefined,
    lostMessages: undefined,
  });
});

t.test('the mode by its heading alone', async (t) => {
  const modes: readonly (readonly [string, Mode])[] = [
    ['', 'unknown'],
    ['conntrackd: nobody of that name\n', 'unknown'],
    ['cache internal:\n', 'unknown'],
    ['cache external:\n', 'external-cache'],
    ['external inject:\n', 'injection'],
    ['cache stats:\n', 'statistics'],
  ];
  for (const [text, mode] of modes) t.equal(parseStatistics(text).mode, mode, JSON.stringify(text));
});

t.test('a label of another block is not taken for one that is missing', async (t) => {
  const text = samples.externalCache.replace(/cache external:\n.*\n/, 'cache external:\n');
  t.equal(parseStatistics(text).external?.current, undefined);
  t.equal(parseStatistics(text).internal?.current, 7);
});

t.test('-s network: received and sent apart', async (t) => {
  const parsed = parseNetwork(samples.network);
  t.equal(parsed.received.get('Malformed messages'), 1);
  t.equal(parsed.received.get('Wrong protocol version'), 2);
  t.equal(parsed.sent.get('Malformed messages'), 3);
  t.match(parsed, { packetsLost: 97, packetsBefore: 4, link: { packetsReceived: 105 } });
  t.equal(parseNetwork('').packetsLost, undefined);
});

t.test('-s cache', async (t) => {
  t.strictSame(parseCache(samples.cache), [
    { name: 'internal', active: 10, total: 12, createFailed: 0, noSpaceLeft: 0 },
    { name: 'external', active: 50_000, total: 50_000, createFailed: 50_001, noSpaceLeft: 50_001 },
  ]);
  t.strictSame(parseCache(samples.injection), []);
});

t.test('-s queue, in whatever order', async (t) => {
  const queues = parseQueue(samples.queue);
  t.strictSame([...queues.keys()], ['txqueue', 'errorq', 'rsqueue']);
  t.strictSame(queues.get('rsqueue'), { current: 1, maximum: 131_072, notEnoughSpace: 68_929 });
});

t.test('-s runtime', async (t) => {
  const numbers = parseRuntime(samples.runtime);
  t.equal(numbers.get('netlink overrun'), 1);
  t.equal(numbers.get('local unknown request'), 2);
  t.equal(numbers.get('current buffer size (in bytes)'), 8_388_608);
});

t.test('whatever the text, nothing is thrown and every number is one', async (t) => {
  const words = Object.values(samples).flatMap((text) => text.split(/(?<=\n)|(?<=:)/));
  const shuffled = fc
    .array(fc.oneof(fc.constantFrom(...words), fc.string()), { maxLength: 40 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(shuffled, (text) => {
      const numbers = JSON.stringify([
        parseStatistics(text),
        [...parseNetwork(text).received],
        parseCache(text),
        [...parseQueue(text)],
        [...parseRuntime(text)],
      ]);
      // What is no number becomes null here.
      return !numbers.includes('null');
    }),
  );
  t.pass();
});
