import type { Test } from 'tap';
import { Conntrackd } from '../bench/conntrackd.ts';
import { Flows, startFlowServer } from '../bench/flows.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { Network } from '../bench/network.ts';
import { loadRuleset } from '../bench/nftables.ts';
import { allFlows, conntrackdPlan, firewall, server, vips } from './conntrackd-stage.ts';
import { patienceMs } from './pair.ts';
import { rootTest } from './root.ts';
import { eventually } from './stage.ts';

/** The whole product: two firewalls with SNAT to the virtual address, conntrackd, and havrrp, which moves the role. What
 *  runs through them is checked, byte by byte. */

type Name = 'fw1' | 'fw2';
const names: readonly Name[] = ['fw1', 'fw2'];

class NatPair implements AsyncDisposable {
  readonly network: Network;
  readonly nodes: Readonly<Record<Name, Havrrp>>;
  readonly #conntrackd: readonly Conntrackd[];

  /** Starts both; fw1 is master and fw2 holds its sessions when this resolves. */
  static async start(): Promise<NatPair> {
    const network = await Network.create({
      segments: ['lan', 'wan', 'sync'],
      hosts: {
        fw1: firewall(1),
        fw2: firewall(2),
        client: {
          interfaces: { lan: { segment: 'lan', addresses: ['10.71.1.10/24', '2001:db8:1::10/64'] } },
          routes: [`default via ${vips.lan}`, `default via ${vips.lan6}`],
        },
        server: {
          interfaces: { wan: { segment: 'wan', addresses: [`${server.ipv4}/24`, `${server.ipv6}/64`] } },
          routes: [`default via ${vips.wan6}`],
        },
      },
    });
    try {
      const conntrackd: Conntrackd[] = [];
      for (const name of names) {
        await loadRuleset(network.host(name), {
          lan: 'lan',
          wan: 'wan',
          sync: 'sync0',
          snat: vips.wan,
          sloppy: false,
        });
        conntrackd.push(await Conntrackd.start(network.host(name), conntrackdPlan(name)));
      }
      const node = (name: Name, index: number): Havrrp =>
        new Havrrp(network.host(name), configuration(name, conntrackd[index]?.configFile ?? ''));
      const pair = new NatPair(network, { fw1: node('fw1', 0), fw2: node('fw2', 1) }, conntrackd);
      await pair.nodes.fw1.start();
      await pair.nodes.fw1.reaches('edge', 'master', patienceMs);
      await pair.nodes.fw2.start();
      await startFlowServer(network.host('server'));
      return pair;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  private constructor(network: Network, nodes: NatPair['nodes'], conntrackd: readonly Conntrackd[]) {
    this.network = network;
    this.nodes = nodes;
    this.#conntrackd = conntrackd;
  }

  /** Resolves when a backup has the sessions of the master. */
  async synced(name: Name): Promise<void> {
    await eventually(
      async () => (await this.nodes[name].group('edge')).conntrackd,
      (seen) => seen?.synced === true,
      30_000,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of names) await this.nodes[name].close();
    await Promise.all(this.#conntrackd.map((each) => each.close()));
    await this.network.close();
  }
}

function configuration(name: Name, conntrackd: string): string {
  const edge = {
    priority: name === 'fw1' ? 150 : 100,
    interval: '100ms',
    preempt: false,
    conntrackd: { config: conntrackd },
    instances: {
      lan: { interface: 'lan', vrid: 61, addresses: [`${vips.lan}/32`, `${vips.lan6}/128`] },
      wan: { interface: 'wan', vrid: 62, addresses: [`${vips.wan}/32`, `${vips.wan6}/128`] },
    },
  };
  return `groups: ${JSON.stringify({ edge })}\n`;
}

/** Every session lives, and moves on. */
async function live(t: Test, flows: Flows, from: number, longestMs: number): Promise<void> {
  for (const { name } of allFlows) await flows.moves(name, 10_000);
  for (const { name, ended, longestSilenceMs } of flows.report(from)) {
    t.equal(ended, undefined, `${name} lives`);
    t.ok(longestSilenceMs < longestMs, `${name}: silent for ${longestSilenceMs.toFixed(0)} ms at most`);
  }
}

const now = (): number => performance.timeOrigin + performance.now();

rootTest('sessions live through a planned move and a crash', async (t) => {
  await using pair = await NatPair.start();
  const { fw1, fw2 } = pair.nodes;
  await using flows = await Flows.start(pair.network.host('client'), allFlows);
  await pair.synced('fw2');

  const planned = now();
  const { code, stdout } = await fw1.cli(['demote', 'edge']);
  t.equal(code, 0, stdout.trim());
  await fw2.reaches('edge', 'master', patienceMs);
  await live(t, flows, planned, 1000);
  t.match((await fw2.group('edge')).conntrackd, { state: 'committed' });

  await fw1.cli(['promote', 'edge']);
  await pair.synced('fw1');
  const crash = now();
  await fw2.crash();
  for (const side of ['lan', 'wan', 'sync0']) await pair.network.unplug('fw2', side);
  await fw1.reaches('edge', 'master', patienceMs);
  // TCP's own steps of retransmission: 0.2, 0.6, 1.4 s.
  await live(t, flows, crash, 3000);
});
