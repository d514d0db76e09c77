import type { Test } from 'tap';
import { type Clock, ControlClient } from '../../src/conntrackd/control-client.ts';
import { SessionSync, type SessionSyncOptions } from '../../src/conntrackd/session-sync.ts';
import type { SessionEvent } from '../../src/conntrackd/report.ts';
import { must } from '../bench/child.ts';
import { Conntrackd, type ConntrackdPlan } from '../bench/conntrackd.ts';
import { Feed } from '../bench/feed.ts';
import type { FlowPlan } from '../bench/flows-child.ts';
import { Flows, startFlowServer } from '../bench/flows.ts';
import { type Host, Network } from '../bench/network.ts';
import { loadRuleset } from '../bench/nftables.ts';

/** What the tests of the session table share: two firewalls with a link between their conntrackds, with a LAN and a WAN where
 *  sessions are to run through them, and what havrrp does about their tables. The addresses are moved by hand. */

export type FirewallName = 'fw1' | 'fw2';

const syncAddress = { fw1: '10.9.0.1', fw2: '10.9.0.2' } as const;
export const vips = {
  lan: '10.71.1.1',
  wan: '10.71.2.1',
  wan6: '2001:db8:2::1',
  lan6: '2001:db8:1::1',
} as const;
export const server = { ipv4: '10.71.2.10', ipv6: '2001:db8:2::10' } as const;

/** A pair of firewalls and nothing around them. */
export function twoNodes(): Promise<Network> {
  const node = (
    name: FirewallName,
  ): { interfaces: Record<string, { segment: string; addresses: string[] }> } => ({
    interfaces: { sync0: { segment: 'sync', addresses: [`${syncAddress[name]}/24`] } },
  });
  return Network.create({ segments: ['sync'], hosts: { fw1: node('fw1'), fw2: node('fw2') } });
}

/** The configuration of a node's conntrackd. */
export function conntrackdPlan(name: FirewallName, more: Partial<ConntrackdPlan> = {}): ConntrackdPlan {
  const peer = name === 'fw1' ? 'fw2' : 'fw1';
  return {
    sync: { interface: 'sync0', address: syncAddress[name], peer: syncAddress[peer] },
    ignore: ['10.9.0.0/24', '10.71.1.2', '10.71.1.3', '10.71.2.2', '10.71.2.3'],
    ...more,
  };
}

/** havrrp's part on one node, and what it reported. */
export interface Keeper {
  readonly sync: SessionSync;
  readonly events: Feed<SessionEvent>;
}

/** Keeps the table of a node's conntrackd, from here: its socket can be reached from everywhere. */
export function keep(t: Test, conntrackd: Conntrackd, more: Partial<SessionSyncOptions> = {}): Keeper {
  const events = new Feed<SessionEvent>(({ code, text }) => `${code}: ${text}`);
  const sync = new SessionSync({
    client: clientOf(conntrackd),
    commitTimeoutMs: 'auto',
    holdUntilSyncedMs: 20_000,
    onEvent: (event) => events.push(event),
    onHoldingChanged: () => undefined,
    countKernel: () => conntrackd.kernelCount().catch(() => undefined),
    calmMs: 500,
    ...more,
  });
  t.teardown(() => sync.close());
  return { sync, events };
}

export function clientOf(conntrackd: Conntrackd, clock?: Clock): ControlClient {
  return new ControlClient({
    path: conntrackd.socket,
    program: { binary: 'conntrackd', configFile: conntrackd.configFile },
    ...(clock === undefined ? {} : { clock }),
  });
}

/** The next event of a kind. */
export function happens(
  keeper: Keeper,
  code: SessionEvent['code'],
  withinMs = 15_000,
): Promise<SessionEvent> {
  return keeper.events.next((event) => event.code === code, { withinMs, what: code });
}

/** Two firewalls with rulesets and conntrackds between a client and a server; the virtual addresses are on fw1. */
export class Firewalls implements AsyncDisposable {
  readonly network: Network;
  readonly conntrackd: Readonly<Record<FirewallName, Conntrackd>>;
  readonly flows: Flows;

  static async start(
    plan: {
      readonly sloppy?: boolean;
      readonly flows?: readonly FlowPlan[];
      readonly conntrackd?: Partial<ConntrackdPlan>;
    } = {},
  ): Promise<Firewalls> {
    const network = await Network.create({
      segments: ['lan', 'wan', 'sync'],
      hosts: {
        fw1: firewall(1),
        fw2: firewall(2),
        client: {
          interfaces: {
            lan: { segment: 'lan', addresses: ['10.71.1.10/24', '2001:db8:1::10/64'] },
          },
          routes: [`default via ${vips.lan}`, `default via ${vips.lan6}`],
        },
        server: {
          interfaces: { wan: { segment: 'wan', addresses: [`${server.ipv4}/24`, `${server.ipv6}/64`] } },
          routes: [`default via ${vips.wan6}`],
        },
      },
    });
    try {
      for (const name of ['fw1', 'fw2'] as const)
        await loadRuleset(network.host(name), {
          lan: 'lan',
          wan: 'wan',
          sync: 'sync0',
          snat: vips.wan,
          sloppy: plan.sloppy ?? false,
        });
      // Before the sessions: of older ones the kernel reports nothing.
      const conntrackd = {
        fw1: await Conntrackd.start(network.host('fw1'), conntrackdPlan('fw1', plan.conntrackd)),
        fw2: await Conntrackd.start(network.host('fw2'), conntrackdPlan('fw2', plan.conntrackd)),
      };
      await moveAddresses(network, undefined, 'fw1');
      await startFlowServer(network.host('server'));
      const flows = await Flows.start(network.host('client'), plan.flows ?? allFlows);
      return new Firewalls(network, conntrackd, flows);
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  private constructor(network: Network, conntrackd: Firewalls['conntrackd'], flows: Flows) {
    this.network = network;
    this.conntrackd = conntrackd;
    this.flows = flows;
  }

  host(name: FirewallName): Host {
    return this.network.host(name);
  }

  /** Planned: the old one goes on forwarding what still comes to it. */
  async move(from: FirewallName, to: FirewallName): Promise<void> {
    await moveAddresses(this.network, from, to);
  }

  /** As a crash: nothing passes through it any more, and it says nothing. */
  async unplug(name: FirewallName): Promise<void> {
    for (const side of ['lan', 'wan', 'sync0']) await this.network.unplug(name, side);
  }

  /** The addresses appear on a firewall, wherever else they are. */
  async bring(to: FirewallName): Promise<void> {
    await moveAddresses(this.network, undefined, to);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flows.close();
    await Promise.all([this.conntrackd.fw1.close(), this.conntrackd.fw2.close()]);
    await this.network.close();
  }
}

export const allFlows: readonly FlowPlan[] = [
  { name: 'download', kind: 'download', address: server.ipv4 },
  { name: 'echo', kind: 'echo', address: server.ipv4 },
  { name: 'download6', kind: 'download', address: server.ipv6 },
];

export function firewall(number: 1 | 2): Parameters<typeof Network.create>[0]['hosts'][string] {
  const own = number + 1;
  return {
    interfaces: {
      lan: { segment: 'lan', addresses: [`10.71.1.${own}/24`, `2001:db8:1::${own}/64`] },
      wan: { segment: 'wan', addresses: [`10.71.2.${own}/24`, `2001:db8:2::${own}/64`] },
      sync0: { segment: 'sync', addresses: [`10.9.0.${number}/24`] },
    },
    forwarding: true,
  };
}

/** Addresses first, then the neighbours, as a daemon does it; they are told by hand. */
async function moveAddresses(
  network: Network,
  from: FirewallName | undefined,
  to: FirewallName,
): Promise<void> {
  const each = (verb: string): string =>
    [
      `address ${verb} ${vips.lan}/32 dev lan`,
      `address ${verb} ${vips.wan}/32 dev wan`,
      `address ${verb} ${vips.lan6}/128 dev lan${verb === 'add' ? ' nodad' : ''}`,
      `address ${verb} ${vips.wan6}/128 dev wan${verb === 'add' ? ' nodad' : ''}`,
    ].join('\n');
  await batch(network.host(to), each('add'));
  const mac = (side: 1 | 2): string => `02:00:00:00:0${to === 'fw1' ? 1 : 2}:0${side}`;
  const knows = (address: string, side: 1 | 2, device: string): string =>
    `neigh replace ${address} lladdr ${mac(side)} dev ${device} nud permanent`;
  await batch(network.host('server'), `${knows(vips.wan, 2, 'wan')}\n${knows(vips.wan6, 2, 'wan')}`);
  await batch(network.host('client'), `${knows(vips.lan, 1, 'lan')}\n${knows(vips.lan6, 1, 'lan')}`);
  if (from !== undefined) await batch(network.host(from), each('del'));
}

async function batch(host: Host, commands: string): Promise<void> {
  await must('ip', ['-n', host.namespace, '-batch', '-'], { input: `${commands}\n` });
}
