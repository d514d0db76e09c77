import type { InstanceConfig } from '../config/config.ts';
import type {
  Demotion,
  GroupStateName,
  GroupStatus,
  InstanceStatus,
  RouterStatus,
} from '../control/messages.ts';
import type { Kernel, WantedAddress, WantedRoute, WantedRule } from '../net/kernel.ts';
import { alarmsOf } from '../protocol/alarms.ts';
import { totalDemotion } from '../protocol/demotion.ts';
import { groupState } from '../protocol/group.ts';
import type { VirtualRouter } from '../protocol/machine.ts';
import { type Fault, type Reason, reasonCode, reasonText } from '../protocol/reason.ts';
import { ownPriority } from '../protocol/vrrp-machine.ts';
import { type CounterTable, checksumToSend } from './counters.ts';
import type { FailoverGroup } from './failover-group.ts';
import type { Member } from './member.ts';
import { type OperatorDemotion, demotionStatus } from './operator-demotions.ts';

/** What a snapshot is made of, besides the group. */
export interface StatusSources {
  readonly kernel: Kernel;
  readonly counters: CounterTable;
  /** Monotonic milliseconds. */
  readonly now: number;
  faultsOf(member: Member): readonly Fault[];
  unexamined(member: Member): number;
  operatorDemotion(group: string): OperatorDemotion | undefined;
  /** What goes along with the group: its sessions, trackers, hooks. */
  companions(group: string): Pick<GroupStatus, 'conntrackd' | 'trackers' | 'hooks'>;
}

/** The state of one router in the words of its group. */
function routerState(group: FailoverGroup, router: VirtualRouter): GroupStateName {
  switch (router.state.name) {
    case 'init':
      return groupState(group.value) === 'fault' ? 'fault' : 'init';
    case 'leaving':
      return 'master';
    default:
      return router.state.name;
  }
}

/** Who is master as far as this router knows: itself, or whom it heard last. */
function masterStatus(router: VirtualRouter, now: number): RouterStatus['master'] {
  const { state, heard, primaryAddress } = router;
  if (state.name === 'master' || state.name === 'leaving') {
    return primaryAddress === undefined
      ? null
      : { address: primaryAddress, priority: ownPriority(router), last_heard_ms: 0 };
  }
  if (heard === undefined || heard.advertisement.priority === 0) return null;
  return {
    address: heard.source,
    priority: heard.advertisement.priority,
    last_heard_ms: Math.max(0, Math.round(now - heard.at)),
  };
}

/** The owner of the addresses (priority 255) has them as its own: there, but not by us. */
function ownerHas({ settings }: Member, wanted: WantedAddress, kernel: Kernel): boolean {
  if (settings.priority !== 255) return false;
  const there = kernel.addresses(wanted.interface).find(({ address }) => address === wanted.address);
  return there !== undefined && !there.tentative && !there.dadFailed;
}

function routerStatus(
  group: FailoverGroup,
  member: Member,
  sources: StatusSources,
): RouterStatus | undefined {
  const router = group.value.members.get(member.id);
  if (router === undefined) return undefined;
  const { kernel, counters: table, now } = sources;
  const counters = table.of(group.name, member.id);
  const discarded: Record<string, number> = Object.fromEntries(counters.discarded);
  const unexamined = sources.unexamined(member);
  if (unexamined > 0) discarded['unexamined'] = unexamined;
  return {
    family: member.family,
    state: routerState(group, router),
    priority: member.settings.priority,
    effective_priority: ownPriority(router),
    source: router.primaryAddress ?? null,
    faults: sources.faultsOf(member),
    master: masterStatus(router, now),
    checksum:
      member.family === 'ipv6'
        ? null
        : {
            sent: checksumToSend(member.instance.checksum, member.family, counters),
            heard: counters.checksumHeard ?? null,
          },
    addresses: member.wanted.map((wanted) => ({
      address: `${wanted.address}/${wanted.prefixLength}`,
      interface: wanted.interface,
      present: kernel.present(wanted) || ownerHas(member, wanted, kernel),
    })),
    counters: { sent: counters.sent, received: counters.received + unexamined, discarded },
  };
}

function demotionsOf(group: FailoverGroup, sources: StatusSources): Demotion[] {
  const operator = sources.operatorDemotion(group.name);
  return group.demotions.map(({ source, value }) =>
    source === 'operator' && operator !== undefined ? demotionStatus(operator) : { source, value },
  );
}

function routingStatus({ members }: FailoverGroup, kernel: Kernel): GroupStatus['routing'] {
  return members.flatMap(({ routes, rules }) => [
    ...routes.map((route) => ({ text: routeText(route), present: kernel.presentRoute(route) })),
    ...rules.map((rule) => ({ text: ruleText(rule), present: kernel.presentRule(rule) })),
  ]);
}

/** As ip-route(8) has it. */
function routeText({ to, via, interface: name, source, table, metric }: WantedRoute): string {
  const parts = { via, dev: name, src: source, table: table === 254 ? undefined : table, metric };
  return ['route', to, ...words(parts)].join(' ');
}

/** As ip-rule(8) has it. */
function ruleText({ family, from, to, fwmark, iif, oif, table, preference }: WantedRule): string {
  const mark =
    fwmark === undefined ? undefined : `0x${fwmark.value.toString(16)}/0x${fwmark.mask.toString(16)}`;
  return ['rule', family, ...words({ from, to, fwmark: mark, iif, oif, table, pref: preference })].join(' ');
}

function words(parts: Readonly<Record<string, string | number | undefined>>): string[] {
  return Object.entries(parts).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]));
}

/** Why the group is what it is: what brought it there, or, out of the election, what keeps it there now. */
function currentReason({ state, since, value }: FailoverGroup): Reason {
  const [fault] = value.faults;
  return state === 'fault' && fault !== undefined ? { code: 'fault', fault } : since.reason;
}

/** One group as `status` shows it. */
export function groupStatus(group: FailoverGroup, sources: StatusSources): GroupStatus {
  const { at } = group.since;
  const reason = currentReason(group);
  const instances = new Map<InstanceConfig, RouterStatus[]>();
  for (const member of group.members) {
    const router = routerStatus(group, member, sources);
    if (router === undefined) continue;
    instances.set(member.instance, [...(instances.get(member.instance) ?? []), router]);
  }
  return {
    name: group.name,
    state: group.state,
    since: at.toISOString(),
    reason: reasonCode(reason),
    reason_text: reasonText(reason),
    demotion: totalDemotion(group.demotions),
    demotions: demotionsOf(group, sources),
    transitions: group.transitions,
    handing_over: group.handingOver,
    alarms: alarmsOf(group.value, sources.now, group.since.monotonicAt),
    routing: routingStatus(group, sources.kernel),
    ...sources.companions(group.name),
    instances: [...instances].map(([instance, routers]): InstanceStatus => ({
      name: instance.name,
      interface: instance.interface,
      vrid: instance.vrid,
      protocol: instance.protocol,
      interval_ms: instance.intervalMs,
      routers,
    })),
  };
}
