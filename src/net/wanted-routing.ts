import type { Mirror } from './mirror.ts';
import {
  type RouteMessage,
  type RuleMessage,
  addRoute,
  addRule,
  defaultPrefix,
  deleteRoute,
  deleteRule,
  unicast,
} from './routing-messages.ts';
import { ourRoutingProtocol, routeKey, ruleKey } from './routing-mirror.ts';
import { noInterface } from './wanted-addresses.ts';
import type { Obstacle, RouteItem, RuleItem, WantedRoute, WantedRule } from './wants.ts';

/** Wanted routes and rules: what the kernel has of them and what it is told. */

const routeWords = {
  EEXIST:
    'another program has a route there with the same metric: remove it, or give this one another metric',
  EHOSTUNREACH: 'no interface of this host leads to the gateway',
};

const ruleWords = { EEXIST: 'another program has configured the same rule: remove it there' };

/** The kernel would blame the gateway. */
const linkDown: Obstacle = { errno: 100, code: 'ENETDOWN', detail: 'the interface is set down' };

export function routeItem(wanted: WantedRoute): RouteItem {
  const { interface: name } = wanted;
  const key = routeKey(routeMessage(wanted, undefined));
  return {
    type: 'route',
    wanted,
    key,
    target: routeText(wanted),
    find: (mirror) => {
      const route = mirror.routes.get(key);
      if (route === undefined) return undefined;
      const works = leadsAsWanted(route, wanted, mirror);
      return { ours: true, works, remove: () => deleteRoute(route) };
    },
    obstacle: (mirror) => {
      if (name === undefined) return undefined;
      const link = mirror.links.get(mirror.indexes.get(name) ?? -1);
      if (link === undefined) return noInterface;
      return link.adminUp ? undefined : linkDown;
    },
    add: ({ indexes }) => addRoute(routeMessage(wanted, name === undefined ? undefined : indexes.get(name))),
    words: routeWords,
  };
}

/** It is from before a change of configuration, has lost its source, or another program has changed it in our name. */
function leadsAsWanted(route: RouteMessage, wanted: WantedRoute, { indexes }: Mirror): boolean {
  const { interface: name, via, source, onlink } = wanted;
  return (
    route.type === unicast &&
    route.via === via &&
    (name === undefined || route.interfaceIndex === indexes.get(name)) &&
    route.source === source &&
    route.onlink === onlink
  );
}

function routeMessage(wanted: WantedRoute, interfaceIndex: number | undefined): RouteMessage {
  const { family, to, via, source, table, metric = 0, onlink } = wanted;
  const protocol = ourRoutingProtocol;
  return { family, to, table, metric, via, interfaceIndex, source, onlink, type: unicast, protocol };
}

/** As ip-route(8) would have it. */
function routeText({ to, via, interface: name, source, table, metric, onlink }: WantedRoute): string {
  const words = [
    to,
    via !== undefined && `via ${via}`,
    name !== undefined && `dev ${name}`,
    source !== undefined && `src ${source}`,
    `table ${table}`,
    metric !== undefined && `metric ${metric}`,
    onlink && 'onlink',
  ];
  return words.filter(Boolean).join(' ');
}

export function ruleItem(wanted: WantedRule): RuleItem {
  const message = ruleMessage(wanted);
  const key = ruleKey(message);
  return {
    type: 'rule',
    wanted,
    key,
    target: ruleText(wanted),
    find: ({ rules }) => {
      return rules.has(key) ? { ours: true, works: true, remove: () => deleteRule(message) } : undefined;
    },
    // A rule may name interfaces that are not there yet.
    obstacle: () => undefined,
    add: () => addRule(message),
    words: ruleWords,
  };
}

function ruleMessage(wanted: WantedRule): RuleMessage {
  const { family, fwmark, iif, oif, table, preference } = wanted;
  const { from = defaultPrefix(family), to = defaultPrefix(family) } = wanted;
  const { value: mark, mask } = fwmark ?? { value: 0, mask: 0 };
  return { family, from, to, mark, mask, iif, oif, table, preference, protocol: ourRoutingProtocol };
}

/** As ip-rule(8) would have it. */
function ruleText({ family, from, to, fwmark, iif, oif, table, preference }: WantedRule): string {
  const words = [
    `${family} from ${from ?? 'all'}`,
    to !== undefined && `to ${to}`,
    fwmark !== undefined && `fwmark 0x${fwmark.value.toString(16)}/0x${fwmark.mask.toString(16)}`,
    iif !== undefined && `iif ${iif}`,
    oif !== undefined && `oif ${oif}`,
    `table ${table} preference ${preference}`,
  ];
  return words.filter(Boolean).join(' ');
}

/** What `routeItem` would keep as it is. */
export function wantedFromRoute(route: RouteMessage, { links }: Mirror): WantedRoute {
  const { family, to, via, interfaceIndex, source, table, metric, onlink } = route;
  return { family, to, via, interface: links.get(interfaceIndex ?? -1)?.name, source, table, metric, onlink };
}

/** What `ruleItem` would keep as it is. */
export function wantedFromRule(rule: RuleMessage): WantedRule {
  const { family, from, to, mark, mask, iif, oif, table, preference } = rule;
  const everybody = defaultPrefix(family);
  return {
    family,
    from: from === everybody ? undefined : from,
    to: to === everybody ? undefined : to,
    fwmark: mark === 0 && mask === 0 ? undefined : { value: mark, mask },
    iif,
    oif,
    table,
    preference,
  };
}
