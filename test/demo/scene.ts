import { run } from '../bench/child.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { Network } from '../bench/network.ts';
import { Probe, startResponder } from '../bench/probe.ts';

/** The stage: a client and a server with a pair of firewalls between them, dual stack, each side's gateway a virtual
 *  address; and a client that asks all the time. */
export const group = 'edge';
export const intervalMs = 1000;
export const probeIntervalMs = 5;
export const priorities = { fw1: 150, fw2: 100 } as const;
export type Firewall = keyof typeof priorities;
export const firewalls = ['fw1', 'fw2'] as const;

const sides = {
  lan: { v4: '10.77.1', v6: '2001:db8:1::' },
  wan: { v4: '203.0.113', v6: '2001:db8:2::' },
} as const;
type Side = keyof typeof sides;

/** The host's address on a side, with prefix length, in both families. */
function addresses(side: Side, host: number): string[] {
  return [`${sides[side].v4}.${host}/24`, `${sides[side].v6}${host.toString(16)}/64`];
}

function bare(address: string): string {
  return address.split('/')[0] ?? address;
}

const gatewayHost = 1;
const endHost = 10;

/** What the client asks: the server behind the firewalls, and its gateway itself. */
export const targets: readonly string[] = [
  ...addresses('wan', endHost),
  ...addresses('lan', gatewayHost),
].map(bare);

export function configuration(firewall: Firewall): string {
  const instance = (side: Side, vrid: number): string =>
    `      ${side}: { interface: ${side}, vrid: ${vrid}, addresses: [${addresses(side, gatewayHost)
      .map((address) => (address.includes(':') ? `"${address}"` : address))
      .join(', ')}] }`;
  return [
    'groups:',
    `  ${group}:`,
    `    priority: ${priorities[firewall]}`,
    `    interval: ${intervalMs / 1000}s`,
    '    instances:',
    instance('lan', 61),
    instance('wan', 62),
    '',
  ].join('\n');
}

/** Master-down interval (RFC 9568 6.1) of a firewall, in ms: what a failure may cost at most when it is the one to take over. */
export function masterDownIntervalMs(firewall: Firewall): number {
  return 3 * intervalMs + ((256 - priorities[firewall]) * intervalMs) / 256;
}

export class Scene implements AsyncDisposable {
  readonly #network: Network;
  readonly #nodes: Readonly<Record<Firewall, Havrrp>>;

  static async build(): Promise<Scene> {
    const end = (side: Side): NonNullable<Parameters<typeof Network.create>[0]['hosts'][string]> => ({
      interfaces: { eth0: { segment: side, addresses: addresses(side, endHost) } },
      routes: addresses(side, gatewayHost).map((gateway) => `default via ${bare(gateway)}`),
    });
    const firewall = (host: number): ReturnType<typeof end> => ({
      interfaces: {
        lan: { segment: 'lan', addresses: addresses('lan', host) },
        wan: { segment: 'wan', addresses: addresses('wan', host) },
      },
      forwarding: true,
    });
    const network = await Network.create({
      segments: ['lan', 'wan'],
      hosts: { fw1: firewall(2), fw2: firewall(3), client: end('lan'), server: end('wan') },
    });
    for (const name of [...firewalls, 'server']) await startResponder(network.host(name));
    // As the unit file has it, where this machine lets us.
    const { code } = await run('chrt', ['--rr', '10', 'true']);
    return new Scene(network, code === 0);
  }

  private constructor(network: Network, realTime: boolean) {
    this.#network = network;
    this.#nodes = {
      fw1: new Havrrp(network.host('fw1'), configuration('fw1'), { realTime }),
      fw2: new Havrrp(network.host('fw2'), configuration('fw2'), { realTime }),
    };
  }

  node(firewall: Firewall): Havrrp {
    return this.#nodes[firewall];
  }

  probe(): Promise<Probe> {
    return Probe.start(this.#network.host('client'), targets, { intervalMs: probeIntervalMs });
  }

  /** All at once: the daemon is killed and the wires are silent. */
  async powerOff(firewall: Firewall): Promise<void> {
    await Promise.all([
      this.#network.silence(firewall, 'lan'),
      this.#network.silence(firewall, 'wan'),
      this.node(firewall).crash(),
    ]);
  }

  /** A machine that was off has none of the addresses that were put there by hand. */
  async powerOn(firewall: Firewall): Promise<void> {
    const host = this.#network.host(firewall);
    for (const side of ['lan', 'wan'] as const) {
      for (const { address, prefixLength } of await host.addresses(side)) {
        const isVirtual =
          addresses(side, gatewayHost).map(bare).includes(address) || address.startsWith('fe80::200:5eff:');
        if (isVirtual) await host.ip(`address del ${address}/${prefixLength} dev ${side}`);
      }
      await this.#network.restore(firewall, side);
    }
    await this.node(firewall).start();
  }

  pullCable(firewall: Firewall, side: Side): Promise<void> {
    return this.#network.unplug(firewall, side);
  }

  plugCable(firewall: Firewall, side: Side): Promise<void> {
    return this.#network.restore(firewall, side);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const firewall of firewalls) await this.node(firewall).close();
    await this.#network.close();
  }
}
