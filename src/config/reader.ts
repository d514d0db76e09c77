import { isMap, isNode, isScalar, isSeq } from 'yaml';
import type { Node } from 'yaml';
import type * as z from 'zod/mini';
import { ConfigError } from '../errors.ts';
import { protocols } from './keys.ts';
import type { DefaultKey, Key, Keys } from './keys.ts';
import { levels, nameKey } from './schema.ts';
import { eitherOf, nearest } from './suggest.ts';
import type { Tree } from './yaml-text.ts';

/** A value of the file under the name it has there. */
export interface Entry {
  readonly name: string;
  /** Offset of the value, or of its key where there is no value. */
  readonly at: number;
  readonly keyAt: number;
  readonly node: Node | undefined;
}

/** A mapping whose keys are known. */
export interface Section<K extends Keys> {
  /** `instance wan`, for complaints. */
  readonly title: string;
  readonly at: number;
  readonly keys: K;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Keys that are there, but misspelt; all of them where the mapping is none. Not missed a second time. */
  readonly misspelt: ReadonlySet<string>;
}

type ValueOf<K> =
  K extends DefaultKey<infer Value> ? Value : K extends Key<infer Value> ? Value | undefined : never;

/** Reads values out of a YAML tree and gathers complaints. Whatever is wrong is complained about once and read as if it
 *  were absent, so that one run finds all that is wrong. */
export class Reader {
  readonly #tree: Tree;
  readonly #complaints: { at: number; what: string; fix: string }[] = [];

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** @returns `FILE:LINE:COLUMN` */
  place(at: number): string {
    return this.#tree.place(at);
  }

  complain(at: number, what: string, fix: string): void {
    this.#complaints.push({ at, what, fix });
  }

  /** So many complaints there are: for what is compared with others only where it is right by itself. */
  get complaintCount(): number {
    return this.#complaints.length;
  }

  /** @throws ConfigError with all complaints so far, in the order of the file */
  finish(): void {
    if (this.#complaints.length === 0) return;
    const inOrder = this.#complaints.sort((left, right) => left.at - right.at);
    // A value behind two aliases is read twice and wrong once.
    const once = new Map(
      inOrder.map(({ at, what, fix }) => [`${at} ${what}`, { where: this.place(at), what, fix }]),
    );
    throw new ConfigError([...once.values()]);
  }

  /** The root of the file, as an entry. */
  root(): Entry {
    return { name: 'the file', at: 0, keyAt: 0, node: this.#tree.root };
  }

  /** Opens a mapping with a fixed set of keys; unknown keys are complaints.
   *  @param entry an absent one is like an empty mapping
   *  @param title names it in complaints: `group edge` */
  section<K extends Keys>(entry: Entry | undefined, keys: K, title: string): Section<K> {
    const pairs = entry === undefined ? [] : this.#pairs(entry, title);
    const entries = new Map<string, Entry>();
    const misspelt = new Set<string>(pairs === undefined ? Object.keys(keys) : []);
    for (const inner of pairs ?? []) {
      if (Object.hasOwn(keys, inner.name)) entries.set(inner.name, inner);
      else misspelt.add(this.#complainUnknown(inner, keys, title));
    }
    return { title, at: entry?.keyAt ?? 0, keys, entries, misspelt };
  }

  /** The value of a key, or its default. Call it once for each key: a second call would complain again.
   *  @returns undefined where it is absent without default, or wrong (and complained about) */
  get<K extends Keys, Name extends keyof K & string>(section: Section<K>, name: Name): ValueOf<K[Name]> {
    const key: Key<unknown> | undefined = section.keys[name];
    const entry = this.find(section, name);
    const value = entry === undefined || key === undefined ? undefined : this.read(entry, key);
    const settled = value ?? (key?.default === undefined ? undefined : key.schema.parse(key.default));
    return settled as ValueOf<K[Name]>;
  }

  /** The entry of a key, to be opened as a section, a list or a mapping of names. */
  find<K extends Keys>(section: Section<K>, name: keyof K & string): Entry | undefined {
    const entry = section.entries.get(name);
    const key = section.keys[name];
    if (entry === undefined && key?.required === true && !section.misspelt.has(name)) {
      this.complain(section.at, `${section.title} has no ${name}`, `add ${name}: ${key.holds}`);
    }
    return entry;
  }

  /** Reads one value.
   *  @returns undefined where it is wrong (and complained about) */
  read<Value>(entry: Entry, key: Key<Value>): Value | undefined {
    const { name, at } = entry;
    const node = this.#resolved(entry);
    const value = isScalar(node) ? node.value : undefined;
    const result = key.schema.safeParse(value);
    if (result.success) return result.data;
    const { what, fix } = objection(node, key, result.error.issues[0]);
    this.complain(at, `${name} ${what}`, fix ?? `use ${key.holds}`);
    return undefined;
  }

  /** The members of a mapping of names, in the order of the file.
   *  @param kind what they are: `group` */
  named(entry: Entry, kind: string): Entry[] {
    const members = this.#pairs(entry, entry.name) ?? [];
    if (members.length === 0 && this.isMapping(entry)) {
      this.complain(entry.keyAt, `${entry.name} is empty`, `add at least one ${kind}`);
    }
    return members.filter(({ name, keyAt }) => {
      if (nameKey.schema.safeParse(name).success) return true;
      this.complain(keyAt, `${kind} ${quoted(name)} has no plain name`, `use ${nameKey.holds}`);
      return false;
    });
  }

  /** The items of a list.
   *  @param name of each in complaints
   *  @returns undefined for what is no list (and complained about) */
  items(entry: Entry, name: string, key: Key<unknown>): Entry[] | undefined {
    const node = this.#resolved(entry);
    if (isSeq(node)) {
      return node.items.map((item) => {
        const inner = isNode(item) ? item : undefined;
        const at = inner?.range?.[0] ?? entry.at;
        return { name, at, keyAt: at, node: inner };
      });
    }
    this.complain(entry.at, `${entry.name} ${insteadOf('list', node)}`, `use ${key.holds}`);
    return undefined;
  }

  /** Is the value a mapping? */
  isMapping(entry: Entry): boolean {
    return isMap(this.#resolved(entry));
  }

  /** Is the value a list? */
  isList(entry: Entry): boolean {
    return isSeq(this.#resolved(entry));
  }

  /** A word as it stands in the file, whether right or wrong. */
  word(entry: Entry | undefined): string | undefined {
    const node = entry && this.#resolved(entry);
    return isScalar(node) ? textOf(node) : undefined;
  }

  /** Complains about keys that are not built yet, and about those that the protocol does not know.
   *  @param protocol as the file has it */
  refuseUnfit(section: Section<Keys>, protocol?: string): void {
    const known = protocols.find((each) => each === protocol);
    for (const { name, keyAt } of section.entries.values()) {
      const key = section.keys[name];
      const owners = key?.protocols ?? protocols;
      if (known !== undefined && !owners.includes(known)) {
        this.complain(
          keyAt,
          `${name} does not belong to ${known}`,
          `remove it: it is for ${eitherOf(owners)}`,
        );
      } else if (key?.built === false) {
        this.complain(keyAt, `${name} is not supported yet`, 'remove it');
      }
    }
  }

  #resolved({ node }: Entry): Node | undefined {
    return node === undefined ? undefined : this.#tree.resolve(node);
  }

  /** The pairs of a mapping, with the first of those that have the same key.
   *  @returns undefined for what is no mapping (and complained about) */
  #pairs(entry: Entry, title: string): Entry[] | undefined {
    const map = this.#resolved(entry);
    if (!isMap(map)) {
      this.complain(
        entry.at,
        `${title} ${insteadOf('mapping', map)}`,
        'use keys and values, such as KEY: VALUE',
      );
      return undefined;
    }
    const pairs = new Map<string, Entry>();
    for (const pair of map.items) {
      const keyNode = isNode(pair.key) ? this.#tree.resolve(pair.key) : undefined;
      const keyAt = keyNode?.range?.[0] ?? entry.at;
      const name = isScalar(keyNode) ? textOf(keyNode) : '';
      const node = isNode(pair.value) ? pair.value : undefined;
      const first = pairs.get(name);
      if (name === '') {
        this.complain(keyAt, `a key in ${title} is no text`, 'write KEY: VALUE');
      } else if (first !== undefined) {
        this.complain(
          keyAt,
          `${quoted(name)} stands twice in ${title}: first at ${this.place(first.keyAt)}`,
          'keep one',
        );
      } else {
        pairs.set(name, { name, at: node?.range?.[0] ?? keyAt, keyAt, node });
      }
    }
    return [...pairs.values()];
  }

  /** @returns the key that was meant, '' when that is not clear */
  #complainUnknown({ name, keyAt }: Entry, keys: Keys, title: string): string {
    const level = levels.find((each) => Object.hasOwn(each.keys, name));
    const near = nearest(name, Object.keys(keys), level === undefined ? undefined : 1);
    const known = Object.keys(keys).filter((each) => keys[each]?.built !== false);
    let fix = `known here: ${known.join(', ')}`;
    if (name === '<<') fix = 'write the keys out; what instances share can stand in their group';
    else if (near !== undefined) fix = `did you mean ${near}?`;
    else if (level !== undefined) fix = `it belongs to ${level.path || 'the top level'}`;
    this.complain(keyAt, `unknown key ${quoted(name)} in ${title}`, fix);
    return near ?? '';
  }
}

/** What is wrong with a value that its key does not take; without a fix, what the key holds is the fix. */
function objection(
  node: Node | undefined,
  key: Key<unknown>,
  issue: z.core.$ZodIssue | undefined,
): { what: string; fix?: string } {
  if (!isScalar(node) || node.value === null) return { what: kindOf(node) };
  const { value, source } = node;
  if (key.later?.safeParse(value).success === true) return { what: `${shown(node)} is not supported yet` };
  const what = `${shown(node)} ${issue?.message ?? 'is wrong'}`;
  if (issue?.code === 'custom' && typeof issue.params?.['fix'] === 'string') {
    return { what, fix: issue.params['fix'] };
  }
  if (issue?.code === 'invalid_value') {
    const near = nearest(textOf(node), issue.values.map(String));
    if (near !== undefined) return { what, fix: `did you mean ${near}? use ${key.holds}` };
  }
  if (source !== undefined && typeof value !== 'string' && key.schema.safeParse(source).success) {
    return { what, fix: `put it in quotes: "${source}"` };
  }
  return { what };
}

/** A key or value as it stands in the file, without its quotes. */
function textOf({ value, source }: { value: unknown; source?: string }): string {
  return typeof value === 'string' ? value : (source ?? String(value));
}

function shortened(text: string): string {
  return text.length > 48 ? `${text.slice(0, 47)}…` : text;
}

/** In quotes where it would not read as one word. */
function quoted(text: string): string {
  const short = shortened(text);
  return /^[^\s"',;]+$/.test(short) ? short : JSON.stringify(short);
}

function shown(node: Node | undefined): string {
  if (!isScalar(node)) return '';
  return node.type === 'PLAIN' ? quoted(textOf(node)) : JSON.stringify(shortened(textOf(node)));
}

function kindOf(node: Node | undefined): string {
  return isMap(node) ? 'is a mapping' : isSeq(node) ? 'is a list' : 'is empty';
}

function insteadOf(wanted: string, node: Node | undefined): string {
  return isScalar(node) && node.value !== null ? `${shown(node)} is no ${wanted}` : kindOf(node);
}
