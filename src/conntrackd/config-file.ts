import { readFile } from 'node:fs/promises';
import type { Complaint } from '../errors.ts';

/** What we need to know of conntrackd.conf, and nothing else: conntrackd itself judges the file. */
export interface ConntrackdConfig {
  /** Its control socket. */
  readonly socketPath: string;
  /** As written: `FTFW`, `NOTRACK`, `ALARM`; undefined where there is no `Sync { Mode }`: it only keeps statistics. */
  readonly syncMode: string | undefined;
  /** `DisableExternalCache on`: the peer's sessions go straight into our kernel. */
  readonly injects: boolean;
  /** What an operator should know; nothing of it keeps us from going on. */
  readonly complaints: readonly Complaint[];
}

/** Where Debian's package puts it. conntrackd has no default of its own. */
export const defaultSocketPath = '/var/run/conntrackd.sock';

/** @param path the file as given to `conntrackd -C`
 *  @returns what could be read of it: never rejects, a file that cannot be read is a complaint */
export async function readConntrackdConfig(path: string): Promise<ConntrackdConfig> {
  try {
    return parseConntrackdConfig(await readFile(path, 'latin1'), path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const complaint = {
      where: path,
      what: `conntrackd's configuration cannot be read (${why})`,
      fix: `name the file conntrackd is started with in conntrackd.config; until then its socket is looked for at ${defaultSocketPath}`,
    };
    return { ...parseConntrackdConfig('', path), complaints: [complaint] };
  }
}

/** Tolerant: takes any text, and what it does not know it passes over. */
export function parseConntrackdConfig(text: string, where: string): ConntrackdConfig {
  const statements = statementsOf(text);
  const valueOf = (block: string, key: string): string | undefined =>
    statements.find(({ inside, words }) => inside.includes(block) && same(words[0], key))?.words[1];
  const socketPath = valueOf('unix', 'Path');
  const syncMode = statements.find(({ inside, words }) => inside.includes('sync') && same(words[0], 'Mode'))
    ?.words[1];
  const complaints: Complaint[] = [];
  if (socketPath === undefined)
    complaints.push({
      where,
      what: 'no control socket is named',
      fix: `add to General: UNIX { Path ${defaultSocketPath} }; until then it is looked for there`,
    });
  if (syncMode === undefined)
    complaints.push({
      where,
      what: 'conntrackd synchronises nothing: there is no Sync with a Mode',
      fix: 'have one made by `havrrp generate conntrackd`',
    });
  return {
    socketPath: socketPath ?? defaultSocketPath,
    syncMode,
    injects: same(valueOf('sync', 'DisableExternalCache'), 'on'),
    complaints,
  };
}

interface Statement {
  /** Names of the blocks around it, in lower case, the innermost last. */
  readonly inside: readonly string[];
  readonly words: readonly string[];
}

/** conntrackd's words: `Mode FTFW {` opens a block and is a statement as well; a line ends a statement, and so does a brace. One
 *  that follows its neighbour on the same line (`Path /run/c.sock Backlog 20`) is found too, since every word may begin one. */
function statementsOf(text: string): Statement[] {
  const statements: Statement[] = [];
  const inside: string[] = [];
  for (const line of text.split(/[\r\n]+/)) {
    let words: string[] = [];
    const end = (): void => {
      for (let start = 0; start < words.length; start += 1)
        statements.push({ inside: [...inside], words: words.slice(start) });
      words = [];
    };
    for (const [, quoted, word] of withoutComment(line).matchAll(/"([^"]*)"?|([{}]|[^\s{}"]+)/g)) {
      if (word === '{') {
        const name = words.join(' ').toLowerCase();
        end();
        // `Sync`, `UNIX`, `Mode FTFW`, and in one line even `HashSize 8192 UNIX`.
        inside.push(/\bmode \S+$/.test(name) ? 'mode' : (name.split(' ').at(-1) ?? ''));
      } else if (word === '}') {
        end();
        inside.pop();
      } else {
        words.push(quoted ?? word ?? '');
      }
    }
    end();
  }
  return statements;
}

function withoutComment(line: string): string {
  return /^(?:[^"#]|"[^"]*")*/.exec(line)?.[0] ?? '';
}

function same(word: string | undefined, wanted: string): boolean {
  return word?.toLowerCase() === wanted.toLowerCase();
}
