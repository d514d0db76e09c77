import { Havrrp } from '../bench/havrrp.ts';
import { Keepalived } from '../bench/keepalived.ts';
import type { Host } from '../bench/network.ts';

/** A VRRP daemon on a host, whoever wrote it: one Virtual Router for one IPv4 address. */
export interface Router extends AsyncDisposable {
  readonly log: string;
  /** Priority 0, and until it is gone. */
  stop(): Promise<unknown>;
  /** Without a word. */
  crash(): Promise<unknown>;
  residentKib(): number;
}

export interface RouterPlan {
  readonly interface: string;
  readonly vrid: number;
  readonly priority: number;
  readonly intervalMs: number;
  /** `10.0.0.1/24` */
  readonly address: string;
}

export const contestants: Readonly<Record<string, (host: Host, plan: RouterPlan) => Promise<Router>>> = {
  havrrp: (host, { interface: interfaceName, vrid, priority, intervalMs, address }) =>
    Havrrp.start(
      host,
      [
        'groups:',
        '  router:',
        `    priority: ${priority}`,
        `    interval: ${intervalMs}ms`,
        `    instances: { lan: { interface: ${interfaceName}, vrid: ${vrid}, addresses: [${address}] } }`,
        '',
      ].join('\n'),
    ),
  keepalived: (host, { address, ...plan }) =>
    Keepalived.start(host, { instances: [{ name: 'lan', addresses: [address], ...plan }] }),
};
