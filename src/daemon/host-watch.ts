import type { Kernel } from '../net/kernel.ts';
import type { Fault } from '../protocol/reason.ts';
import { ownMissingCapabilities } from './capabilities.ts';
import { type Facts, factsOf } from './facts.ts';
import type { FailoverGroup } from './failover-group.ts';
import type { Member } from './member.ts';
import type { WireNeed, Wires } from './wires.ts';

/** A refused claim is tried again after this long: its cause may have gone away without a word from the kernel. */
const retryAfterMs = 30_000;

/** Keeps what the groups know of this host in line with what is there: opens and closes sockets as links come and go, and tells
 *  a group when its facts have changed. */
export class HostWatch {
  readonly #kernel: Kernel;
  readonly #wires: Wires;
  readonly #now: () => number;
  readonly #groups: () => Iterable<FailoverGroup>;
  readonly #groupFaults: (group: string) => readonly Fault[];
  readonly #facts = new Map<Member, Facts>();
  readonly #missingCapabilities = ownMissingCapabilities();
  /** Claims the kernel refused, by group and router id. */
  readonly #refused = new Map<string, { readonly fault: Fault; readonly until: number }>();

  constructor(options: {
    kernel: Kernel;
    wires: Wires;
    /** Monotonic milliseconds. */
    now: () => number;
    groups: () => Iterable<FailoverGroup>;
    /** What keeps a group from running besides its members. */
    groupFaults: (group: string) => readonly Fault[];
  }) {
    this.#kernel = options.kernel;
    this.#wires = options.wires;
    this.#now = options.now;
    this.#groups = options.groups;
    this.#groupFaults = options.groupFaults;
  }

  /** Works everything out anew; safe to call at any time. */
  refresh(): void {
    const groups = [...this.#groups()];
    const members = groups.flatMap((group) => group.members);
    this.#wires.reconcile(
      wireNeeds(members),
      new Set(members.flatMap(({ wanted }) => wanted.map((address) => address.interface))),
    );
    const current = new Set(members);
    for (const member of this.#facts.keys()) if (!current.has(member)) this.#facts.delete(member);
    for (const group of groups) this.#refreshGroup(group);
  }

  #refreshGroup(group: FailoverGroup): void {
    let changed = false;
    for (const member of group.members) {
      const facts = factsOf(member, this.#kernel, this.#trouble(group, member));
      if (JSON.stringify(facts) === JSON.stringify(this.#facts.get(member))) continue;
      this.#facts.set(member, facts);
      changed = true;
    }
    const faults = [
      ...group.members.flatMap((member) => this.faultsOf(member)),
      ...this.#groupFaults(group.name),
    ];
    if (!changed && JSON.stringify(faults) === JSON.stringify(group.value.faults)) return;
    group.step({
      type: 'facts-changed',
      faults,
      sources: new Map(group.members.map((member) => [member.id, this.#facts.get(member)?.source])),
    });
  }

  #trouble(group: FailoverGroup, member: Member): Fault[] {
    const wire = this.#wires.fault(member.instance.interface, member.family);
    const key = `${group.name}/${member.id}`;
    const refused = this.#refused.get(key);
    if (refused !== undefined && refused.until <= this.#now()) this.#refused.delete(key);
    const refusal = this.#refused.get(key)?.fault;
    return [this.#missingCapabilities ?? wire, refusal].filter((fault) => fault !== undefined);
  }

  /** What keeps a router from running now. */
  faultsOf(member: Member): readonly Fault[] {
    return this.#facts.get(member)?.faults ?? [];
  }

  /** The kernel would not take an address: the group steps back, and tries again later. */
  claimRefused(group: FailoverGroup, member: Member, fault: Fault): void {
    this.#refused.set(`${group.name}/${member.id}`, { fault, until: this.#now() + retryAfterMs });
    this.refresh();
  }
}

/** One socket for each interface and family, whichever groups share it. */
function wireNeeds(members: readonly Member[]): WireNeed[] {
  const needs = new Map<string, { interface: string; family: Member['family']; vrids: number[] }>();
  for (const { instance, family } of members) {
    const key = `${instance.interface}/${family}`;
    const need = needs.get(key) ?? { interface: instance.interface, family, vrids: [] };
    need.vrids.push(instance.vrid);
    needs.set(key, need);
  }
  return [...needs.values()];
}
