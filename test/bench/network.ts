import { Child, must, run, type ChildOptions, type Output } from './child.ts';
import { registerNamespace, removeNamespaces, sweepStale } from './leftovers.ts';

/** A network to build: segments (one switch each) and the hosts on them. */
export interface NetworkPlan {
  readonly segments: readonly string[];
  readonly hosts: Readonly<Record<string, HostPlan>>;
}

export interface HostPlan {
  /** By interface name. */
  readonly interfaces: Readonly<Record<string, InterfacePlan>>;
  /** Arguments of `ip route add` (`default via 10.0.0.1`); an address with a colon makes it `ip -6`. */
  readonly routes?: readonly string[];
  readonly forwarding?: boolean;
  /** `net/ipv4/conf/all/arp_ignore` -> `1` */
  readonly sysctls?: Readonly<Record<string, string>>;
}

export interface InterfacePlan {
  readonly segment: string;
  /** `10.0.0.2/24` */
  readonly addresses?: readonly string[];
}

export interface InterfaceAddress {
  readonly address: string;
  readonly prefixLength: number;
  readonly scope: string;
}

/** Hosts and switches made of network namespaces, bridges and veth pairs; all switches share a namespace of their own, so
 *  a capture there sees the wire and is nobody's host. MAC addresses follow from the plan: of two hosts, the one named
 *  first has the lower link-local address. */
export class Network implements AsyncDisposable {
  readonly #switch: string;
  readonly #plan: NetworkPlan;
  readonly #hosts: ReadonlyMap<string, Host>;

  /** @throws Error without root, or with what `ip` said */
  static async create(plan: NetworkPlan): Promise<Network> {
    if (process.getuid?.() !== 0) throw new Error('network namespaces: not root: run this as root');
    sweepStale();
    const network = new Network(plan);
    try {
      await network.#build();
    } catch (error) {
      network.#remove();
      throw error;
    }
    return network;
  }

  private constructor(plan: NetworkPlan) {
    this.#plan = plan;
    this.#switch = registerNamespace('switch');
    this.#hosts = new Map(
      Object.keys(plan.hosts).map((name) => [name, new Host(name, registerNamespace(name))]),
    );
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name} in this network`);
    return host;
  }

  /** Where a capture sees everything that passes on a segment. */
  tap(segment: string): { readonly namespace: string; readonly interface: string } {
    return { namespace: this.#switch, interface: this.#bridge(segment) };
  }

  /** Pulls the cable: both ends lose their carrier. */
  async unplug(host: string, interfaceName: string): Promise<void> {
    await this.#ip(this.#switch, [`link set ${this.#port(host, interfaceName)} down`]);
  }

  /** The switch drops everything on this port, both ways; the carrier stays. */
  async silence(host: string, interfaceName: string): Promise<void> {
    await this.#setPort(this.#port(host, interfaceName), 'state', '0');
  }

  /** Mends what `unplug` or `silence` did. */
  async restore(host: string, interfaceName: string): Promise<void> {
    const port = this.#port(host, interfaceName);
    await this.#ip(this.#switch, [`link set ${port} up`]);
    await this.#setPort(port, 'state', '3');
  }

  /** The named hosts do not reach each other on this segment; everybody else still reaches each of them. */
  async partition(segment: string, hosts: readonly string[]): Promise<void> {
    for (const port of this.#portsOf(segment, hosts)) await this.#setPort(port, 'isolated', 'on');
  }

  async heal(segment: string): Promise<void> {
    for (const port of this.#portsOf(segment, Object.keys(this.#plan.hosts)))
      await this.#setPort(port, 'isolated', 'off');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Ends what still runs in the hosts, and removes everything. */
  close(): Promise<void> {
    this.#remove();
    return Promise.resolve();
  }

  #remove(): void {
    removeNamespaces([this.#switch, ...[...this.#hosts.values()].map(({ namespace }) => namespace)]);
  }

  async #build(): Promise<void> {
    const namespaces = [this.#switch, ...[...this.#hosts.values()].map(({ namespace }) => namespace)];
    await this.#ip(
      undefined,
      namespaces.map((namespace) => `netns add ${namespace}`),
    );
    // The switches have no IPv6 of their own: what a capture shows was said by a host.
    await setSysctls(this.#switch, { 'net/ipv6/conf/default/disable_ipv6': '1' });
    await this.#ip(
      this.#switch,
      this.#plan.segments.flatMap((segment) => [
        `link add ${this.#bridge(segment)} type bridge stp_state 0 mcast_snooping 0`,
        `link set ${this.#bridge(segment)} up`,
      ]),
    );
    for (const [name, plan] of Object.entries(this.#plan.hosts)) await this.#buildHost(this.host(name), plan);
  }

  async #buildHost(host: Host, plan: HostPlan): Promise<void> {
    await setSysctls(host.namespace, {
      // Link-local addresses that can be used at once, and nobody who asks for routers.
      'net/ipv6/conf/default/accept_dad': '0',
      'net/ipv6/conf/default/router_solicitations': '0',
      'net/ipv6/conf/default/accept_ra': '0',
      ...(plan.forwarding === true
        ? { 'net/ipv4/ip_forward': '1', 'net/ipv6/conf/all/forwarding': '1' }
        : {}),
      ...plan.sysctls,
    });
    await this.#ip(
      this.#switch,
      Object.entries(plan.interfaces).flatMap(([interfaceName, { segment }]) => {
        const port = this.#port(host.name, interfaceName);
        return [
          `link add ${port} type veth peer name ${interfaceName} address ${this.#mac(host.name, interfaceName)} netns ${host.namespace}`,
          `link set ${port} master ${this.#bridge(segment)} up`,
        ];
      }),
    );
    await this.#ip(host.namespace, [
      'link set lo up',
      ...Object.entries(plan.interfaces).flatMap(([interfaceName, { addresses = [] }]) => [
        `link set ${interfaceName} up`,
        ...addresses.map((address) => `address add ${address} dev ${interfaceName}`),
      ]),
    ]);
    for (const family of ['-4', '-6'])
      await this.#ip(
        host.namespace,
        (plan.routes ?? [])
          .filter((route) => route.includes(':') === (family === '-6'))
          .map((route) => `route add ${route}`),
        family,
      );
  }

  async #ip(namespace: string | undefined, commands: readonly string[], family?: string): Promise<void> {
    if (commands.length === 0) return;
    await must(
      'ip',
      [
        ...(namespace === undefined ? [] : ['-n', namespace]),
        ...(family === undefined ? [] : [family]),
        '-batch',
        '-',
      ],
      { input: `${commands.join('\n')}\n` },
    );
  }

  async #setPort(port: string, property: 'state' | 'isolated', value: string): Promise<void> {
    await must('bridge', ['-n', this.#switch, 'link', 'set', 'dev', port, property, value]);
  }

  #bridge(segment: string): string {
    const index = this.#plan.segments.indexOf(segment);
    if (index === -1) throw new Error(`no segment ${segment} in this network`);
    return `br${index}`;
  }

  #port(host: string, interfaceName: string): string {
    const [hostIndex, interfaceIndex] = this.#place(host, interfaceName);
    return `port${hostIndex}-${interfaceIndex}`;
  }

  #portsOf(segment: string, hosts: readonly string[]): string[] {
    return hosts.flatMap((host) =>
      Object.entries(this.#plan.hosts[host]?.interfaces ?? {})
        .filter(([, plan]) => plan.segment === segment)
        .map(([interfaceName]) => this.#port(host, interfaceName)),
    );
  }

  #mac(host: string, interfaceName: string): string {
    const octets = this.#place(host, interfaceName).map((index) => (index + 1).toString(16).padStart(2, '0'));
    return `02:00:00:00:${octets.join(':')}`;
  }

  #place(host: string, interfaceName: string): [number, number] {
    const interfaceIndex = Object.keys(this.#plan.hosts[host]?.interfaces ?? {}).indexOf(interfaceName);
    if (interfaceIndex === -1) throw new Error(`no interface ${interfaceName} on host ${host}`);
    return [Object.keys(this.#plan.hosts).indexOf(host), interfaceIndex];
  }
}

/** A machine on the network: where programs run. */
export class Host {
  readonly name: string;
  readonly namespace: string;

  constructor(name: string, namespace: string) {
    this.name = name;
    this.namespace = namespace;
  }

  /** Starts a program here. */
  start(
    command: string,
    args: readonly string[],
    options: Omit<ChildOptions, 'namespace'> = {},
  ): Promise<Child> {
    return Child.start(command, args, { ...options, namespace: this.namespace });
  }

  /** Runs a program here to its end, whatever its status. */
  run(command: string, args: readonly string[]): Promise<Output> {
    return run(command, args, { namespace: this.namespace });
  }

  /** Runs `ip` here. @throws Error with what it said */
  ip(command: string): Promise<string> {
    return must('ip', ['-n', this.namespace, ...command.split(' ')]);
  }

  async addresses(interfaceName: string): Promise<readonly InterfaceAddress[]> {
    const answer = JSON.parse(await this.ip(`-json address show dev ${interfaceName}`)) as {
      addr_info: { local: string; prefixlen: number; scope: string }[];
    }[];
    return answer.flatMap(({ addr_info }) =>
      addr_info.map(({ local, prefixlen, scope }) => ({ address: local, prefixLength: prefixlen, scope })),
    );
  }

  async has(address: string, interfaceName: string): Promise<boolean> {
    return (await this.addresses(interfaceName)).some((present) => present.address === address);
  }

  /** Its own link-local address (the one made from the MAC), not a virtual one. */
  async linkLocal(interfaceName: string): Promise<string> {
    const found = (await this.addresses(interfaceName)).find(({ address }) =>
      address.startsWith(ownLinkLocal),
    );
    if (found === undefined) throw new Error(`${this.name}: ${interfaceName} has no link-local address`);
    return found.address;
  }

  setSysctls(settings: Readonly<Record<string, string>>): Promise<void> {
    return setSysctls(this.namespace, settings);
  }
}

/** What the kernel makes of the MAC addresses of `Network` (02:00:00:00:HH:II, modified EUI-64). */
const ownLinkLocal = 'fe80::ff:fe00:';

async function setSysctls(namespace: string, settings: Readonly<Record<string, string>>): Promise<void> {
  const script = Object.entries(settings).map(([key, value]) => `echo '${value}' > /proc/sys/${key}`);
  await must('sh', ['-ec', script.join('\n')], { namespace });
}
