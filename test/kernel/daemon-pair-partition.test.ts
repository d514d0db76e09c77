import type { Test } from 'tap';
import { Probe, startResponder } from '../bench/probe.ts';
import { type FirewallName, macOf, Pair, patienceMs } from './pair.ts';
import { rootTest } from './root.ts';
import { announcements, edgeAddresses, eventually } from './stage.ts';

/** The nodes of a pair do not hear each other for a while. */

const interval = '100ms';
const nodes = ['fw1', 'fw2'] as const;
const sides = ['lan', 'wan'] as const;

async function partition({ network }: Pair): Promise<void> {
  for (const side of sides) await network.partition(side, nodes);
}

async function heal({ network }: Pair): Promise<void> {
  for (const side of sides) await network.heal(side);
}

/** Where the client thinks that a virtual address lives. */
async function neighbour(pair: Pair, address: string): Promise<string | undefined> {
  const entries = JSON.parse(
    await pair.network.host('client').ip(`-json neighbour show to ${address} dev lan`),
  ) as { lladdr?: string }[];
  return entries[0]?.lladdr;
}

async function checkWinner(t: Test, pair: Pair, winner: FirewallName): Promise<void> {
  const loser = winner === 'fw1' ? 'fw2' : 'fw1';
  await pair.settles(winner);
  const spoken = pair.adverts(loser).length;
  await pair.hears(winner, 10);
  t.equal(pair.adverts(loser).length, spoken, `${loser} has nothing more to say`);
  for (const side of sides) {
    for (const address of edgeAddresses[side]) {
      const last = announcements(pair.captures[side], address).at(-1);
      t.equal(
        last?.kind === 'other' ? undefined : last?.ethernetSource,
        macOf(winner, side),
        `${address}: announced last by ${winner}`,
      );
      t.ok(await pair.network.host(winner).has(address, side), `${address} is on ${winner}`);
      t.notOk(await pair.network.host(loser).has(address, side), `${address} is not on ${loser}`);
    }
  }
  for (const address of edgeAddresses.lan) {
    const mac = macOf(winner, 'lan');
    await eventually(
      () => neighbour(pair, address),
      (lladdr) => lladdr === mac,
      2000,
    );
    t.pass(`the client knows that ${address} is at ${winner}`);
  }
}

rootTest(
  'a partition makes two masters, and its end leaves one, whichever has the higher priority',
  async (t) => {
    await using pair = await Pair.start({ interval });
    await pair.settles('fw1');
    for (const name of nodes) await startResponder(pair.network.host(name));
    // A client that talks all the time has an ARP entry that is right or wrong.
    await using probe = await Probe.start(pair.network.host('client'), edgeAddresses.lan);
    await probe.answered(edgeAddresses.lan[0], 2000);

    await partition(pair);
    await pair.fw2.reaches('edge', 'master', patienceMs);
    t.equal((await pair.fw1.group('edge')).state, 'master', 'partition: two masters');
    await heal(pair);
    await checkWinner(t, pair, 'fw1');
    t.equal((await pair.fw2.group('edge')).reason, 'higher_priority', 'fw2 has met a better one');

    await partition(pair);
    await pair.fw2.reaches('edge', 'master', patienceMs);
    const { code } = await pair.fw1.cli(['demote', 'edge']);
    t.equal(code, 5, 'partition: there is nobody whom fw1 could hand over to');
    await heal(pair);
    await checkWinner(t, pair, 'fw2');
    t.equal((await pair.fw1.group('edge')).reason, 'higher_priority', 'fw1 has met a better one');
  },
);

rootTest('a partition of one segment makes no second master, but an alarm', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  await pair.network.partition('lan', nodes);
  const { text } = await pair.fw2.events.next(({ type }) => type === 'alarm', { withinMs: patienceMs });
  t.match(text, /no master is heard on lan\/ipv4, lan\/ipv6, but on wan\/ipv4, wan\/ipv6 there is one/, text);
  await pair.hears('fw1', 10);
  t.strictSame([pair.adverts('fw2', 'lan'), pair.adverts('fw2', 'wan')], [[], []], 'fw2 keeps silent');
  t.match((await pair.fw2.group('edge')).alarms.join(), 'no master is heard on lan/ipv4', 'status shows it');
  await pair.network.heal('lan');
  await eventually(
    () => pair.fw2.group('edge'),
    ({ alarms }) => alarms.length === 0,
    patienceMs,
  );
  t.equal(
    (await pair.fw2.group('edge')).transitions,
    1,
    'the alarm ends with its cause, and nothing has moved',
  );
});

rootTest('a deaf backup that comes to hear again makes way', async (t) => {
  await using pair = await Pair.start({ interval });
  await pair.settles('fw1');
  for (const side of sides) await pair.network.silence('fw2', side);
  await pair.fw2.reaches('edge', 'master', patienceMs);
  for (const side of sides) await pair.network.restore('fw2', side);
  await pair.settles('fw1');
  t.equal((await pair.fw2.group('edge')).reason, 'higher_priority', 'it has met a better one');
  t.equal((await pair.fw1.group('edge')).transitions, 2, 'which was master all the time');
});
