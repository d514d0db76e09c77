import { group, masterDownIntervalMs, type Firewall, type Scene } from './scene.ts';

/** One thing that happens to the pair, and what it may cost. */
export interface Act {
  /** For the table. */
  readonly name: string;
  /** For the timeline. */
  readonly title: string;
  /** Who is master when it is over. */
  readonly master: Firewall;
  /** `failure`: the other one has to notice; `planned`: it is told. */
  readonly kind: 'failure' | 'planned';
  readonly perform: (scene: Scene) => Promise<unknown>;
}

/** What the client may lose in an act: the master-down interval after a failure, two probes in anything planned. */
export const plannedLimitProbes = 2;
export function failureLimitMs({ master }: Act): number {
  return masterDownIntervalMs(master);
}

export const acts: readonly Act[] = [
  {
    name: 'fw1 loses power',
    title: 'fw1 loses power: its daemon gets a kill -9, its wires fall silent',
    master: 'fw2',
    kind: 'failure',
    perform: (scene) => scene.powerOff('fw1'),
  },
  {
    name: 'fw1 is back, and takes over',
    title: 'fw1 is switched on again; its priority is the higher one, so it will take over',
    master: 'fw1',
    kind: 'planned',
    perform: (scene) => scene.powerOn('fw1'),
  },
  {
    name: 'havrrp demote on fw1',
    title: `fw1# havrrp demote ${group}`,
    master: 'fw2',
    kind: 'planned',
    perform: (scene) => command(scene, 'fw1', ['demote', group]),
  },
  {
    name: 'havrrp promote on fw1',
    title: `fw1# havrrp promote ${group}`,
    master: 'fw1',
    kind: 'planned',
    perform: (scene) => command(scene, 'fw1', ['promote', group]),
  },
  {
    name: 'the LAN cable of fw1 is pulled',
    title: 'somebody pulls the LAN cable of fw1: LAN and WAN have to move together',
    master: 'fw2',
    kind: 'failure',
    perform: (scene) => scene.pullCable('fw1', 'lan'),
  },
  {
    name: 'the cable is put back',
    title: 'the cable is put back',
    master: 'fw1',
    kind: 'planned',
    perform: (scene) => scene.plugCable('fw1', 'lan'),
  },
  {
    name: 'havrrp is stopped on fw1',
    title: 'fw1# systemctl stop havrrp (that is SIGTERM)',
    master: 'fw2',
    kind: 'planned',
    perform: (scene) => scene.node('fw1').stop(),
  },
];

async function command(scene: Scene, firewall: Firewall, args: readonly string[]): Promise<void> {
  const { code, stderr } = await scene.node(firewall).cli(args);
  if (code !== 0) throw new Error(`havrrp ${args.join(' ')}: status ${code}: ${stderr.trim()}`);
}
