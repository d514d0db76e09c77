import { isDeepStrictEqual } from 'node:util';
import type { RouteMessage, RuleMessage } from './routing-messages.ts';

/** The routes and rules the kernel has of ours, as its messages tell them. Those of others are only looked at: they may be
 *  hundreds of thousands. Pure. */

/** RTPROT of the routes and rules havrrp configures, and how a restarted daemon knows them: VRRP's and CARP's protocol number.
 *  rt_protos(5) gives it to nobody; keepalived has 18. */
export const ourRoutingProtocol = 112;

export interface Routing {
  /** By `routeKey`. */
  readonly routes: Map<string, RouteMessage>;
  /** By `ruleKey`. */
  readonly rules: Map<string, RuleMessage>;
}

export function emptyRouting(): Routing {
  return { routes: new Map(), rules: new Map() };
}

/** What can be only once in a table: the kernel refuses a second one, whoever configured the first. */
export function routeKey({
  family,
  to,
  table,
  metric,
}: Pick<RouteMessage, 'family' | 'to' | 'table' | 'metric'>): string {
  return `${to} table ${table} metric ${family === 'ipv6' && metric === 0 ? 1024 : metric}`;
}

export function ruleKey(rule: Omit<RuleMessage, 'family' | 'protocol'>): string {
  const { from, to, mark, mask, iif = '', oif = '', table, preference } = rule;
  return `${preference}: from ${from} to ${to} fwmark ${mark}/${mask} iif ${iif} oif ${oif} table ${table}`;
}

export function isOurs({ protocol }: { readonly protocol: number }): boolean {
  return protocol === ourRoutingProtocol;
}

/** @returns whether it told anything new of ours */
export function hearRoute(
  { routes }: Routing,
  route: RouteMessage,
  { gone, replaces }: { readonly gone: boolean; readonly replaces: boolean },
): boolean {
  const key = routeKey(route);
  // Of a route that is replaced there is no RTM_DELROUTE.
  if (!isOurs(route)) return replaces && routes.delete(key);
  if (gone) return routes.delete(key);
  if (isDeepStrictEqual(routes.get(key), route)) return false;
  routes.set(key, route);
  return true;
}

/** @returns whether it told anything new of ours */
export function hearRule({ rules }: Routing, rule: RuleMessage, gone: boolean): boolean {
  if (!isOurs(rule)) return false;
  const key = ruleKey(rule);
  if (gone) return rules.delete(key);
  const isNew = !rules.has(key);
  rules.set(key, rule);
  return isNew;
}

// ---- what the kernel does to routes without a word about them ----
// Rather too much is believed lost than too little: what is added needlessly is refused, and read then.

/** What is left of a route; undefined: nothing. */
export type Loss = (route: RouteMessage) => RouteMessage | undefined;

/** With a link that goes down or away go its routes: IPv4 ones always unannounced, IPv6 ones where skip_notify_on_dev_down
 *  says so. */
export function withoutLink(index: number): Loss {
  return (route) => (route.interfaceIndex === index ? undefined : route);
}

/** With an IPv4 address go the routes of the main table that have it for a source (announced since Linux 6.7), and with an
 *  interface's last one all IPv4 routes of the interface. IPv6 routes stay, without their source.
 *  @param address gone from all interfaces
 *  @param unnumbered an interface that has no IPv4 address left */
export function withoutAddress(address: string | undefined, unnumbered: number | undefined): Loss {
  return (route) => {
    const isSource = address !== undefined && route.source === address;
    if (route.family === 'ipv6') return isSource ? { ...route, source: undefined } : route;
    return isSource || (unnumbered !== undefined && route.interfaceIndex === unnumbered) ? undefined : route;
  };
}

/** @returns whether anything was lost */
export function loseRoutes({ routes }: Routing, loss: Loss): boolean {
  let lost = false;
  for (const [key, route] of routes) {
    const left = loss(route);
    if (left === route) continue;
    lost = true;
    if (left === undefined) routes.delete(key);
    else routes.set(key, left);
  }
  return lost;
}
