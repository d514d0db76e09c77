import { readFileSync } from 'node:fs';
import type { Advert, Capture, CapturedFrame } from '../bench/capture.ts';
import { isAnnouncementOf } from '../bench/fields.ts';
import { Network } from '../bench/network.ts';

/** What the tests of the running daemon share: networks, configurations, and the arithmetic of RFC 9568 6.1 done once more,
 *  so that the daemon is not measured by its own. */

export interface InstancePlan {
  readonly interface: string;
  readonly vrid: number;
  readonly addresses: readonly (string | { readonly address: string; readonly interface: string })[];
  readonly priority?: number;
  readonly interval?: string;
  readonly checksum?: 'auto' | 'rfc9568' | 'pseudo_header';
  readonly garp?: Readonly<Record<string, string | number>>;
}

export interface GroupPlan extends Partial<Omit<InstancePlan, 'interface' | 'vrid' | 'addresses'>> {
  readonly preempt?: boolean;
  readonly instances: Readonly<Record<string, InstancePlan>>;
}

/** The YAML of some groups. JSON is YAML. */
export function yamlOf(groups: Readonly<Record<string, GroupPlan>>): string {
  return `groups: ${JSON.stringify(groups)}\n`;
}

/** Skew_Time. */
export function skewMs(priority: number, intervalMs: number): number {
  return ((256 - priority) / 256) * intervalMs;
}

/** Active_Down_Interval. */
export function masterDownMs(priority: number, intervalMs: number): number {
  return 3 * intervalMs + skewMs(priority, intervalMs);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle) - 1] ?? NaN)) / 2;
}

/** One firewall, a stranger who can say anything on its wire, and a client, on one segment. */
export function oneFirewall(): Promise<Network> {
  return Network.create({
    segments: ['lan'],
    hosts: {
      fw1: {
        interfaces: { lan: { segment: 'lan', addresses: ['192.0.2.1/24', '2001:db8:1::1/64'] } },
        forwarding: true,
      },
      stranger: { interfaces: { lan: { segment: 'lan', addresses: ['192.0.2.66/24'] } } },
      client: { interfaces: { lan: { segment: 'lan', addresses: ['192.0.2.10/24', '2001:db8:1::10/64'] } } },
    },
  });
}

/** Two firewalls between a LAN with a client and a WAN. */
export function twoFirewalls(): Promise<Network> {
  const firewall = (
    host: number,
  ): { interfaces: Record<string, { segment: string; addresses: string[] }> } => ({
    interfaces: {
      lan: { segment: 'lan', addresses: [`192.0.2.${host}/24`, `2001:db8:1::${host}/64`] },
      wan: { segment: 'wan', addresses: [`198.51.100.${host}/24`, `2001:db8:2::${host}/64`] },
    },
  });
  return Network.create({
    segments: ['lan', 'wan'],
    hosts: {
      fw1: { ...firewall(1), forwarding: true },
      fw2: { ...firewall(2), forwarding: true },
      client: { interfaces: { lan: { segment: 'lan', addresses: ['192.0.2.10/24', '2001:db8:1::10/64'] } } },
    },
  });
}

/** The virtual addresses of `edge`, the group of a pair. */
export const edgeAddresses = {
  lan: ['192.0.2.254', '2001:db8:1::fe'],
  wan: ['198.51.100.254', '2001:db8:2::fe'],
} as const;

/** The group of a pair: lan and wan, IPv4 and IPv6. */
export function edge(settings: Omit<GroupPlan, 'instances'>): Record<'edge', GroupPlan> {
  return {
    edge: {
      ...settings,
      instances: {
        lan: { interface: 'lan', vrid: 51, addresses: ['192.0.2.254/24', '2001:db8:1::fe/64'] },
        wan: { interface: 'wan', vrid: 52, addresses: ['198.51.100.254/24', '2001:db8:2::fe/64'] },
      },
    },
  };
}

/** The adverts of a capture so far that match. */
export function adverts(capture: Capture, matching: Partial<Advert>): readonly Advert[] {
  return capture.all('advert').filter((advert) => matches(advert, matching));
}

export function matches(advert: Advert, matching: Partial<Advert>): boolean {
  return Object.entries(matching).every(([key, value]) => advert[key as keyof Advert] === value);
}

/** Gratuitous ARPs and unsolicited Neighbor Advertisements for an address so far. */
export function announcements(capture: Capture, address: string): readonly CapturedFrame[] {
  return capture.frames.filter((frame) => isAnnouncementOf(frame, address));
}

/** The pauses between frames, in ms. */
export function gaps(frames: readonly { readonly at: number }[]): number[] {
  return frames.slice(1).map(({ at }, index) => at - (frames[index]?.at ?? NaN));
}

/** How long the main thread of a process has been ready to run while others had the processor (proc(5), schedstat), in ms:
 *  what a busy machine costs, and nobody else's fault. */
export function waitedForProcessorMs(pid: number): number {
  const [, waitedNs] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ');
  return Number(waitedNs) / 1e6;
}

/** Asks until the answer is the wanted one: for what is counted and not reported.
 *  @throws Error with the last answer */
export async function eventually<Answer>(
  ask: () => Promise<Answer>,
  wanted: (answer: Answer) => boolean,
  withinMs: number,
): Promise<Answer> {
  const until = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > until)
      throw new Error(`not within ${withinMs} ms; the last answer: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
