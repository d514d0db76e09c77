import { must } from './child.ts';
import type { Host } from './network.ts';

/** The ruleset of a firewall between a LAN and a WAN. */
export interface RulesetPlan {
  readonly lan: string;
  readonly wan: string;
  readonly sync: string;
  /** Sessions from the LAN go out under this address, the virtual one: never under a node's own, which does not move. */
  readonly snat: string;
  /** What most boxes have: INPUT accepts, INVALID is not dropped, half-known sessions are picked up (`tcp_loose`). There a
   *  session without its entry does not wait for it: it is reset. */
  readonly sloppy?: boolean;
}

/** Loads the ruleset, and the settings of the kernel that belong to it. */
export async function loadRuleset(host: Host, plan: RulesetPlan): Promise<void> {
  await must('nft', ['-f', '-'], { namespace: host.namespace, input: ruleset(plan) });
  await host.setSysctls({ 'net/netfilter/nf_conntrack_tcp_loose': plan.sloppy === true ? '1' : '0' });
}

export function ruleset({ lan, wan, sync, snat, sloppy = false }: RulesetPlan): string {
  const strict = (rule: string): readonly string[] => (sloppy ? [] : [rule]);
  return `flush ruleset
table inet filter {
  chain untracked-in {
    type filter hook prerouting priority raw;
    iifname "${sync}" udp dport 3780 notrack
    meta l4proto 112 notrack
  }
  chain untracked-out {
    type filter hook output priority raw;
    oifname "${sync}" udp dport 3780 notrack
    meta l4proto 112 notrack
  }
  chain input {
    type filter hook input priority filter; policy ${sloppy ? 'accept' : 'drop'};
    ${strict('ct state invalid drop').join('')}
    ct state established,related accept
    iifname "lo" accept
    iifname "${sync}" udp dport 3780 accept
    meta l4proto { 112, icmp, ipv6-icmp } accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ${strict('ct state invalid drop').join('')}
    ct state established,related accept
    iifname "${lan}" oifname "${wan}" tcp ${sloppy ? 'dport 0-65535' : 'flags & (fin|syn|rst|ack) == syn'} ct state new accept
    iifname "${lan}" oifname "${wan}" meta l4proto { udp, icmp, ipv6-icmp } ct state new accept
  }
}
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    iifname "${lan}" oifname "${wan}" snat to ${snat}
  }
}
`;
}
