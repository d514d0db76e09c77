import { KernelError } from '../errors.ts';
import { type Family, families } from '../protocol/address.ts';
import {
  type Mirror,
  type News,
  emptyMirror,
  hear,
  hearDump,
  interfaceOf,
  noNews,
  isStale,
} from './mirror.ts';
import type { Native } from './native.ts';
import { type Answer, Netlink, type Request } from './netlink.ts';
import { routingFilter } from './routing-filter.ts';
import { dumpRoutes, dumpRules } from './routing-messages.ts';
import { ourRoutingProtocol, routeKey, ruleKey } from './routing-mirror.ts';
import { type Message, dumpAddresses, dumpLinks } from './rtnetlink-messages.ts';

// RTNLGRP_LINK; _IFADDR, _ROUTE and _RULE of RTNLGRP_IPV4 and of RTNLGRP_IPV6
const groups = [1, 5, 7, 8, 9, 11, 19];

const lookAttempts = 10;
const blindRetryMs = 1000;

const links: Request = { command: dumpLinks(), operation: 'list', target: 'links' };
const addresses: Request = { command: dumpAddresses(), operation: 'list', target: 'addresses' };
/** A kernel without IPv6, or without policy routing, refuses some of these: there it has none. */
const routing: readonly Request[] = families.flatMap((family) => [
  { command: dumpRoutes(family, ourRoutingProtocol), operation: 'list', target: `${family} routes` },
  { command: dumpRules(family), operation: 'list', target: `${family} rules` },
]);

export interface WhatIsNew {
  /** By name: the links, or their addresses. One that is gone has none. */
  readonly interfaces: ReadonlySet<string>;
  readonly anyInterface: boolean;
  /** The routes and rules somebody touched: ours, or what may stand in their place. */
  readonly keys: ReadonlySet<string>;
}

export interface TablesHandlers {
  /** Before what is queued behind the news is read. */
  readonly onNews: (news: WhatIsNew) => void;
  /** Something changed. Once in a turn of the loop. */
  readonly onChange: () => void;
  /** News were lost, and everything was looked at again: anything may be different. */
  readonly onLookedAgain: () => void;
  /** The look failed: what is known is old, nothing can be asked. Tried again every second. */
  readonly onBlind: (error: KernelError) => void;
}

/** The kernel's tables of links and addresses, and of our routes and rules: dumped once, then kept up by news, and dumped
 *  again when news were lost. */
export class KernelTables {
  readonly mirror: Mirror = emptyMirror();
  readonly #netlink: Netlink;
  readonly #handlers: TablesHandlers;
  #looking = true;
  #blindness: KernelError | undefined;
  /** While a dump is under way: what was heard of since it was asked for. */
  #news: News | undefined;
  #changed = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(native: Native, handlers: TablesHandlers) {
    this.#handlers = handlers;
    this.#netlink = new Netlink(native, groups, {
      onMessages: (messages) => this.#hear(messages),
      onRead: () => this.#tell(),
      onLost: () => void this.#lookAgain(),
    });
    this.listenTo([]);
  }

  /** Hears of what others do to routes like these, too. */
  listenTo(routes: Parameters<typeof routingFilter>[0]): void {
    this.#netlink.filter(routingFilter(routes));
  }

  /** @throws KernelError when they cannot be read */
  async open(): Promise<void> {
    const error = await this.#look();
    if (error === undefined) return;
    this.close();
    throw error;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#netlink.close();
  }

  get counters(): Readonly<Netlink['counters']> {
    return this.#netlink.counters;
  }

  /** Whether the mirror is true, and requests make sense. */
  get inSight(): boolean {
    return !this.#looking && this.#blindness === undefined && !this.#closed;
  }

  /** Why the tables cannot be read; undefined while they can, or while that is being found out. */
  get blindness(): KernelError | undefined {
    return this.#looking ? undefined : this.#blindness;
  }

  /** As `Netlink.batch`. */
  batch(requests: readonly Request[]): Promise<Answer[]> {
    return this.#netlink.batch(requests);
  }

  /** The links as they are now, with what no news are sent of: sysctls.
   *  @returns what could be learned */
  async linksNow(): Promise<readonly Message[]> {
    return this.inSight ? (await this.#netlink.dump(links)).messages : [];
  }

  /** Reads the IPv6 addresses of an interface. The kernel sends word of a new one only when its duplicate address detection
   *  has come to it, after the answer to the request, even where there is none to be made. */
  readIpv6(interfaceIndex: number): Promise<void> {
    return this.#read({ ...addresses, command: dumpAddresses({ family: 'ipv6', interfaceIndex }) });
  }

  /** Reads our routes of one table. */
  readRoutes(family: Family, table: number): Promise<void> {
    const command = dumpRoutes(family, ourRoutingProtocol, table);
    return this.#read({ command, operation: 'list', target: `${family} routes` });
  }

  async #read(request: Request): Promise<void> {
    // One dump at a time; and a look shows everything.
    if (!this.inSight) return;
    const news = (this.#news = noNews());
    const { messages } = await this.#netlink.dump(request);
    if (!this.inSight) return;
    this.#news = undefined;
    this.#hear(messages.filter((message) => !isStale(message, news)));
    this.#tell();
  }

  #hear(messages: readonly Message[]): void {
    const interfaces = new Set<string>();
    const keys = new Set<string>();
    let anyInterface = false;
    for (const message of messages) {
      const isNew = hear(this.mirror, message, this.#news);
      this.#changed ||= isNew;
      if (message.type === 'route') keys.add(routeKey(message.route));
      else if (message.type === 'rule') keys.add(ruleKey(message.rule));
      else if (isNew) {
        anyInterface = true;
        const name = this.mirror.links.get(interfaceOf(message) ?? -1)?.name;
        if (name !== undefined) interfaces.add(name);
      }
    }
    if (anyInterface || keys.size > 0) this.#handlers.onNews({ interfaces, anyInterface, keys });
  }

  #tell(): void {
    if (!this.#changed || this.#looking) return;
    this.#changed = false;
    this.#handlers.onChange();
  }

  async #lookAgain(): Promise<void> {
    // Lost again while looking: the look begins anew by itself.
    if (this.#closed || this.#looking) return;
    const error = await this.#look();
    if (this.#closed) return;
    if (error !== undefined) {
      this.#handlers.onBlind(error);
      this.#retry = setTimeout(() => void this.#lookAgain(), blindRetryMs);
      return;
    }
    this.#handlers.onLookedAgain();
    this.#changed = true;
    this.#tell();
  }

  async #look(): Promise<KernelError | undefined> {
    this.#looking = true;
    this.#blindness = await this.#readTables();
    this.#looking = false;
    return this.#blindness;
  }

  /** Dumps everything, on a new socket if the last one was lost.
   *  @returns what is in the way of it */
  async #readTables(): Promise<KernelError | undefined> {
    for (let attempt = 0; attempt < lookAttempts && !this.#closed; attempt += 1) {
      try {
        if (!this.#netlink.isOpen) this.#netlink.open();
      } catch (error) {
        if (error instanceof KernelError) return error;
        throw error;
      }
      const news = (this.#news = noNews());
      const dump: Message[] = [];
      let lost = false;
      for (const request of [links, addresses, ...routing]) {
        const answer = await this.#netlink.dump(request);
        if (answer.result === 'refused' && !routing.includes(request)) return answer.error;
        lost ||= answer.result === 'lost';
        dump.push(...answer.messages);
      }
      // The last of the dumps may have been read together with the end of the socket.
      if (lost || !this.#netlink.isOpen) continue;
      hearDump(this.mirror, dump, news);
      this.#news = undefined;
      return undefined;
    }
    return new KernelError({
      errno: 105,
      code: 'ENOBUFS',
      operation: 'list',
      target: 'links and addresses',
      detail: 'they change faster than they can be read',
    });
  }
}
