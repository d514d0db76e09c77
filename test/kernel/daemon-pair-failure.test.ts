import type { Test } from 'tap';
import { type FirewallName, macOf, Pair, patienceMs, priorities, sourceOf } from './pair.ts';
import { rootTest } from './root.ts';
import { adverts, announcements, edgeAddresses, masterDownMs, median } from './stage.ts';

/** One of a pair fails: its process is killed, or stands still. */

const intervalMs = 100;
const interval = '100ms';
const sides = ['lan', 'wan'] as const;
const families = ['ipv4', 'ipv6'] as const;

rootTest(
  'election: both start, the higher priority is master, on every link and in both families',
  async (t) => {
    await using pair = await Pair.start({ interval });
    await pair.settles('fw1');
    const [one, two] = [await pair.fw1.group('edge'), await pair.fw2.group('edge')];
    for (const { routers } of one.instances) {
      for (const { addresses } of routers)
        for (const { address, present } of addresses) t.ok(present, `fw1 holds ${address}`);
    }
    for (const { name, routers } of two.instances) {
      for (const { family, master, addresses } of routers) {
        t.equal(master?.priority, priorities.fw1, `fw2 knows the master on ${name} in ${family}`);
        for (const { address, present } of addresses) t.notOk(present, `fw2 does not hold ${address}`);
      }
    }
    t.strictSame([...one.alarms, ...two.alarms], [], 'nobody is alarmed');
    await pair.hears('fw1', 10);
    t.strictSame(pair.adverts('fw2'), [], 'the backup has not said a word');
  },
);

/** From the old master's last word, on whichever wire, to the new one's first on each of them: at its worst, in master-down
 *  intervals. */
function takeover(pair: Pair, since: number): number {
  const of = (name: FirewallName, after: number): number[] =>
    sides
      .flatMap((side) =>
        families.map((family) => {
          const matching = { family, ethernetSource: macOf(name, side) };
          return adverts(pair.captures[side], matching).filter(({ at }) => at > after);
        }),
      )
      .map((all) => (name === 'fw1' ? all.at(-1) : all[0])?.at ?? NaN);
  const last = Math.max(...of('fw1', since));
  const first = Math.max(...of('fw2', last));
  return (first - last) / masterDownMs(priorities.fw2, intervalMs);
}

/** From the new master's first word to its first announcement of an address, at its worst, in ms. */
function announcedAfter(pair: Pair, since: number): number {
  const delays = sides.flatMap((side) =>
    edgeAddresses[side].map((address) => {
      const mac = macOf('fw2', side);
      const first = adverts(pair.captures[side], { ethernetSource: mac }).find(({ at }) => at > since);
      const announcement = announcements(pair.captures[side], address).find(
        ({ at }) => at > (first?.at ?? Infinity),
      );
      return (announcement?.at ?? NaN) - (first?.at ?? NaN);
    }),
  );
  return Math.max(...delays);
}

rootTest('V3-33: the master is killed: taken over after the master-down interval', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  const ratios: number[] = [];
  const delays: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const since = Date.now();
    await pair.hears('fw1', 2);
    await pair.fw1.crash();
    await pair.fw2.reaches('edge', 'master', patienceMs);
    await pair.hears('fw2', 2);
    ratios.push(takeover(pair, since));
    delays.push(announcedAfter(pair, since));
    await pair.fw1.start();
    await pair.settles('fw1');
  }
  const shown = (values: readonly number[]): string => values.map((value) => value.toFixed(3)).join(', ');
  const ratio = median(ratios);
  t.ok(
    ratio > 0.99 && ratio <= 1.03,
    `after ${ratio.toFixed(4)} of it (each time at its worst: ${shown(ratios)})`,
  );
  const delay = median(delays);
  t.ok(delay > 0 && delay < intervalMs / 10, `announced ${delay.toFixed(2)} ms later (${shown(delays)})`);
  const { reason, reason_text: text } = await pair.fw1.group('edge');
  t.equal(reason, 'preempted', 'the one that came back took over again');
  t.match(text, sourceOf('fw2', 'lan').slice(0, 3), text);
});

/** The master stands still for longer than its backup waits. */
async function freezeMaster(t: Test, pair: Pair): Promise<number> {
  await pair.settles('fw1');
  pair.fw1.kill('SIGSTOP');
  await pair.fw2.reaches('edge', 'master', patienceMs);
  await pair.hears('fw2', 3);
  const spoken = pair.adverts('fw1').length;
  pair.fw1.kill('SIGCONT');
  const { at, text } = await pair.fw1.events.next(({ reason }) => reason === 'late_loop', {
    withinMs: patienceMs,
  });
  t.match(text, /did not run for \d+ ms: others may have taken over, listening first/, text);
  t.equal(
    pair.adverts('fw1').slice(spoken)[0]?.at ?? Infinity,
    Infinity,
    'it has not spoken before it looked',
  );
  t.notOk(await pair.network.host('fw1').has(edgeAddresses.lan[0], 'lan'), 'it has let go of its addresses');
  return Date.parse(at);
}

rootTest('a master that stood still listens first, and stays backup if it does not preempt', async (t) => {
  await using pair = await Pair.start({ interval }, { fw1: { preempt: false } });
  const wokeAt = await freezeMaster(t, pair);
  await pair.hears('fw2', 10);
  t.strictSame(
    pair.adverts('fw1').filter(({ at }) => at > wokeAt),
    [],
    'not a word from it while the other one is master',
  );
  await pair.settles('fw2');
});

rootTest('a master that stood still listens first, and then preempts as any other backup', async (t) => {
  await using pair = await Pair.start({ interval });
  const wokeAt = await freezeMaster(t, pair);
  await pair.settles('fw1');
  await pair.hears('fw1', 5);
  const [first] = pair.adverts('fw1').filter(({ at }) => at > wokeAt);
  const listened = ((first?.at ?? NaN) - wokeAt) / intervalMs;
  t.ok(listened >= 1, `it has listened for ${listened.toFixed(2)} intervals`);
  const beside = pair.adverts('fw2').filter(({ at }) => at > (first?.at ?? NaN) + intervalMs / 2);
  t.strictSame(beside, [], 'the other one has yielded at once');
});

rootTest('a backup that stood still does not take over from a master that is alive', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  pair.fw2.kill('SIGSTOP');
  await pair.hears('fw1', 10);
  pair.fw2.kill('SIGCONT');
  await pair.hears('fw1', 10);
  t.strictSame(pair.adverts('fw2'), [], 'it has not said a word');
  t.equal((await pair.fw2.group('edge')).transitions, 1, 'it has been backup all the time');
  t.equal((await pair.fw1.group('edge')).transitions, 2, 'and the master was not disturbed');
});
