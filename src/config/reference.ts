import * as z from 'zod/mini';
import { objectOf } from './keys.ts';
import type { Key } from './keys.ts';
import { levels, topKeys } from './schema.ts';

/** The JSON Schema of the file for editors, draft 2020-12. It knows each key by itself; `havrrp check` also knows what
 *  must fit together. */
export function jsonSchema(): object {
  const { $schema, ...rest } = z.toJSONSchema(objectOf(topKeys), { io: 'input' });
  return { $schema, title: 'havrrp configuration', ...rest };
}

const tableBegins = '<!-- The tables are written by scripts/generate-docs.mjs from src/config/schema.ts. -->';
const tableEnds = '<!-- Here the tables end. -->';

/** Puts tables of all keys, one for each mapping of the file, between the two marks of a Markdown text.
 *  @throws Error where the marks are missing */
export function withKeyTables(markdown: string): string {
  const begin = markdown.indexOf(tableBegins);
  const end = markdown.indexOf(tableEnds);
  if (begin < 0 || end < begin) throw new Error(`no marks for the tables: ${tableBegins} and ${tableEnds}`);
  const tables = levels.map(({ path, keys }) => {
    const title = `### ${path === '' ? 'Top level' : `\`${path}\``}`;
    const rows = Object.entries(keys).map(([name, key]) => row(name, key));
    return [title, '', '| key | meaning | value | default |', '| --- | --- | --- | --- |', ...rows].join(
      '\n',
    );
  });
  return [markdown.slice(0, begin) + tableBegins, ...tables, markdown.slice(end)].join('\n\n');
}

function row(name: string, key: Key<unknown>): string {
  const otherwise = key.required === true ? 'required' : (key.otherwise ?? '');
  const standard = key.default === undefined ? otherwise : `\`${String(key.default)}\``;
  const cells =
    key.built === false ? [key.meaning, 'not supported yet', ''] : [key.meaning, key.holds, standard];
  return `| ${[`\`${name}\``, ...cells].join(' | ')} |`;
}
