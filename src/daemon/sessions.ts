import type { Logger } from 'pino';
import type { ConntrackdConfig, GroupConfig } from '../config/config.ts';
import { type SessionSync, openSessionSync } from '../conntrackd/session-sync.ts';
import type { GroupStatus } from '../control/messages.ts';
import type { GroupState } from '../protocol/group.ts';
import type { EventLog } from './event-log.ts';

/** One conntrackd and the groups whose sessions it looks after. */
interface Shared {
  readonly sync: SessionSync;
  readonly groups: Set<string>;
}

function keyOf({ config, binary }: ConntrackdConfig): string {
  return `${config}\n${binary}`;
}

/** The session tables of the groups that have `conntrackd`. Groups that name the same one share it. */
export class Sessions {
  readonly #log: Logger;
  readonly #events: EventLog;
  readonly #onHoldChanged: (group: string, hold: string | undefined) => void;
  readonly #shared = new Map<string, Shared>();

  constructor(options: {
    log: Logger;
    events: EventLog;
    /** Why the group must not preempt now; undefined when it may. */
    onHoldChanged: (group: string, hold: string | undefined) => void;
  }) {
    this.#log = options.log;
    this.#events = options.events;
    this.#onHoldChanged = options.onHoldChanged;
  }

  /** Puts a group under its conntrackd, or takes it away from the one it had. */
  async configure({ name, conntrackd }: GroupConfig): Promise<void> {
    const key = conntrackd === undefined ? undefined : keyOf(conntrackd);
    const before = this.#keyOfGroup(name);
    if (before === key) return;
    this.remove(name);
    if (conntrackd === undefined || key === undefined) return;
    const shared = this.#shared.get(key) ?? (await this.#open(key, conntrackd));
    shared.groups.add(name);
    this.#onHoldChanged(name, shared.sync.holding?.reason);
  }

  async #open(key: string, conntrackd: ConntrackdConfig): Promise<Shared> {
    const groups = new Set<string>();
    const { sync, config } = await openSessionSync({
      configFile: conntrackd.config,
      binary: conntrackd.binary,
      commitTimeoutMs: conntrackd.commitTimeoutMs,
      holdUntilSyncedMs: conntrackd.holdUntilSyncedMs,
      onEvent: ({ severity, code, text }) => {
        this.#log[severity === 'info' ? 'info' : 'warn']({ conntrackd: conntrackd.config, code }, text);
        for (const group of groups)
          this.#events.add({ type: 'sessions', group, reason: code, text }, new Date());
      },
      onHoldingChanged: () => {
        for (const group of groups) this.#onHoldChanged(group, sync.holding?.reason);
      },
    });
    for (const { what, where } of config.complaints) this.#log.warn({ where }, what);
    const shared = { sync, groups };
    this.#shared.set(key, shared);
    return shared;
  }

  #keyOfGroup(group: string): string | undefined {
    return [...this.#shared].find(([, { groups }]) => groups.has(group))?.[0];
  }

  #syncOf(group: string): SessionSync | undefined {
    return this.#shared.get(this.#keyOfGroup(group) ?? '')?.sync;
  }

  /** Resolves when the addresses of a new master may be claimed: at once, or when its sessions are committed, or when they have
   *  been waited for long enough. */
  async takeOver(group: string): Promise<void> {
    await this.#syncOf(group)?.takeOver(group);
  }

  has(group: string): boolean {
    return this.#keyOfGroup(group) !== undefined;
  }

  announced(group: string): void {
    this.#syncOf(group)?.announced(group);
  }

  stateChanged(group: string, state: GroupState): void {
    const sync = this.#syncOf(group);
    if (state === 'backup') sync?.standBy(group);
    else if (state === 'fault' || state === 'init') sync?.fault(group);
  }

  /** Another node was heard as master. */
  peerAnnounced(group: string): void {
    this.#syncOf(group)?.peerAnnounced(group);
  }

  statusOf(group: string): GroupStatus['conntrackd'] {
    const sync = this.#syncOf(group);
    if (sync === undefined) return undefined;
    const { mode, internal, external, kernel, synced, syncText, lastCommit, trouble } = sync.snapshot;
    return {
      state: sync.stateOf(group),
      duration_ms: lastCommit?.durationMs ?? null,
      mode,
      entries: { internal: internal ?? null, external: external ?? null, kernel: kernel ?? null },
      synced: synced ?? null,
      sync_text: syncText,
      last_commit:
        lastCommit === undefined
          ? null
          : { state: lastCommit.state, entries: lastCommit.entries ?? null, text: lastCommit.text },
      trouble: trouble ?? null,
    };
  }

  remove(group: string): void {
    const key = this.#keyOfGroup(group);
    const shared = this.#shared.get(key ?? '');
    if (key === undefined || shared === undefined) return;
    shared.groups.delete(group);
    shared.sync.remove(group);
    if (shared.groups.size > 0) return;
    shared.sync.close();
    this.#shared.delete(key);
  }

  close(): void {
    for (const { sync } of this.#shared.values()) sync.close();
    this.#shared.clear();
  }
}
