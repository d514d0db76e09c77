/** Which groups of this node are master, and how far the others are from needing us no more. Several groups may share one
 *  session table, so what is done to the table depends on all of them. */

export type RoleName = 'master' | 'backup' | 'fault';

interface Role {
  readonly name: RoleName;
  /** Master: our own announcement of the addresses; backup: when the new master had the time for its own. */
  readonly announcedAt: number | undefined;
}

export class Roles {
  readonly #byGroup = new Map<string, Role>();
  /** Counts the changes: what was begun under other roles is not finished. */
  #epoch = 0;

  get epoch(): number {
    return this.#epoch;
  }

  of(group: string): RoleName | undefined {
    return this.#byGroup.get(group)?.name;
  }

  /** @returns the role before */
  become(group: string, name: RoleName): RoleName | undefined {
    const before = this.of(group);
    this.#byGroup.set(group, { name, announcedAt: undefined });
    this.#epoch += 1;
    return before;
  }

  /** Says when, once for each role; later ones are none. */
  announced(group: string, name: RoleName, at: number): void {
    const role = this.#byGroup.get(group);
    if (role?.name !== name || role.announcedAt !== undefined) return;
    this.#byGroup.set(group, { name, announcedAt: at });
  }

  remove(group: string): void {
    if (this.#byGroup.delete(group)) this.#epoch += 1;
  }

  /** A group is master here. */
  get isMaster(): boolean {
    return this.#some('master');
  }

  /** A group is not: there is a master elsewhere, or should be. */
  get isElsewhere(): boolean {
    return this.#some('backup') || this.#some('fault');
  }

  /** Nothing here is ours: every group of this node has a healthy place behind another master. */
  get isBackupOnly(): boolean {
    return this.#byGroup.size > 0 && !this.isMaster && !this.#some('fault');
  }

  /** The neighbours know of every group that is master here. */
  get mastersAnnounced(): boolean {
    return this.#all('master').every(({ announcedAt }) => announcedAt !== undefined);
  }

  /** When the last of the masters elsewhere had announced itself; undefined while one has not. */
  get othersAnnouncedAt(): number | undefined {
    const times = this.#all('backup').map(({ announcedAt }) => announcedAt ?? Infinity);
    const last = Math.max(-Infinity, ...times);
    return Number.isFinite(last) ? last : undefined;
  }

  #some(name: RoleName): boolean {
    return this.#all(name).length > 0;
  }

  #all(name: RoleName): Role[] {
    return [...this.#byGroup.values()].filter((role) => role.name === name);
  }
}
