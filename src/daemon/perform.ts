import type { Logger } from 'pino';
import { KernelError, unreachable } from '../errors.ts';
import type { DeadlineTimer } from '../net/deadline-timer.ts';
import { isDeepStrictEqual } from 'node:util';
import type { ClaimOutcome, Holdings, Kernel, WantedAddress } from '../net/kernel.ts';
import type { Native } from '../net/native.ts';
import type { GroupAction } from '../protocol/group.ts';
import type { Fault } from '../protocol/reason.ts';
import { encodeAdvertisement, multicastContext } from '../protocol/vrrp-packet.ts';
import { Announcer } from './announcer.ts';
import { type CounterTable, checksumToSend } from './counters.ts';
import type { FailoverGroup } from './failover-group.ts';
import type { Member } from './member.ts';
import type { RateLimit } from './rate-limit.ts';
import type { Sessions } from './sessions.ts';
import type { Wires } from './wires.ts';

/** What one router holds on this host while it is master. */
interface Holding {
  readonly announcer: Announcer;
  /** What was claimed and not released. */
  wanted: readonly WantedAddress[];
  /** The member as it was claimed for. */
  member: Member;
  /** Resolves when the kernel has done what it was asked so far. */
  claimed: Promise<void>;
}

/** Turns the actions of a group into Advertisements, addresses and announcements. What the kernel answers goes back as a fact. */
export class Performer {
  readonly #native: Native;
  readonly #timer: DeadlineTimer;
  readonly #wires: Wires;
  readonly #kernel: Kernel;
  readonly #counters: CounterTable;
  readonly #log: Logger;
  readonly #limit: RateLimit;
  readonly #sessions: Sessions;
  readonly #onClaimFailed: (group: FailoverGroup, member: Member, fault: Fault) => void;
  readonly #onTransition: (
    group: FailoverGroup,
    action: Extract<GroupAction, { type: 'report-transition' }>,
  ) => void;
  readonly #holdings = new Map<string, Holding>();

  constructor(options: {
    native: Native;
    timer: DeadlineTimer;
    wires: Wires;
    kernel: Kernel;
    counters: CounterTable;
    log: Logger;
    limit: RateLimit;
    sessions: Sessions;
    onClaimFailed: (group: FailoverGroup, member: Member, fault: Fault) => void;
    onTransition: (group: FailoverGroup, action: Extract<GroupAction, { type: 'report-transition' }>) => void;
  }) {
    this.#native = options.native;
    this.#timer = options.timer;
    this.#wires = options.wires;
    this.#kernel = options.kernel;
    this.#counters = options.counters;
    this.#log = options.log;
    this.#limit = options.limit;
    this.#sessions = options.sessions;
    this.#onClaimFailed = options.onClaimFailed;
    this.#onTransition = options.onTransition;
  }

  /** Performs what a step asked for, in its order. Claiming goes on in the background; the announcement follows it. */
  perform(group: FailoverGroup, actions: readonly GroupAction[]): void {
    const members = new Map(group.members.map((member) => [member.id, member]));
    for (const action of actions) {
      if (action.type === 'report-transition') {
        this.#onTransition(group, action);
        continue;
      }
      const member = members.get(action.id);
      if (member === undefined) continue;
      switch (action.type) {
        case 'send-advertisement':
          this.#advertise(group, member, action.priority);
          break;
        case 'claim-addresses':
          this.#claim(group, member);
          break;
        case 'announce-addresses':
          this.#announce(group, member);
          break;
        case 'release-addresses':
          this.#release(group, member.id);
          break;
        default:
          unreachable(action);
      }
    }
  }

  #advertise(group: FailoverGroup, member: Member, priority: number): void {
    const { family, instance, settings } = member;
    const counters = this.#counters.of(group.name, member.id);
    const source = group.sourceOf(member.id);
    if (source === undefined) return;
    const { vrid, intervalMs, addresses } = settings;
    const bytes = encodeAdvertisement(
      { vrid, priority, intervalMs, addresses },
      multicastContext(family, source),
      checksumToSend(instance.checksum, family, counters),
    );
    try {
      this.#wires.send(instance.interface, family, bytes, source);
      counters.sent += 1;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      counters.sendFailures += 1;
      const suppressed = this.#limit.pass(`send/${group.name}/${member.id}/${error.code}`);
      if (suppressed === undefined) return;
      this.#log.warn(
        { group: group.name, router: member.id, error: error.message, suppressed },
        'sending failed',
      );
    }
  }

  #claim(group: FailoverGroup, member: Member): void {
    const holding = this.#holding(group, member);
    const isNew = holding.wanted.length === 0;
    holding.wanted = member.wanted;
    holding.member = member;
    // The sessions come before the addresses: a packet for a session that is not here yet would be answered with a reset.
    this.#track(
      holding,
      isNew ? this.#claimAfterSessions(group, member, holding) : this.#claimNow(group, member),
    );
  }

  async #claimAfterSessions(group: FailoverGroup, member: Member, holding: Holding): Promise<void> {
    if (this.#sessions.has(group.name)) await this.#sessions.takeOver(group.name);
    // The role may have been lost meanwhile.
    if (holding.wanted === member.wanted) await this.#claimNow(group, member);
  }

  async #claimNow(group: FailoverGroup, member: Member): Promise<void> {
    const { wanted: addresses, routes, rules } = member;
    const outcomes = await this.#kernel.claimAll(holdingKey(group, member.id), { addresses, routes, rules });
    const refused = outcomes.addresses.find((outcome) => !outcome.ok && isRefusal(member, outcome));
    if (refused !== undefined && !refused.ok) this.#onClaimFailed(group, member, claimFault(refused));
    for (const outcome of [...outcomes.routes, ...outcomes.rules]) {
      if (outcome.ok || outcome.error.code === 'ECANCELED') continue;
      // It is put in as soon as that can be done; until then status says that it is missing.
      this.#log.error({ group: group.name, error: outcome.error.message }, 'a route or rule was refused');
    }
  }

  #announce(group: FailoverGroup, member: Member): void {
    const holding = this.#holding(group, member);
    // Once the addresses are there, if they are still meant to be.
    this.#track(
      holding,
      holding.claimed.then(() => {
        if (holding.wanted.length === 0) return;
        holding.announcer.start(holding.wanted);
        this.#sessions.announced(group.name);
      }),
    );
  }

  #release(group: FailoverGroup, id: string): void {
    const key = holdingKey(group, id);
    const holding = this.#holdings.get(key);
    if (holding === undefined) return;
    holding.wanted = [];
    holding.announcer.stop();
    this.#track(holding, this.#kernel.release(key));
  }

  #holding(group: FailoverGroup, member: Member): Holding {
    const key = holdingKey(group, member.id);
    const present = this.#holdings.get(key);
    if (present !== undefined) {
      present.announcer.configure(member.instance.garp);
      return present;
    }
    const announcer = new Announcer({
      native: this.#native,
      timer: this.#timer,
      wires: this.#wires,
      kernel: this.#kernel,
      log: this.#log,
      garp: member.instance.garp,
    });
    const holding: Holding = { announcer, wanted: [], member, claimed: Promise.resolve() };
    this.#holdings.set(key, holding);
    return holding;
  }

  #track(holding: Holding, work: Promise<void>): void {
    holding.claimed = work.catch((error: unknown) => {
      if (!(error instanceof KernelError)) throw error;
      this.#log.error({ error: error.message }, 'changing addresses failed');
    });
  }

  /** After a reload: what a master holds becomes what the configuration now says. */
  refresh(group: FailoverGroup): void {
    for (const member of group.members) {
      const holding = this.#holdings.get(holdingKey(group, member.id));
      if (holding === undefined || holding.wanted.length === 0) continue;
      if (isDeepStrictEqual(holdingsOf(holding.member), holdingsOf(member))) {
        holding.announcer.configure(member.instance.garp);
        continue;
      }
      this.#claim(group, member);
      this.#announce(group, member);
    }
  }

  /** Another program had taken these away and they were put back: the neighbours may have noticed. */
  announceAgain(restored: readonly WantedAddress[]): void {
    for (const { announcer, wanted } of this.#holdings.values()) {
      const mine = restored.filter((address) => wanted.includes(address));
      if (mine.length > 0) announcer.again(mine);
    }
  }

  /** Resolves when everything that was claimed or released so far has been done. */
  async settled(): Promise<void> {
    await Promise.all([...this.#holdings.values()].map(({ claimed }) => claimed));
  }

  close(): void {
    for (const { announcer } of this.#holdings.values()) announcer.close();
    this.#holdings.clear();
  }
}

function holdingsOf({ wanted, routes, rules }: Member): Holdings {
  return { addresses: wanted, routes, rules };
}

function holdingKey(group: FailoverGroup, id: string): string {
  return `${group.name}/${id}`;
}

/** Not every failure keeps the router from being master: a claim that was taken back before the kernel had answered has failed as
 *  it should, and the owner of the addresses (priority 255) has them configured already. */
function isRefusal({ settings }: Member, { error }: Extract<ClaimOutcome, { ok: false }>): boolean {
  return error.code !== 'ECANCELED' && !(settings.priority === 255 && error.code === 'EEXIST');
}

function claimFault({ wanted, error }: Extract<ClaimOutcome, { ok: false }>): Fault {
  const address = `${wanted.address}/${wanted.prefixLength}`;
  if (error.code === 'EPERM') {
    return {
      code: 'no_permission',
      text: `not allowed to add ${address} to ${wanted.interface}: run havrrp as root or with CAP_NET_ADMIN`,
    };
  }
  return { code: 'address_refused', text: `the kernel refused ${address}: ${error.message}` };
}
