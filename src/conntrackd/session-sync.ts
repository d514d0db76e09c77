import { Commit, type CommitOutcome, countKernelEntries, isProved } from './commit.ts';
import { type ConntrackdConfig, readConntrackdConfig } from './config-file.ts';
import { type Clock, type CommandName, ControlClient, systemClock } from './control-client.ts';
import { type RoleName, Roles } from './roles.ts';
import { Hold } from './hold.ts';
import {
  changeEvents,
  commitEvent,
  type SessionEvent,
  type SessionSnapshot,
  type SessionState,
} from './report.ts';
import { describeProof, type Proof, sampleEveryMs, stepProof, unproved } from './sync-proof.ts';
import { ask, type Change, look, read, unseen, type View } from './watch.ts';

/** The session table of this node: what is asked of its conntrackd, and when, as its groups become master and backup. One for
 *  each conntrackd, whichever groups share it.
 *
 *  Two rules stand above all: nobody waits for conntrackd longer than was said, and nothing is flushed that was not proved to be
 *  elsewhere. Before each flush conntrackd is asked how it is: what is asked of one that hangs is carried out when it wakes up,
 *  and by then this node may be master. */

export interface SessionSyncOptions {
  /** The socket of conntrackd; ours alone, and closed with us. */
  readonly client: ControlClient;
  /** How long a takeover waits for the commit. `auto`: 1 s and 30 us for each entry of the external cache. */
  readonly commitTimeoutMs: number | 'auto';
  /** No longer than this is a backup held back that is not synchronised. */
  readonly holdUntilSyncedMs: number;
  readonly onEvent: (event: SessionEvent) => void;
  /** `holding` has become something, or undefined. */
  readonly onHoldingChanged: () => void;
  readonly clock?: Clock;
  /** Entries in the kernel's table; undefined where they cannot be counted. Never rejects. */
  readonly countKernel?: () => Promise<number | undefined>;
  /** How long a new master is left at rest, beside the time for its commit, before this node forgets what it had as master
   *  (3000 ms). */
  readonly calmMs?: number;
}

interface TakeOver {
  readonly commit: Commit;
  /** The run of conntrackd it was asked of. */
  run: string | undefined;
  outcome: CommitOutcome | undefined;
  /** The commit goes on no more. */
  over: boolean;
  /** What was committed is no longer in the external cache: what is there now came later. */
  emptied: boolean;
  attempts: number;
  settled: boolean;
}

const pollEveryMs = 1000;
/** What is not answered stays in the backlog of the socket, which holds some 20. */
const pollHungEveryMs = 5000;
const answerWithinMs = 2000;
/** conntrackd stands still while it reads the kernel's table, for half a second at 100,000 entries. */
const resyncWithinMs = 20_000;
const maxAttempts = 2;

export class SessionSync {
  readonly #options: Required<SessionSyncOptions>;
  readonly #client: ControlClient;
  readonly #clock: Clock;
  readonly #roles = new Roles();
  readonly #hold: Hold;
  #view: View = unseen;
  #kernelEntries: number | undefined;
  #takeOver: TakeOver | undefined;
  #proof: Proof = unproved;
  /** Our own tables may hold sessions that are the peer's by now. */
  #dirty = true;
  /** What we have of the peer may hold sessions that are no more. */
  #stale = true;
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(options: SessionSyncOptions) {
    const { clock = systemClock, countKernel = countKernelEntries, calmMs = 3000 } = options;
    this.#options = { ...options, clock, countKernel, calmMs };
    this.#client = options.client;
    this.#clock = clock;
    this.#hold = new Hold({
      clock,
      limitMs: options.holdUntilSyncedMs,
      onChanged: options.onHoldingChanged,
      onExpired: () => {
        if (!this.#roles.isElsewhere) return;
        this.#report({
          severity: 'warning',
          code: 'hold_ended',
          text: `no longer held back: ${this.#syncText}`,
        });
      },
    });
    void this.#run();
  }

  /** This node is becoming master of a group, and has said so on the wire. Groups that take over at the same time share a commit.
   *  @returns by the deadline, whatever happens: now the addresses may be claimed. Never rejects */
  takeOver(group: string): Promise<CommitOutcome> {
    this.#become(group, 'master');
    this.#dirty = true;
    if (this.#takeOver === undefined || this.#takeOver.over) this.#takeOver = this.#startTakeOver();
    return this.#takeOver.commit.outcome;
  }

  /** The addresses of the group are here and the neighbours were told. */
  announced(group: string): void {
    this.#roles.announced(group, 'master', this.#clock.now());
    this.#wake();
  }

  /** This node is backup of the group now. Safe to repeat. */
  standBy(group: string): void {
    if (this.#roles.of(group) !== 'backup') this.#become(group, 'backup');
  }

  /** Another node was heard as master of the group; one that is heard has had its commit, or has it now. Safe to repeat. */
  peerAnnounced(group: string): void {
    this.#roles.announced(group, 'backup', this.#clock.now());
  }

  /** The group is out of the election. Its sessions stay as they are: the peer commits a copy of its own. */
  fault(group: string): void {
    if (this.#roles.of(group) !== 'fault') this.#become(group, 'fault');
  }

  /** The group is no more. */
  remove(group: string): void {
    this.#roles.remove(group);
  }

  get isSynced(): boolean {
    return this.#proof.step === 'proved';
  }

  /** Why a backup should not preempt now: a living master has sessions that are not proved to be here. Undefined when they are,
   *  or when the time for it is up. A master that is dead is not waited for. */
  get holding(): { readonly reason: string; readonly remainingMs: number } | undefined {
    const { remainingMs } = this.#hold;
    return remainingMs === undefined ? undefined : { reason: this.#syncText, remainingMs };
  }

  get snapshot(): SessionSnapshot {
    const { health, known } = this.#view;
    const takeOver = this.#takeOver;
    return {
      mode: known?.mode ?? 'unknown',
      health,
      internal: known?.internal?.current,
      external: known?.external?.current,
      kernel: this.#kernelEntries,
      synced: this.#roles.isMaster && !this.#roles.isElsewhere ? undefined : this.isSynced,
      syncText: this.#syncText,
      lastCommit:
        takeOver?.outcome === undefined
          ? undefined
          : { ...takeOver.outcome, startedAt: takeOver.commit.startedAt, settled: takeOver.settled },
      trouble: this.#trouble,
    };
  }

  stateOf(group: string): SessionState {
    const { health } = this.#view;
    const outcome = this.#takeOver?.outcome;
    if (this.#roles.of(group) !== 'master') {
      if (health !== 'ok') return health;
      return this.isSynced ? 'synced' : 'syncing';
    }
    if (outcome === undefined) return 'committing';
    if (health !== 'ok' && health !== 'unknown') return health;
    if (isProved(outcome)) return 'committed';
    if (outcome.state === 'deadline') return 'committing';
    return outcome.state === 'incomplete' || outcome.state === 'refused' ? 'incomplete' : 'stateless';
  }

  /** Asks nothing any more; what is under way is given up. */
  close(): void {
    this.#closed = true;
    this.#hold.close();
    this.#client.close();
    this.#wake();
  }

  #become(group: string, name: RoleName): void {
    const before = this.#roles.become(group, name);
    if (before === 'master') this.#stale = true;
    // Of a node that was master all over, or is now, it has no meaning.
    if (before === 'master' || !this.#roles.isElsewhere) this.#proof = unproved;
    if (!this.isSynced) this.#hold.begin();
    this.#wake();
  }

  // Looking, all the time

  async #run(): Promise<void> {
    while (!this.#closed) {
      const sleep = this.#sleep();
      // While it commits, conntrackd is left alone.
      await this.#takeOver?.commit.ended;
      const reading = await read(this.#client, answerWithinMs);
      this.#kernelEntries = await this.#options.countKernel();
      if (this.#closed) return;
      const { view, changes } = look(this.#view, reading, this.#clock.now());
      this.#view = view;
      this.#forget(changes);
      for (const event of changeEvents(view, changes)) this.#report(event);
      await this.#asMaster(changes);
      await this.#asBackup();
      if (this.#closed) return;
      await sleep(this.#pollEveryMs);
    }
  }

  get #pollEveryMs(): number {
    if (this.#view.health === 'hung') return pollHungEveryMs;
    return this.isSynced || this.#proof.step === 'unheard' ? pollEveryMs : sampleEveryMs;
  }

  /** A sleep that whatever happens from now on ends, even before it has begun. */
  #sleep(): (forMs: number) => Promise<void> {
    let awake = false;
    let wake = (): void => {
      awake = true;
    };
    this.#wake = () => wake();
    return (forMs) =>
      new Promise((resolve) => {
        if (awake) {
          resolve();
          return;
        }
        const cancel = this.#clock.after(forMs, resolve);
        wake = () => {
          cancel();
          resolve();
        };
      });
  }

  // Master

  #startTakeOver(): TakeOver {
    const takeOver: TakeOver = {
      commit: this.#commit(),
      run: this.#view.knownRun,
      outcome: undefined,
      over: false,
      emptied: false,
      attempts: 1,
      settled: false,
    };
    void takeOver.commit.outcome.then((outcome) => {
      takeOver.outcome = outcome;
      this.#report(commitEvent(outcome));
    });
    void takeOver.commit.ended.then(async (outcome) => {
      if (takeOver.outcome !== undefined && takeOver.outcome.state !== outcome.state) {
        this.#report(commitEvent(outcome));
        takeOver.outcome = outcome;
      }
      if (outcome.state === 'committed') {
        // Until the neighbours know, sessions begin at the old master: they are to be committed too, and they alone.
        takeOver.emptied = await this.#flush('flushExternal', this.#roles.epoch);
      }
      takeOver.over = true;
      this.#wake();
    });
    return takeOver;
  }

  #commit(): Commit {
    const { clock, countKernel, commitTimeoutMs } = this.#options;
    const { known } = this.#view;
    return new Commit({
      client: this.#client,
      clock,
      countKernel,
      timeoutMs: commitTimeoutMs,
      expected: known?.external?.current,
      injected: known?.mode === 'injection',
      wanted: () => this.#roles.isMaster && !this.#closed,
    });
  }

  async #asMaster(changes: ReadonlySet<Change>): Promise<void> {
    const takeOver = this.#takeOver;
    if (!this.#roles.isMaster || this.#view.health !== 'ok') return;
    if (takeOver === undefined || !takeOver.over) return;
    if (!takeOver.settled) {
      if (this.#roles.mastersAnnounced) await this.#settle(takeOver);
    } else if (changes.has('restarted') || changes.has('peer_returned')) {
      // Whoever was started anew has nothing of ours, and ours tells nobody what it has read from the kernel.
      await this.#tell('sendBulk');
    }
  }

  /** After the announcement, out of everybody's way: conntrackd forgets what is in the kernel now, reads it there, and tells the
   *  peer. What was not proved to be in the kernel is committed once more, and stays where it is if that fails too. */
  async #settle(takeOver: TakeOver): Promise<void> {
    const { epoch } = this.#roles;
    const { run, known } = this.#view;
    const isDone = (): boolean =>
      takeOver.outcome !== undefined && isProved(takeOver.outcome) && (takeOver.run ?? run) === run;
    if (!isDone() && takeOver.attempts < maxAttempts) {
      takeOver.attempts += 1;
      const outcome = await this.#commit().ended;
      if (epoch !== this.#roles.epoch) return;
      takeOver.outcome = outcome;
      takeOver.run = run;
      this.#report(commitEvent(outcome));
    } else if (takeOver.emptied && (known?.external?.current ?? 0) > 0) {
      if (!(await this.#tell('commit', epoch))) return;
    }
    // In injection mode there is nothing to flush.
    if (isDone() && known?.mode === 'external-cache' && !(await this.#flush('flushCaches', epoch))) return;
    if (!(await this.#tell('resyncKernel', epoch))) return;
    if (!(await this.#tell('sendBulk', epoch))) return;
    takeOver.settled = true;
    this.#report({
      severity: 'info',
      code: 'sessions_sent',
      text: 'the other node was sent the sessions of this one',
    });
    // With them went those of groups that have their master elsewhere.
    this.#setProof(unproved);
  }

  // Backup

  /** What was proved may not be so any more. */
  #forget(changes: ReadonlySet<Change>): void {
    const { health, known, peerHeard } = this.#view;
    const begunAnew = changes.has('restarted') || changes.has('peer_returned');
    if (begunAnew) this.#stale = true;
    // It has read our kernel, where with injection the sessions of the master are.
    if (changes.has('restarted') && known?.mode === 'injection') this.#dirty = true;
    if (begunAnew || health !== 'ok' || !peerHeard) this.#setProof(unproved);
  }

  async #asBackup(): Promise<void> {
    const { health, known, peerHeard, at } = this.#view;
    if (health !== 'ok' || known === undefined || !this.#roles.isElsewhere) return;
    if (this.#dirty && this.#roles.isBackupOnly && !(await this.#clean())) return;

    const { external, lostMessages: lost = 0, mode } = known;
    const size = (mode === 'injection' ? external?.created : external?.current) ?? 0;
    const step = stepProof(this.#proof, { at, heard: peerHeard, size, lost });
    const { epoch } = this.#roles;
    if (step.ask && !(await this.#askForAll())) return;
    if (epoch === this.#roles.epoch) this.#setProof(step.proof);
  }

  /** Forgets what this node had as master, once the new one can do without. Stale entries in the kernel would give committed
   *  sessions another source port, in silence. With injection the kernel's table is the master's as well, but conntrackd must
   *  forget all the same: when a session ends here, of age, it would tell the master, and the master's would end.
   *  @returns whether it is done */
  async #clean(): Promise<boolean> {
    const { known, at } = this.#view;
    const { epoch, othersAnnouncedAt: since } = this.#roles;
    const hasCopy = known?.mode === 'external-cache';
    // The new master may be committing as many sessions as we have.
    const commitMs = 1000 + 0.03 * (known?.internal?.current ?? 0);
    const calmMs = hasCopy ? commitMs + this.#options.calmMs : 0;
    if (since === undefined || at < since + calmMs) return false;
    if (hasCopy && !(await this.#flush('flushKernel', epoch))) return false;
    // Of sessions older than itself, conntrackd is not told the end (nf_conntrack_events = 2).
    if (!(await this.#flush('flushInternal', epoch))) return false;
    this.#dirty = false;
    if (hasCopy)
      this.#report({
        severity: 'info',
        code: 'table_cleaned',
        text: 'the sessions of an earlier mastership were removed',
      });
    return true;
  }

  async #askForAll(): Promise<boolean> {
    const { epoch } = this.#roles;
    if (this.#stale && !this.#roles.isMaster && this.#view.known?.mode === 'external-cache') {
      if (!(await this.#flush('flushExternal', epoch))) return false;
      this.#stale = false;
    }
    return this.#tell('requestBulk', epoch);
  }

  #setProof(proof: Proof): void {
    const wasSynced = this.isSynced;
    this.#proof = proof;
    if (wasSynced === this.isSynced) return;
    if (wasSynced) {
      this.#hold.begin();
      return;
    }
    this.#hold.end();
    this.#report({ severity: 'info', code: 'synced', text: this.#syncText });
  }

  // Asking

  /** Takes something away that cannot be had back: only of a conntrackd that answers at this moment, under unchanged roles. */
  async #flush(name: CommandName, epoch: number): Promise<boolean> {
    const { health } = await ask(this.#client, answerWithinMs);
    if (health !== 'ok') return false;
    const wanted = (): boolean => epoch === this.#roles.epoch;
    return (await this.#client.request(name, { timeoutMs: answerWithinMs, wanted })).ok;
  }

  async #tell(name: CommandName, epoch: number = this.#roles.epoch): Promise<boolean> {
    const wanted = (): boolean => epoch === this.#roles.epoch;
    return (await this.#client.request(name, { timeoutMs: resyncWithinMs, wanted })).ok;
  }

  // Telling

  get #syncText(): string {
    const { health, detail, peerHeard } = this.#view;
    if (health !== 'ok') return detail;
    if (peerHeard && this.#proof.step === 'unheard') {
      return this.#dirty && this.#roles.isBackupOnly
        ? 'the new master is given time to settle'
        : 'the other node is about to be asked for its sessions';
    }
    return describeProof(this.#proof);
  }

  get #trouble(): string | undefined {
    const { health, detail } = this.#view;
    if (health === 'unknown') return undefined;
    if (health !== 'ok') return detail;
    const outcome = this.#takeOver?.outcome;
    if (this.#roles.isMaster && outcome !== undefined && !isProved(outcome)) return outcome.text;
    return this.#roles.isElsewhere && !this.isSynced && this.holding === undefined
      ? this.#syncText
      : undefined;
  }

  #report(event: SessionEvent): void {
    if (!this.#closed) this.#options.onEvent(event);
  }
}

/** Finds conntrackd by its configuration file and begins to look after the sessions it knows.
 *  @param options.configFile as given to `conntrackd -C`
 *  @param options.binary the program itself, for a conntrackd whose socket does not know our requests
 *  @returns and what the file says; its complaints are the caller's to tell. Never rejects */
export async function openSessionSync(
  options: Omit<SessionSyncOptions, 'client'> & { readonly configFile: string; readonly binary: string },
): Promise<{ readonly sync: SessionSync; readonly config: ConntrackdConfig }> {
  const { configFile, binary, ...rest } = options;
  const config = await readConntrackdConfig(configFile);
  const clock = options.clock ?? systemClock;
  const client = new ControlClient({ path: config.socketPath, program: { binary, configFile }, clock });
  return { sync: new SessionSync({ ...rest, client, clock }), config };
}
