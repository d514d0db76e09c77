import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Config, type GroupConfig, controlSocketName } from '../config/config.ts';
import type { GroupStateName, ReloadReply } from '../control/messages.ts';
import { describePlan, diffConfig } from '../config/diff.ts';
import { ControlServer } from '../control/server.ts';
import { type Deadline, DeadlineTimer } from '../net/deadline-timer.ts';
import { Kernel, type KernelTrouble, type WantedAddress } from '../net/kernel.ts';
import type { Native } from '../net/native.ts';
import { alarmsOf } from '../protocol/alarms.ts';
import type { GroupAction } from '../protocol/group.ts';
import { reasonCode, reasonText } from '../protocol/reason.ts';
import { CounterTable } from './counters.ts';
import { EventLog } from './event-log.ts';
import { FailoverGroup } from './failover-group.ts';
import { GroupHooks } from './group-hooks.ts';
import { HostWatch } from './host-watch.ts';
import { leftBehind, masterStateOf } from './left-behind.ts';
import { membersOf } from './member.ts';
import { OperatorDemotions } from './operator-demotions.ts';
import { Operator } from './operator.ts';
import { Performer } from './perform.ts';
import { RateLimit } from './rate-limit.ts';
import { Receiver } from './receive.ts';
import { type RunState, RunStateWriter, bootId, readRunState } from './run-state.ts';
import { Sessions } from './sessions.ts';
import { type StatusSources, groupStatus } from './status.ts';
import { Systemd } from './systemd.ts';
import { Tracking } from './tracking.ts';
import { Wires } from './wires.ts';

type Transition = Extract<GroupAction, { type: 'report-transition' }>;

/** One log line of a kind in this time, whatever arrives. */
const logEveryMs = 10_000;

/** The running daemon: builds the other rooms, hands each what happens, and takes them down again. */
export class Daemon {
  readonly #native: Native;
  readonly #log: Logger;
  readonly #timer: DeadlineTimer;
  readonly #kernel: Kernel;
  readonly #wires: Wires;
  readonly #receiver: Receiver;
  readonly #performer: Performer;
  readonly #host: HostWatch;
  readonly #tracking: Tracking;
  readonly #hooks: GroupHooks;
  readonly #sessions: Sessions;
  readonly #operator: Operator;
  readonly #demotions: OperatorDemotions;
  readonly #runState: RunStateWriter;
  readonly #systemd: Systemd;
  readonly #housekeeping: Deadline;
  readonly #groups = new Map<string, FailoverGroup>();
  readonly #counters = new CounterTable();
  readonly #events = new EventLog();
  readonly #alarms = new Map<string, readonly string[]>();
  readonly #transitions = new Map<string, { group: string; to: GroupStateName; count: number }>();
  readonly #bootId = bootId();
  #config: Config;
  #server: ControlServer | undefined;
  #reloading: Promise<unknown> = Promise.resolve();
  #stopping: Promise<void> | undefined;

  /** Starts everything the configuration asks for. Groups that cannot run yet say why and wait.
   *  @throws ControlError when another daemon is running, KernelError when the kernel gives us no netlink at all */
  static async start(options: {
    config: Config;
    native: Native;
    log: Logger;
    version: string;
    readConfig: () => Promise<Config>;
  }): Promise<Daemon> {
    const { native, log } = options;
    const timer = DeadlineTimer.open(native);
    // The kernel may speak before the daemon that listens is complete: it has nobody to tell then.
    const listener: { daemon?: Daemon } = {};
    const kernel = await Kernel.open({
      native,
      onChange: () => {
        if (listener.daemon !== undefined) listener.daemon.#onHostChanged();
      },
      onRestored: (addresses) => {
        if (listener.daemon !== undefined) listener.daemon.#onRestored(addresses);
      },
      onTrouble: (trouble) => {
        log.warn(troubleFields(trouble), 'trouble with the kernel');
      },
    });
    const daemon = new Daemon({ ...options, timer, kernel });
    listener.daemon = daemon;
    try {
      await daemon.#begin();
    } catch (error) {
      daemon.#close();
      throw error;
    }
    return daemon;
  }

  private constructor(options: {
    config: Config;
    native: Native;
    log: Logger;
    version: string;
    readConfig: () => Promise<Config>;
    timer: DeadlineTimer;
    kernel: Kernel;
  }) {
    const { config, native, log, version, timer, kernel } = options;
    const now = (): number => native.now();
    const limit = new RateLimit(now, logEveryMs);
    const counters = this.#counters;
    this.#config = config;
    this.#native = native;
    this.#log = log;
    this.#timer = timer;
    this.#kernel = kernel;
    this.#receiver = new Receiver({ counters, log, limit });
    this.#wires = new Wires({ native, kernel, log, onPacket: this.#receiver.receive.bind(this.#receiver) });
    const events = this.#events;
    const { node } = config;
    this.#tracking = new Tracking({
      node,
      native,
      timer,
      host: kernel,
      log,
      events,
      onFaults: () => {
        this.#host.refresh();
      },
    });
    this.#hooks = new GroupHooks({ node, native, log, events });
    this.#sessions = new Sessions({
      log,
      events,
      onHoldChanged: (group, hold) => {
        this.#groups.get(group)?.step({ type: 'preemption-hold-changed', hold });
      },
    });
    this.#host = new HostWatch({
      kernel,
      wires: this.#wires,
      now,
      groups: () => this.#groups.values(),
      groupFaults: (group) => this.#tracking.faultsOf(group),
    });
    this.#performer = new Performer({
      native,
      timer,
      wires: this.#wires,
      kernel,
      counters,
      log,
      limit,
      sessions: this.#sessions,
      onClaimFailed: (group, member, fault) => {
        log.error({ group: group.name, router: member.id, fault: fault.code }, fault.text);
        this.#host.claimRefused(group, member, fault);
      },
      onTransition: (group, transition) => {
        this.#onTransition(group, transition);
      },
    });
    this.#demotions = new OperatorDemotions(config.stateDirectory);
    this.#operator = new Operator({
      node: config.node,
      version,
      configFile: config.file,
      startedAt: new Date(),
      native,
      timer,
      groups: this.#groups,
      demotions: this.#demotions,
      events: this.#events,
      sources: () => this.#statusSources(),
      transitions: () => [...this.#transitions.values()],
      hookDurations: () => this.#hooks.durations,
      reload: () => this.#reload(options.readConfig),
    });
    this.#runState = new RunStateWriter(config.runtimeDirectory, (error) => {
      log.warn({ error: String(error) }, 'writing the run state failed');
    });
    this.#systemd = new Systemd(native, process.env);
    this.#housekeeping = timer.deadline(() => {
      this.#keepHouse();
    });
  }

  async #begin(): Promise<void> {
    const { runtimeDirectory, controlGroup, metricsListen } = this.#config;
    // Whoever asks from now on is told of groups that are not started yet, not of none.
    for (const group of this.#config.groups) await this.#addGroup(group);
    // First of all the socket: it is what keeps a second daemon from starting.
    this.#server = await ControlServer.open({
      path: join(runtimeDirectory, controlSocketName),
      group: controlGroup,
      handler: this.#operator,
      metricsListen,
      onTrouble: (error) => {
        this.#log.warn({ error: error.message }, 'trouble with the control socket');
      },
    });
    const damaged = await this.#demotions.load();
    if (damaged !== undefined) this.#log.warn(damaged);
    const left = await readRunState(runtimeDirectory);
    const resumable = new Set(this.#config.groups.filter((group) => this.#canResume(group, left)));
    const kept = new Set(
      [...resumable].flatMap((group) =>
        membersOf(group).flatMap(({ wanted }) => wanted.map(({ address }) => address)),
      ),
    );
    if (resumable.size === 0)
      await this.#kernel.remove([], this.#kernel.ownedRoutes(), this.#kernel.ownedRules());
    const remains = leftBehind(this.#kernel, left, this.#config).filter(({ address }) => !kept.has(address));
    if (remains.length > 0) {
      this.#log.warn(
        { addresses: remains.map(({ address }) => address) },
        'removing what an earlier run left behind',
      );
      await this.#kernel.remove(remains);
    }
    this.#configureReceiver();
    this.#host.refresh();
    for (const group of this.#config.groups) this.#startGroup(group, resumable.has(group));
    this.#keepHouse();
    this.#systemd.ready();
    this.#log.info({ groups: this.#config.groups.length }, 'ready');
  }

  /** Whether a predecessor was master so short a time ago that nobody can have taken over: its Advertisements stopped less
   *  than three intervals ago, and its addresses are all still here. */
  #canResume(group: GroupConfig, left: RunState | undefined): boolean {
    const master = left?.masters[group.name];
    if (master === undefined || this.#demotions.of(group.name) !== undefined) return false;
    const members = membersOf(group);
    const shortest = Math.min(...members.map(({ settings }) => settings.intervalMs));
    const inTime = this.#native.now() - master.advertisedAt < 3 * shortest;
    return inTime && members.every(({ wanted }) => wanted.every((address) => this.#kernel.present(address)));
  }

  async #addGroup(group: GroupConfig): Promise<void> {
    const members = membersOf(group);
    const failoverGroup = new FailoverGroup({
      name: group.name,
      members,
      takeover: group.takeover,
      native: this.#native,
      timer: this.#timer,
      perform: (each, actions) => {
        this.#performer.perform(each, actions);
      },
      drain: (each) => {
        for (const { instance, family } of each.members) this.#wires.drain(instance.interface, family);
      },
    });
    this.#groups.set(group.name, failoverGroup);
    this.#hooks.configure(group);
    await this.#sessions.configure(group);
  }

  #startGroup(config: GroupConfig, resume: boolean): void {
    const group = this.#groups.get(config.name);
    if (group === undefined) return;
    // A master that resumes is not thrown out for checks that have not had their first result.
    this.#tracking.configure(group, config, !resume);
    this.#operator.resumeDemotion(group);
    // The monotonic clock begins at boot.
    const { startupDelayMs } = this.#config;
    if (startupDelayMs > 0) group.step({ type: 'hold', until: startupDelayMs });
    group.step({ type: 'startup', resume });
  }

  #configureReceiver(): void {
    this.#receiver.configure(
      [...this.#groups.values()].flatMap((group) => group.members.map((member) => ({ group, member }))),
    );
  }

  #onTransition(group: FailoverGroup, { from, to, reason }: Transition): void {
    const text = reasonText(reason);
    const code = reasonCode(reason);
    this.#log.info({ group: group.name, from, to, reason: code }, text);
    this.#events.add({ type: 'transition', group: group.name, from, to, reason: code, text }, group.since.at);
    const key = `${group.name}/${to}`;
    const { count } = this.#transitions.get(key) ?? { count: 0 };
    this.#transitions.set(key, { group: group.name, to, count: count + 1 });
    this.#systemd.status([...this.#groups.values()].map(({ name, state }) => `${name}: ${state}`).join(', '));
    this.#recordRunState();
    this.#sessions.stateChanged(group.name, to);
    this.#hooks.transition(group.name, {
      // Out of the election for good is what hooks call stop.
      state: to === 'init' ? 'stop' : to,
      previous: from,
      reason: code,
      sequence: group.transitions,
      statusJson: JSON.stringify(groupStatus(group, this.#statusSources())),
    });
  }

  #onHostChanged(): void {
    this.#tracking.refresh();
    this.#host.refresh();
  }

  #onRestored(addresses: readonly WantedAddress[]): void {
    const names = addresses.map(({ address, interface: name }) => `${address} on ${name}`);
    this.#log.warn({ addresses: names }, 'another program had removed addresses of ours: put back');
    this.#performer.announceAgain(addresses);
  }

  /** What changes without an event of its own, looked at now and then: alarms, the run state, claims to try again. */
  #keepHouse(): void {
    for (const group of this.#groups.values()) {
      const alarms = alarmsOf(group.value, this.#native.now(), group.since.monotonicAt);
      const before = this.#alarms.get(group.name) ?? [];
      this.#alarms.set(group.name, alarms);
      for (const text of alarms.filter((alarm) => !before.includes(alarm))) {
        this.#log.warn({ group: group.name }, text);
        this.#events.add({ type: 'alarm', group: group.name, reason: 'alarm', text }, new Date());
      }
    }
    for (const group of this.#groups.values())
      if (hearsMaster(group)) this.#sessions.peerAnnounced(group.name);
    this.#host.refresh();
    this.#recordRunState();
    this.#housekeeping.set(this.#native.now() + housekeepingMs(this.#config));
  }

  #recordRunState(): void {
    const masters = [...this.#groups.values()].filter(({ state }) => state === 'master');
    this.#runState.write({
      bootId: this.#bootId,
      masters: Object.fromEntries(masters.map((group) => [group.name, masterStateOf(group, this.#counters)])),
    });
  }

  #statusSources(): StatusSources {
    return {
      kernel: this.#kernel,
      counters: this.#counters,
      now: this.#native.now(),
      faultsOf: (member) => this.#host.faultsOf(member),
      unexamined: ({ instance, family }) => this.#wires.unexamined(instance.interface, family),
      operatorDemotion: (group) => this.#demotions.of(group),
      companions: (group) => {
        const conntrackd = this.#sessions.statusOf(group);
        return {
          ...(conntrackd === undefined ? {} : { conntrackd }),
          trackers: this.#tracking.statusOf(group),
          hooks: this.#hooks.statusOf(group),
        };
      },
    };
  }

  /** Reads the configuration again and applies what differs; one reload after the other.
   *  @throws ConfigError, with everything as it was */
  #reload(readConfig: () => Promise<Config>): Promise<ReloadReply> {
    const reloading = this.#reloading.then(async () => {
      this.#systemd.reloading(this.#native.now());
      try {
        return await this.#apply(await readConfig());
      } finally {
        this.#systemd.ready();
      }
    });
    this.#reloading = reloading.catch(() => undefined);
    return reloading;
  }

  async #apply(next: Config): Promise<ReloadReply> {
    const plan = diffConfig(this.#config, next);
    this.#config = next;
    this.#log.level = next.logLevel;
    for (const { name, next: config, replaced } of plan.changed) {
      const group = this.#groups.get(name);
      if (group === undefined) continue;
      const members = membersOf(config);
      // Another interface or VRID is another Virtual Router: the old one leaves before the new one begins.
      const replacedNames = new Set(replaced.map((change) => change.next.name));
      const staying = members.filter(({ instance }) => !replacedNames.has(instance.name));
      if (staying.length < members.length) group.configure(staying, config.takeover);
      group.configure(members, config.takeover);
      this.#performer.refresh(group);
      this.#hooks.configure(config);
      this.#tracking.configure(group, config, false);
      await this.#sessions.configure(config);
    }
    this.#configureReceiver();
    this.#host.refresh();
    // A new group may take over the VRIDs and addresses of one that goes.
    await Promise.all(plan.removed.map(({ name }) => this.#removeGroup(name)));
    for (const group of plan.added) await this.#addGroup(group);
    this.#configureReceiver();
    this.#host.refresh();
    for (const group of plan.added) this.#startGroup(group, false);
    const changes = describePlan(plan);
    if (changes.length > 0) this.#log.info({ changes }, 'reloaded');
    for (const text of changes) {
      this.#events.add({ type: 'reload', group: '', reason: 'reload', text }, new Date());
    }
    return { changes };
  }

  async #removeGroup(name: string): Promise<void> {
    const group = this.#groups.get(name);
    if (group === undefined) return;
    group.step({ type: 'stop', planned: true, reason: { code: 'removed' } });
    if (group.handingOver) await group.handoverEnded();
    await this.#performer.settled();
    await this.#hooks.finish(name);
    this.#tracking.remove(name);
    this.#sessions.remove(name);
    this.#groups.delete(name);
    group.close();
    this.#configureReceiver();
    this.#host.refresh();
  }

  reload(): Promise<ReloadReply> {
    return this.#operator.reload();
  }

  /** Hands over where `planned`, otherwise says priority 0 and goes. A second call that is not planned ends the first's waiting.
   *  Resolves when nothing of ours is left on the host. */
  stop({ planned }: { planned: boolean }): Promise<void> {
    for (const group of this.#groups.values()) {
      group.step({ type: 'stop', planned, reason: { code: 'shutdown' } });
    }
    this.#stopping ??= this.#end();
    return this.#stopping;
  }

  async #end(): Promise<void> {
    this.#systemd.stopping();
    this.#housekeeping.close();
    await Promise.all(
      [...this.#groups.values()]
        .filter(({ handingOver }) => handingOver)
        .map((group) => group.handoverEnded()),
    );
    await this.#performer.settled();
    await Promise.all([...this.#groups.keys()].map((name) => this.#hooks.finish(name)));
    await this.#runState.remove();
    await this.#server?.close();
    this.#close();
  }

  /** Lets go of everything that would keep the process alive. */
  #close(): void {
    for (const group of this.#groups.values()) group.close();
    this.#operator.close();
    this.#tracking.close();
    this.#hooks.close();
    this.#sessions.close();
    this.#performer.close();
    this.#wires.close();
    this.#kernel.close();
    this.#timer.close();
  }
}

/** Whether a backup has heard a living master of late. */
function hearsMaster({ state, value }: FailoverGroup): boolean {
  if (state !== 'backup') return false;
  return [...value.members.values()].some(
    ({ heard }) => heard !== undefined && heard.advertisement.priority > 0,
  );
}

/** Often enough that the run state tells a successor whether it may resume, seldom enough to cost nothing. Below 100 ms no
 *  process restarts in three intervals. */
function housekeepingMs({ groups }: Config): number {
  const intervals = groups.flatMap(({ instances }) => instances.map(({ intervalMs }) => intervalMs));
  const shortest = Math.min(...intervals);
  return shortest < 100 ? 1000 : Math.min(1000, Math.max(100, shortest / 2));
}

function troubleFields(trouble: KernelTrouble): Readonly<Record<string, unknown>> {
  switch (trouble.type) {
    case 'refused':
      return { trouble: trouble.type, target: trouble.target, error: trouble.error.message };
    case 'fought-over':
      return { trouble: trouble.type, target: trouble.target, pauseMs: trouble.pauseMs };
    case 'blind':
      return { trouble: trouble.type, error: trouble.error.message };
  }
}
