import { Composer, Lexer, LineCounter, Parser, isAlias, isScalar, visit } from 'yaml';
import type { Alias, CST, Document, ErrorCode, Node } from 'yaml';
import { ConfigError } from '../errors.ts';
import type { Complaint } from '../errors.ts';

/** A configuration file is read on the event loop of a running master: what is read is bounded before it is understood.
 *  Two thousand instances fit in. */
export const maxOctets: number = 1024 * 1024;
const maxLexemes = 100_000;
const maxLexemeLength = 4096;
const maxDepth = 64;

/** A YAML text that is well-formed; what its keys mean is not looked at. A position is an offset into the text. */
export interface Tree {
  /** undefined: nothing but blanks and comments */
  readonly root: Node | undefined;
  /** @returns `FILE:LINE:COLUMN`, both counted from 1 */
  readonly place: (offset: number) => string;
  /** Looks through an alias. */
  readonly resolve: (node: Node) => Node;
}

const mends: Partial<Record<ErrorCode, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BAD_INDENT: 'indent all keys of one mapping by the same number of spaces, and close every bracket',
  BAD_SCALAR_START: 'put the value in quotes',
  BAD_DQ_ESCAPE: 'write \\\\ for a backslash, or use single quotes',
  BLOCK_AS_IMPLICIT_KEY: 'give every key its own line, and put a value that holds ": " in quotes',
  MULTILINE_IMPLICIT_KEY: 'give every key its own line, and put a value that holds ": " in quotes',
  BLOCK_IN_FLOW: 'put a comma between the keys',
  TAG_RESOLVE_FAILED: 'remove the tag',
  BAD_DIRECTIVE: 'remove the line',
};
const anyMend = 'look for a missing quote, bracket, colon or comma';

/** @returns the first control character that YAML 1.2 (5.1) does not allow in a text */
function findControlCharacter(text: string): { offset: number; name: string } | undefined {
  const found = /(?![\t\n\r\u0085])\p{Cc}/u.exec(text);
  if (found === null) return undefined;
  const hex = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  return { offset: found.index, name: `U+${hex}` };
}

/** The parser's tokens, as long as the text stays within bounds. */
function* boundedTokens(
  text: string,
  refuse: (offset: number, complaint: Complaint) => never,
): Generator<CST.Token> {
  const parser = new Parser();
  let count = 0;
  let oddities = 0;
  for (const lexeme of new Lexer().lex(text)) {
    count += 1;
    if (count > maxLexemes) {
      refuse(parser.offset, {
        what: `more than ${maxLexemes} words and signs`,
        fix: 'no configuration is that long',
      });
    }
    if (lexeme.length > maxLexemeLength && !/^[#\s]/.test(lexeme)) {
      refuse(parser.offset, {
        what: `a value of ${lexeme.length} characters`,
        fix: `use at most ${maxLexemeLength}`,
      });
    }
    for (const token of parser.next(lexeme)) {
      // Past a hundred of these the rest is echo, and each takes its time.
      if ((token.type === 'error' || token.type === 'directive') && (oddities += 1) > 100) return;
      yield token;
    }
    if (parser.stack.length > maxDepth) {
      refuse(parser.offset, { what: 'nested too deeply', fix: 'no key of a configuration lies that deep' });
    }
  }
  yield* parser.end();
}

/** Reads one YAML 1.2 document (core schema, no merge keys).
 *  @param file how complaints name it
 *  @throws ConfigError with every syntax error, one for each line */
export function parseYaml(text: string, file: string): Tree {
  const source = text.startsWith('\ufeff') ? text.slice(1) : text;
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (const { index } of source.matchAll(/\n/g)) lines.addNewLine(index + 1);
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const refuse = (offset: number, complaint: Complaint): never => {
    throw new ConfigError([{ where: place(offset), ...complaint }]);
  };

  if (Buffer.byteLength(source) > maxOctets) {
    refuse(0, { what: 'the file is larger than 1 MiB', fix: 'no configuration is that long' });
  }
  const control = findControlCharacter(source);
  if (control !== undefined) {
    refuse(control.offset, { what: `the control character ${control.name} is no text`, fix: 'remove it' });
  }

  // uniqueKeys compares each key with each: the reader looks for duplicates in its own, linear way.
  const composer = new Composer({ uniqueKeys: false, schema: 'core', merge: false, resolveKnownTags: false });
  const [document, second] = composer.compose(boundedTokens(source, refuse), true, source.length);
  const faults = [document, second].flatMap((each) => [...(each?.errors ?? []), ...(each?.warnings ?? [])]);
  if (faults.length > 0) {
    const byLine = new Map<number, Complaint>();
    for (const { code, message, pos } of faults.sort((left, right) => left.pos[0] - right.pos[0])) {
      const { line } = lines.linePos(pos[0]);
      // The second error of a line is nearly always an echo of the first.
      if (byLine.has(line)) continue;
      byLine.set(line, {
        where: place(pos[0]),
        what: `no valid YAML: ${message}`,
        fix: mends[code] ?? anyMend,
      });
    }
    throw new ConfigError([...byLine.values()]);
  }
  if (second !== undefined) {
    refuse(second.range[0], {
      what: 'a second document starts here',
      fix: 'put one configuration into one file',
    });
  }
  const contents = document?.contents ?? undefined;
  const root = isScalar(contents) && contents.value === null ? undefined : contents;
  return { root, place, resolve: aliasResolver(document, refuse) };
}

/** Aliases stand for what they name, within a bound on how much they repeat: a few lines of them can unfold into billions. */
function aliasResolver(
  document: Document.Parsed | undefined,
  refuse: (offset: number, complaint: Complaint) => never,
): (node: Node) => Node {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document ?? null, {
    Node(_key, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.set(node.anchor, node);
        return;
      }
      const target = anchors.get(node.source);
      if (target === undefined) {
        return refuse(node.range?.[0] ?? 0, {
          what: `alias *${node.source} without an anchor &${node.source} before it`,
          fix: 'write the value out',
        });
      }
      targets.set(node, target);
    },
  });
  let budget = 10_000;
  return (node) => {
    const target = isAlias(node) ? targets.get(node) : undefined;
    if (target === undefined) return node;
    visit(target, { Node: () => void (budget -= 1) });
    if (budget < 0) {
      refuse(node.range?.[0] ?? 0, {
        what: 'aliases repeat more than 10000 values',
        fix: 'write the values out',
      });
    }
    return target;
  };
}
