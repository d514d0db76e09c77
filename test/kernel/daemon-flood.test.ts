import type { Test } from 'tap';
import type { Havrrp } from '../bench/havrrp.ts';
import { Injector } from '../bench/injector.ts';
import { rawConnect, rawRequest } from '../control/raw.ts';
import { type FirewallName, Pair } from './pair.ts';
import { rootTest } from './root.ts';
import { eventually, gaps, median, waitedForProcessorMs } from './stage.ts';
import { injectionOf, junkFor } from './victims.ts';

/** Junk on the wire and at the control socket, more than anybody needs: a pair goes on as if it were not there. */

const intervalMs = 100;
const interval = '100ms';
/** As fast as a wire of ours carries it: faster, and the wire itself loses some. */
const burstPerSecond = 10_000;
const families = ['ipv4', 'ipv6'] as const;
const nodes = ['fw1', 'fw2'] as const;
const junk = families.flatMap((family) => junkFor(family, 51));

/** What a node has refused on the LAN, both families together, by reason. */
async function discarded(node: Havrrp): Promise<Record<string, number>> {
  const { instances } = await node.group('edge');
  const sums: Record<string, number> = {};
  for (const { counters } of instances.find(({ name }) => name === 'lan')?.routers ?? []) {
    for (const [reason, count] of Object.entries(counters.discarded))
      sums[reason] = (sums[reason] ?? 0) + count;
  }
  return sums;
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** How many of each reason a sequence of the junk holds, each kind so often. */
function expected(each: number): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { reason = '' } of junk) sums[reason] = (sums[reason] ?? 0) + each;
  return sums;
}

/** How many good advertisements there were on the LAN. */
function received(pair: Pair): number {
  return 2 * pair.adverts('fw1').length;
}

/** Nobody has moved, and the master has spoken in time all along. */
async function checkUndisturbed(t: Test, pair: Pair, since: number, waitedBefore: number): Promise<void> {
  const states = await Promise.all(nodes.map((name) => pair[name].group('edge')));
  t.strictSame(
    states.map(({ state, transitions }) => [state, transitions]),
    [
      ['master', 2],
      ['backup', 1],
    ],
    'nobody has moved',
  );
  // On the WAN nothing is lost on the way; what was sent there was sent on the LAN in the same breath.
  const pauses = gaps(pair.adverts('fw1', 'wan').filter(({ at }) => at > since)).map(
    (gap) => gap / intervalMs,
  );
  const [typical, worst] = [median(pauses), Math.max(...pauses)];
  t.ok(Math.abs(typical - 1) < 0.02, `an advertisement every ${typical.toFixed(3)} intervals`);
  const excused = (waitedForProcessorMs(pair.fw1.pid) - waitedBefore) / intervalMs;
  t.ok(worst - excused < 1.5, `${worst.toFixed(3)} at the worst`);
  const sent = states[0]?.instances.map(({ routers }) => routers.map(({ counters }) => counters.sent)) ?? [];
  t.strictSame(sent[0], sent[1], 'as many on the LAN as on the WAN');
  for (const side of ['lan', 'wan'] as const) {
    t.strictSame(pair.adverts('fw2', side), [], `${side}: none of the backup`);
  }
}

function checkLog(t: Test, pair: Pair, name: FirewallName): void {
  const lines = pair[name].log.split('\n').filter((line) => line.includes('discarded a packet'));
  const kinds = new Set(junk.map(({ family, reason }) => `${family} ${reason}`));
  t.ok(lines.length <= 2 * kinds.size, `${name}: V3-72: ${lines.length} log lines for ${kinds.size} kinds`);
}

async function startPairAndInjector(): Promise<{ pair: Pair; injector: Injector }> {
  const pair = await Pair.start({ interval });
  await pair.settles('fw1');
  const { namespace } = pair.network.host('client');
  return { pair, injector: await Injector.open({ namespace, interface: 'lan' }) };
}

rootTest(
  '200 malformed packets a second that carry our VRID: each is counted, and nothing else',
  async (t) => {
    const { pair, injector } = await startPairAndInjector();
    await using _pair = pair;
    await using _injector = injector;
    const since = Date.now();
    const waitedBefore = waitedForProcessorMs(pair.fw1.pid);
    const each = 30;
    const perSecond = 200 / junk.length;
    const sent = families.map((family) =>
      injector.sendPackets(injectionOf(junk, family, { each, perSecond })),
    );
    await Promise.all(sent);
    for (const name of nodes) {
      const counts = await eventually(
        () => discarded(pair[name]),
        (now) => total(now) >= each * junk.length,
        2000,
      );
      t.strictSame(
        counts,
        expected(each),
        `${name}: V3-71, V3-73: ${total(counts)} refused, each by its reason`,
      );
      checkLog(t, pair, name);
    }
    await checkUndisturbed(t, pair, since, waitedBefore);
  },
);

/** A few clients of the control socket that do not know how to behave. @returns what ends them */
async function misbehave(t: Test, node: Havrrp): Promise<() => void> {
  const requests = [
    rawRequest('GET', '/v1/events'),
    'GET /v1/status HTTP/1.1\r\nHost: havrrp\r\n',
    'POST /v1/groups/edge/demote HTTP/1.1\r\nHost: havrrp\r\nContent-Length: 1000000\r\n\r\n{"wait":',
    '\x00\xff\x16\x03\x01 garbage\r\n\r\n',
    rawRequest('POST', '/v1/groups/edge/demote', '{"hard": "perhaps"}'),
    rawRequest('POST', '/v1/groups/..%2f..%2fedge/promote'),
  ];
  const sockets = await Promise.all(requests.map(() => rawConnect(t, node.socket)));
  for (const [index, socket] of sockets.entries()) socket.pause().write(requests[index] ?? '');
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

rootTest('a burst of 20000 packets of junk, with bad clients at the control socket meanwhile', async (t) => {
  const { pair, injector } = await startPairAndInjector();
  await using _pair = pair;
  await using _injector = injector;
  const since = Date.now();
  const waitedBefore = waitedForProcessorMs(pair.fw1.pid);
  const endings = await Promise.all(nodes.map((name) => misbehave(t, pair[name])));
  const each = Math.ceil(20_000 / junk.length);
  await Promise.all(
    families.map((family) =>
      injector.sendPackets(injectionOf(junk, family, { each, perSecond: burstPerSecond / junk.length })),
    ),
  );
  const sent = each * junk.length;
  for (const name of nodes) {
    const counts = await eventually(
      () => discarded(pair[name]),
      (now) => total(now) >= sent,
      5000,
    );
    const { unexamined = 0, bad_checksum: passed = 0 } = counts;
    t.ok(total(counts) - unexamined <= sent, `${name}: of ${sent} nothing is examined twice`);
    t.ok(unexamined > sent / 2, `${name}: most of it has cost no JavaScript: ${JSON.stringify(counts)}`);
    // While the socket for samples is full, Linux 6.18 counts there as dropped what its filter would not have wanted, too.
    t.ok(
      total(counts) <= sent + passed + received(pair),
      `${name}: nor is much counted twice: ${total(counts)}`,
    );
    checkLog(t, pair, name);
  }
  await pair.hears('fw1', 5);
  await checkUndisturbed(t, pair, since, waitedBefore);
  for (const end of endings) end();
  for (const name of nodes) {
    t.equal((await pair[name].cli(['status'])).code, 0, `${name}: the next client is served`);
    t.strictSame((await pair[name].group('edge')).demotions, [], `${name}: nobody has demoted it`);
  }
});
