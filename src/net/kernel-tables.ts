import { KernelError } from '../errors.ts';
import { type Mirror, emptyMirror, hear, hearDump, subjectOf } from './mirror.ts';
import type { Native } from './native.ts';
import { type Answer, Netlink, type Request } from './netlink.ts';
import { type Message, dumpAddresses, dumpLinks } from './rtnetlink-messages.ts';

// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR
const groups = [1, 5, 9];

const lookAttempts = 10;
const blindRetryMs = 1000;

const links: Request = { command: dumpLinks(), operation: 'list', target: 'links' };
const addresses: Request = { command: dumpAddresses(), operation: 'list', target: 'addresses' };

export interface TablesHandlers {
  /** News of these interfaces, before what is queued behind the news is read. */
  readonly onNews: (interfaces: ReadonlySet<string>) => void;
  /** Something changed. Once in a turn of the loop. */
  readonly onChange: () => void;
  /** News were lost, and everything was looked at again: anything may be different. */
  readonly onLookedAgain: () => void;
  /** The look failed: what is known is old, nothing can be asked. Tried again every second. */
  readonly onBlind: (error: KernelError) => void;
}

/** The kernel's tables of links and addresses: dumped once, then kept up by news, and dumped again when news were lost. */
export class KernelTables {
  readonly mirror: Mirror = emptyMirror();
  readonly #netlink: Netlink;
  readonly #handlers: TablesHandlers;
  #looking = true;
  #blindness: KernelError | undefined;
  /** While a dump is under way: what was heard of since it was asked for. */
  #news: Set<string> | undefined;
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
  async readIpv6(interfaceIndex: number): Promise<void> {
    // One dump at a time; and a look shows everything.
    if (!this.inSight) return;
    const news = (this.#news = new Set());
    const command = dumpAddresses({ family: 'ipv6', interfaceIndex });
    const { messages } = await this.#netlink.dump({ ...addresses, command });
    if (!this.inSight) return;
    this.#news = undefined;
    this.#hear(messages.filter((message) => !news.has(subjectOf(message)?.key ?? '')));
    this.#tell();
  }

  #hear(messages: readonly Message[]): void {
    const interfaces = new Set<string>();
    for (const message of messages) {
      const subject = subjectOf(message);
      if (subject === undefined) continue;
      this.#news?.add(subject.key);
      if (!hear(this.mirror, message)) continue;
      this.#changed = true;
      const link = this.mirror.links.get(subject.interfaceIndex);
      if (link !== undefined) interfaces.add(link.name);
    }
    if (interfaces.size > 0) this.#handlers.onNews(interfaces);
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
      const news = (this.#news = new Set());
      const linkDump = await this.#netlink.dump(links);
      if (linkDump.result === 'refused') return linkDump.error;
      const addressDump = await this.#netlink.dump(addresses);
      if (addressDump.result === 'refused') return addressDump.error;
      // The last of the dumps may have been read together with the end of the socket.
      if (linkDump.result === 'lost' || addressDump.result === 'lost' || !this.#netlink.isOpen) continue;
      hearDump(this.mirror, [...linkDump.messages, ...addressDump.messages], news);
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
