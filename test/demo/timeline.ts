/** One timeline out of three sources that come at their own pace (probes, roles, what was done): a strip of characters for
 *  the probes, with lines between for what happened. Pure: text in order of time comes out, whatever order it went in. */
export interface Mark {
  readonly at: number;
  /** A host that plays another role from now on. */
  readonly role?: { readonly host: string; readonly name: string };
  /** A line to be said. */
  readonly text?: string;
}

export interface Palette {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
}

const plainText = (text: string): string => text;
const escape = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`;
export const plain: Palette = { good: plainText, bad: plainText, strong: plainText, faint: plainText };
export const coloured: Palette = { good: escape(32), bad: escape(31), strong: escape(1), faint: escape(2) };

const cellMs = 20;
const cellsInRow = 50;
const roleWidth = 8;

/** What became of the probes of one cell. */
interface Cell {
  answered: boolean;
  lost4: boolean;
  lost6: boolean;
}

export class Timeline {
  readonly #startAt: number;
  readonly #hosts: readonly string[];
  readonly #palette: Palette;
  readonly #cells = new Map<number, Cell>();
  readonly #roles: Map<string, string>;
  #marks: Mark[] = [];
  /** The first cell not printed yet. */
  #next: number;

  /** @param startAt where 0.00 s is, in ms @param hosts columns for their roles */
  constructor(startAt: number, hosts: readonly string[], palette: Palette) {
    this.#startAt = startAt;
    this.#hosts = hosts;
    this.#palette = palette;
    this.#roles = new Map(hosts.map((host) => [host, '-']));
    this.#next = 0;
  }

  heading(): string {
    const { strong, faint, good, bad } = this.#palette;
    const columns = this.#hosts.map((host) => host.padEnd(roleWidth)).join('');
    const key = `${good('·')} answered  ${bad('x')} lost  ${bad('4')}, ${bad('6')} lost over IPv4, IPv6 alone`;
    return `${strong(`  time   ${columns}`)}${key}${faint(`  (each ${cellMs} ms)`)}`;
  }

  probe(outcome: { readonly target: string; readonly sentAt: number; readonly answered: boolean }): void {
    const index = this.#cellOf(outcome.sentAt);
    const cell = this.#cells.get(index) ?? { answered: false, lost4: false, lost6: false };
    this.#cells.set(index, cell);
    if (outcome.answered) cell.answered = true;
    else if (outcome.target.includes(':')) cell.lost6 = true;
    else cell.lost4 = true;
  }

  mark(mark: Mark): void {
    this.#marks.push(mark);
  }

  /** The lines for everything before `until`, which has to be past for all sources. */
  *lines(until: number): Generator<string, void, undefined> {
    const due = this.#marks.filter(({ at }) => at < until).sort((one, other) => one.at - other.at);
    this.#marks = this.#marks.filter(({ at }) => at >= until);
    for (const { at, role, text } of due) {
      yield* this.#strips(this.#cellOf(at), true);
      if (role !== undefined) this.#roles.set(role.host, role.name);
      if (text !== undefined) yield `${this.#time(at)}  ${text}`;
    }
    yield* this.#strips(this.#cellOf(until), false);
  }

  /** Rows up to a cell; the last one, not full, only when something is to be said at its end. */
  *#strips(end: number, cut: boolean): Generator<string, void, undefined> {
    while (this.#next < end) {
      const rowEnd = (Math.floor(this.#next / cellsInRow) + 1) * cellsInRow;
      if (rowEnd > end && !cut) return;
      const stop = Math.min(rowEnd, end);
      yield* this.#row(this.#next, stop);
      this.#next = stop;
    }
  }

  /** One row, its cells below their place in the second; none where nothing was asked. */
  *#row(from: number, to: number): Generator<string, void, undefined> {
    const cells = Array.from({ length: to - from }, (_, index) => this.#cells.get(from + index));
    if (cells.every((cell) => cell === undefined)) return;
    const time = this.#palette.faint(this.#time(this.#startAt + from * cellMs));
    const indent = ' '.repeat(from % cellsInRow);
    const strip = cells.map((cell) => this.#character(cell)).join('');
    yield `${time}  ${this.#roleColumns()}${indent}${strip}`;
  }

  #character(cell: Cell | undefined): string {
    const { good, bad } = this.#palette;
    if (cell === undefined) return ' ';
    if (cell.lost4 && cell.lost6) return bad('x');
    if (cell.lost4) return bad('4');
    return cell.lost6 ? bad('6') : good('·');
  }

  #roleColumns(): string {
    const { strong, faint } = this.#palette;
    return this.#hosts
      .map((host) => {
        const role = this.#roles.get(host) ?? '-';
        return (role === 'master' ? strong : faint)(role.padEnd(roleWidth));
      })
      .join('');
  }

  #cellOf(at: number): number {
    return Math.floor((at - this.#startAt) / cellMs);
  }

  #time(at: number): string {
    return `${((at - this.#startAt) / 1000).toFixed(2).padStart(5)}`;
  }
}
