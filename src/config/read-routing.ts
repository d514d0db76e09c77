import { families, familyOf, isLinkLocal } from '../protocol/address.ts';
import type { Family } from '../protocol/address.ts';
import type { RouteConfig, RuleConfig } from './config.ts';
import { mainTable, routeKeys, ruleKeys } from './group-schema.ts';
import { formatPrefix } from './prefix.ts';
import type { Prefix } from './prefix.ts';
import type { Entry, Reader, Section } from './reader.ts';
import { familyName } from './rules.ts';
import { groupKeys } from './schema.ts';

/** A route, or a routing rule, that is right by itself, and where it stands. */
export interface Placed<Config> {
  readonly config: Config;
  readonly at: number;
}

const anywhere: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0/0', ipv6: '::/0' };

/** IP6_RT_PRIO_USER: what the kernel makes of an IPv6 route without a metric. */
const defaultMetric: Readonly<Record<Family, number>> = { ipv4: 0, ipv6: 1024 };

export function readRoutes(reader: Reader, group: Section<typeof groupKeys>): Placed<RouteConfig>[] {
  const list = reader.find(group, 'routes');
  const items = (list && reader.items(list, 'route', groupKeys.routes)) ?? [];
  return items.map((item) => readRoute(reader, item)).filter((each) => each !== undefined);
}

function readRoute(reader: Reader, entry: Entry): Placed<RouteConfig> | undefined {
  const before = reader.complaintCount;
  const route = reader.section(entry, routeKeys, 'the route');
  const to = reader.get(route, 'to');
  const via = reader.get(route, 'via');
  const source = reader.get(route, 'source');
  const rest = {
    interface: reader.get(route, 'interface'),
    table: tableNumber(reader.get(route, 'table')),
    onlink: reader.get(route, 'onlink'),
  };
  const metric = reader.get(route, 'metric');
  checkWay(reader, route, via);
  if (to === undefined) return undefined;
  const family = to === 'default' ? familyOf(via ?? source ?? anywhere.ipv4) : to.family;
  if (metric === 0 && family === 'ipv6') {
    const at = route.entries.get('metric')?.at ?? route.at;
    reader.complain(at, 'metric 0 on an IPv6 route', 'use 1 and up: the kernel makes 1024 of 0');
  }
  for (const name of ['via', 'source'] as const) {
    const address = name === 'via' ? via : source;
    if (address === undefined || familyOf(address) === family) continue;
    const by = to === 'default' ? `via ${via ?? ''}` : `to ${formatPrefix(to)}`;
    const what = `${name} ${address} is an ${familyName[familyOf(address)]} address, ${by} is ${familyName[family]}`;
    reader.complain(route.entries.get(name)?.at ?? route.at, what, 'use addresses of one family');
  }
  if (reader.complaintCount > before) return undefined;
  const config: RouteConfig = {
    family,
    to: to === 'default' ? anywhere[family] : formatPrefix(to),
    via,
    source,
    ...rest,
    metric: metric ?? defaultMetric[family],
  };
  return { config, at: route.at };
}

/** What the kernel needs to know of the next hop. */
function checkWay(reader: Reader, route: Section<typeof routeKeys>, via: string | undefined): void {
  const has = (name: 'via' | 'interface'): boolean => route.entries.has(name) || route.misspelt.has(name);
  if (!has('via') && !has('interface')) {
    reader.complain(route.at, 'the route leads nowhere', 'add via: ADDRESS, or interface: NAME, or both');
  }
  if (via !== undefined && isLinkLocal(via) && !has('interface')) {
    const at = route.entries.get('via')?.at ?? route.at;
    reader.complain(at, `via ${via} is another one on each link`, 'add interface: NAME');
  }
  const onlink = route.entries.get('onlink');
  if (onlink !== undefined && reader.word(onlink) === 'true' && !(has('via') && has('interface'))) {
    reader.complain(onlink.keyAt, 'onlink without both via and interface', 'add the other, or remove onlink');
  }
}

/** The rules of a group, one for each family: those without an address are for every family the group has to do with.
 *  @param used families of its addresses and routes */
export function readRules(
  reader: Reader,
  group: Section<typeof groupKeys>,
  used: ReadonlySet<Family>,
): Placed<RuleConfig>[] {
  const list = reader.find(group, 'rules');
  const items = (list && reader.items(list, 'rule', groupKeys.rules)) ?? [];
  return items.flatMap((item) => readRule(reader, item, used));
}

const selectors = ['from', 'to', 'fwmark', 'iif', 'oif'] as const;

function readRule(reader: Reader, entry: Entry, used: ReadonlySet<Family>): Placed<RuleConfig>[] {
  const before = reader.complaintCount;
  const rule = reader.section(entry, ruleKeys, 'the rule');
  const from = reader.get(rule, 'from');
  const to = reader.get(rule, 'to');
  const rest = {
    fwmark: reader.get(rule, 'fwmark'),
    iif: reader.get(rule, 'iif'),
    oif: reader.get(rule, 'oif'),
    preference: reader.get(rule, 'preference'),
  };
  const table = reader.get(rule, 'table');
  if (!selectors.some((name) => rule.entries.has(name)) && rule.misspelt.size === 0) {
    const fix = 'add from, to, fwmark, iif or oif; from: 0.0.0.0/0 is all of IPv4';
    reader.complain(rule.at, 'the rule does not say for what', fix);
  }
  if (from !== undefined && to !== undefined && from.family !== to.family) {
    const what = `from is ${familyName[from.family]}, to is ${familyName[to.family]}`;
    reader.complain(rule.entries.get('to')?.at ?? rule.at, what, 'use networks of one family');
  }
  if (table === undefined || reader.complaintCount > before) return [];
  const own = from?.family ?? to?.family;
  const inFamilies = own === undefined ? families.filter((each) => used.has(each)) : [own];
  return inFamilies.map((family) => ({
    config: { family, from: network(from), to: network(to), ...rest, table: tableNumber(table) },
    at: rule.at,
  }));
}

function tableNumber(table: number | 'main'): number {
  return table === 'main' ? mainTable : table;
}

/** A prefix of length 0 says the family and nothing else. */
function network(prefix: Prefix | undefined): string | undefined {
  return prefix === undefined || prefix.prefixLength === 0 ? undefined : formatPrefix(prefix);
}

/** No two routes to one network with one metric in one table: the kernel takes the second for the first. */
export function checkRoutes(reader: Reader, routes: readonly Placed<RouteConfig>[]): void {
  refuseSecond(reader, routes, ({ to, table, metric }) => ({
    key: `${to} ${table} ${metric}`,
    what: `a route to ${to} in table ${table} with metric ${metric}`,
    fix: 'keep one, or give it another metric',
  }));
}

/** No rule is there twice: the first group that leaves would take it away from the other. */
export function checkRules(reader: Reader, rules: readonly Placed<RuleConfig>[]): void {
  refuseSecond(reader, rules, (rule) => ({ key: JSON.stringify(rule), what: 'this rule', fix: 'keep one' }));
}

function refuseSecond<Config>(
  reader: Reader,
  all: readonly Placed<Config>[],
  describe: (config: Config) => { readonly key: string; readonly what: string; readonly fix: string },
): void {
  const first = new Map<string, number>();
  for (const { config, at } of all) {
    const { key, what, fix } = describe(config);
    const known = first.get(key);
    if (known === undefined) first.set(key, at);
    else reader.complain(at, `${what} is here twice: first at ${reader.place(known)}`, fix);
  }
}
