import type { Test } from 'tap';
import type { Advert } from '../bench/capture.ts';
import { judge } from '../bench/tshark.ts';
import {
  checkMaster,
  families,
  type Family,
  intervalMs,
  type MixedPair,
  mixedTest,
  patienceMs,
} from './mixed-pair.ts';
import { eventually, masterDownMs, skewMs } from '../kernel/stage.ts';

/** A pair of havrrp and keepalived 2.2.7, neither with any special option: VRRPv3 over IPv4, where keepalived sends and takes
 *  the checksum with a pseudo-header only, and over IPv6. */

type Who = 'havrrp' | 'keepalived';

const high = { priority: 150 };
const low = { priority: 100 };

/** From the last word of the one that went to the first of the one that came, in both families, at the worst. */
function silence(pair: MixedPair, gone: Who, heir: Who): number {
  return Math.max(
    ...families.map((family) => {
      const last = pair.adverts(gone, family).at(-1)?.at ?? NaN;
      return (pair.adverts(heir, family).find(({ at }) => at > last)?.at ?? NaN) - last;
    }),
  );
}

/** How long both said that they are master, in ms: from the newcomer's first word to the last of the one that yields, or to
 *  what makes it yield.
 *  @param since when the newcomer was started */
function coexistence(pair: MixedPair, family: Family, newcomer: Who, loser: Who, since: number): number {
  const after = (who: Who, at: number): readonly Advert[] =>
    pair.adverts(who, family).filter((advert) => advert.at > at);
  const [first] = after(newcomer, since);
  if (first === undefined) return 0;
  const last = after(loser, since).at(-1)?.at ?? first.at;
  const answer =
    newcomer === loser
      ? (after(newcomer === 'havrrp' ? 'keepalived' : 'havrrp', first.at)[0]?.at ?? NaN)
      : first.at;
  return Math.max(last, answer) - first.at;
}

function checkCoexistence(t: Test, pair: MixedPair, newcomer: Who, loser: Who, since: number): void {
  for (const family of families) {
    const lasted = coexistence(pair, family, newcomer, loser, since);
    t.ok(
      lasted < masterDownMs(low.priority, intervalMs),
      `${family}: two masters for ${lasted.toFixed(1)} ms`,
    );
  }
}

mixedTest('havrrp higher, started second', { havrrp: high, keepalived: low }, async (t, pair) => {
  await pair.startKeepalived();
  await pair.keepalivedIs('MASTER');
  await pair.hears('keepalived', 3);
  const since = Date.now();
  await pair.havrrp.start();
  await checkMaster(t, pair, 'havrrp');
  checkCoexistence(t, pair, 'havrrp', 'keepalived', since);
  const { alarms, instances } = await pair.havrrp.group('edge');
  t.strictSame(alarms, [], 'nothing to complain about');
  t.strictSame(
    instances[0]?.routers.map(({ checksum }) => checksum),
    [{ sent: 'pseudo_header', heard: 'pseudo_header' }, null],
    'it has learned the checksum',
  );
});

mixedTest('havrrp higher, started first', { havrrp: high, keepalived: low }, async (t, pair) => {
  await pair.havrrp.start();
  await pair.havrrpIs('master');
  const since = Date.now();
  await pair.startKeepalived();
  // keepalived refuses the checksum of RFC 9568, so it takes over; by that havrrp learns to speak to it.
  await pair.keepalived.reaches('ipv4', 'MASTER', patienceMs);
  await checkMaster(t, pair, 'havrrp');
  checkCoexistence(t, pair, 'keepalived', 'keepalived', since);
  t.equal((await pair.havrrp.group('edge')).transitions, 2, 'havrrp was master all the time');
  t.equal(pair.adverts('keepalived', 'ipv6').length, 0, 'over IPv6 keepalived had no reason to speak');
});

mixedTest('keepalived higher, started second', { havrrp: low, keepalived: high }, async (t, pair) => {
  await pair.havrrp.start();
  await pair.havrrpIs('master');
  const since = Date.now();
  await pair.startKeepalived();
  await checkMaster(t, pair, 'keepalived');
  checkCoexistence(t, pair, 'keepalived', 'havrrp', since);
});

mixedTest('keepalived higher, started first', { havrrp: low, keepalived: high }, async (t, pair) => {
  await pair.startKeepalived();
  await pair.keepalivedIs('MASTER');
  await pair.havrrp.start();
  await checkMaster(t, pair, 'keepalived');
  t.equal(pair.adverts('havrrp', 'ipv4').length, 0, 'havrrp has never spoken');
  t.strictSame((await pair.havrrp.group('edge')).alarms, [], 'nothing to complain about');
});

mixedTest(
  'havrrp goes: killed, stopped, demoted, and comes back',
  { havrrp: high, keepalived: low },
  async (t, pair) => {
    await pair.startKeepalived();
    await pair.keepalivedIs('MASTER');
    await pair.havrrp.start();
    await pair.settles('havrrp');

    await pair.havrrp.crash();
    await pair.keepalivedIs('MASTER');
    await pair.hears('keepalived', 1);
    const killed = silence(pair, 'havrrp', 'keepalived') / masterDownMs(low.priority, intervalMs);
    t.ok(killed < 1.2, `killed: keepalived took over after ${killed.toFixed(3)} master-down intervals`);
    await pair.havrrp.start();
    await pair.settles('havrrp');

    t.equal((await pair.havrrp.stop()).code, 0, 'stopped');
    await pair.keepalivedIs('MASTER');
    await pair.hears('keepalived', 1);
    const stopped = silence(pair, 'havrrp', 'keepalived') / skewMs(low.priority, intervalMs);
    t.ok(stopped < 2, `stopped: keepalived took over after ${stopped.toFixed(3)} skew times`);
    await pair.havrrp.start();
    await pair.settles('havrrp');

    const { code, stdout } = await pair.havrrp.cli(['demote', 'edge']);
    t.equal(code, 0, `demoted: ${stdout.trim()}`);
    await checkMaster(t, pair, 'keepalived');
    await pair.havrrp.cli(['promote', 'edge']);
    await checkMaster(t, pair, 'havrrp');
  },
);

mixedTest(
  'keepalived goes: killed, stopped, and comes back',
  { havrrp: low, keepalived: high },
  async (t, pair) => {
    await pair.startKeepalived();
    await pair.keepalivedIs('MASTER');
    await pair.havrrp.start();
    await pair.settles('keepalived');

    await pair.keepalived.stop();
    await pair.havrrpIs('master');
    await pair.hears('havrrp', 1);
    const stopped = silence(pair, 'keepalived', 'havrrp') / skewMs(low.priority, intervalMs);
    t.ok(stopped < 2, `stopped: havrrp took over after ${stopped.toFixed(3)} skew times`);
    t.equal((await pair.havrrp.group('edge')).reason, 'master_left', 'it was told');
    await pair.startKeepalived();
    await checkMaster(t, pair, 'keepalived');

    await pair.keepalived.crash();
    await pair.havrrpIs('master');
    await pair.hears('havrrp', 1);
    const killed = silence(pair, 'keepalived', 'havrrp') / masterDownMs(low.priority, intervalMs);
    t.ok(
      killed > 0.99 && killed < 1.2,
      `killed: havrrp took over after ${killed.toFixed(3)} master-down intervals`,
    );
  },
);

mixedTest(
  'havrrp does not preempt',
  { havrrp: { ...high, preempt: false }, keepalived: low },
  async (t, pair) => {
    await pair.startKeepalived();
    await pair.keepalivedIs('MASTER');
    await pair.havrrp.start();
    await checkMaster(t, pair, 'keepalived');
    t.equal(pair.adverts('havrrp', 'ipv4').length, 0, 'it has never spoken');
  },
);

mixedTest(
  'keepalived does not preempt',
  { havrrp: low, keepalived: { ...high, lines: ['nopreempt', 'state BACKUP'] } },
  async (t, pair) => {
    await pair.startKeepalived();
    await pair.keepalivedIs('MASTER');
    await pair.havrrp.start();
    await pair.settles('keepalived');
    await pair.keepalived.stop();
    await pair.havrrpIs('master');
    await pair.startKeepalived();
    await checkMaster(t, pair, 'havrrp');
  },
);

for (const [havrrpOn, winner] of [
  ['fw1', 'keepalived'],
  ['fw2', 'havrrp'],
] as const) {
  mixedTest(
    `equal priority, two masters: ${winner} has the higher address`,
    { havrrpOn, havrrp: low, keepalived: low },
    async (t, pair) => {
      await pair.havrrp.start();
      await pair.havrrpIs('master');
      // It does not understand havrrp at first, and becomes master beside it (IPv4).
      await pair.startKeepalived();
      await pair.keepalived.reaches('ipv4', 'MASTER', patienceMs);
      await checkMaster(t, pair, winner);
      const said = pair.havrrp.events.items.filter(({ type }) => type === 'alarm').map(({ text }) => text);
      t.match(said.join(), 'has the same priority 100', 'havrrp has raised an alarm');
    },
  );
}

mixedTest(
  'different lists: heard and alarmed, where keepalived refuses',
  {
    havrrp: low,
    keepalived: { ...high, addresses: { ipv4: ['192.0.2.253/24'], ipv6: ['2001:db8:1::fe/64'] } },
  },
  async (t, pair) => {
    await pair.startKeepalived();
    await pair.keepalivedIs('MASTER');
    await pair.havrrp.start();
    await pair.hears('keepalived', 10);
    await pair.havrrpIs('backup');
    const { alarms } = await pair.havrrp.group('edge');
    t.match(
      alarms.join('\n'),
      /lan\/ipv4: 192\.0\.2\.2 does not list 192\.0\.2\.254 and lists 192\.0\.2\.253 besides/,
    );
    t.match(alarms.join('\n'), /lan\/ipv6: .* does not list fe80::200:5eff:fe00:233/);
    for (const family of families)
      t.equal(pair.adverts('havrrp', family).length, 0, `${family}: one master all the same`);
  },
);

mixedTest(
  'different lists: keepalived does not listen, and havrrp says that there are two masters',
  { havrrp: high, keepalived: { ...low, addresses: { ipv4: ['192.0.2.253/24'] } } },
  async (t, pair) => {
    await pair.havrrp.start();
    await pair.havrrpIs('master');
    await pair.startKeepalived();
    await pair.keepalived.reaches('ipv4', 'MASTER', patienceMs);
    const alarms = async (): Promise<string> => (await pair.havrrp.group('edge')).alarms.join('\n');
    const said = await eventually(
      alarms,
      (text) => text.includes('although this node is master'),
      patienceMs,
    );
    t.match(said, /lan\/ipv4: 192\.0\.2\.2 \(priority 100\) advertises although this node is master/, said);
    t.match(said, 'give both nodes the same addresses', 'and what to do about it');
    t.equal(pair.adverts('keepalived', 'ipv6').length, 0, 'over IPv6, where the lists agree, there is one');
  },
);

mixedTest('what both say: tshark agrees with each', { havrrp: high, keepalived: low }, async (t, pair) => {
  await pair.startKeepalived();
  await pair.keepalivedIs('MASTER');
  await pair.hears('keepalived', 1);
  await pair.havrrp.start();
  await pair.settles('havrrp');
  await pair.hears('havrrp', 2);
  for (const who of ['havrrp', 'keepalived'] as const) {
    for (const family of families) {
      const samples = pair.adverts(who, family).slice(-2);
      for (const { checksum, complaints } of await judge(samples)) {
        t.equal(checksum?.pseudoHeader, 'good', `${who}, ${family}: the checksum with a pseudo-header`);
        t.strictSame(complaints, [], `${who}, ${family}: no complaints`);
      }
    }
  }
});
