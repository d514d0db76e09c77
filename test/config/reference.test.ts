import { readFile, readdir } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import t from 'tap';
import { loadConfig, readConfig } from '../../src/config/load.ts';
import { jsonSchema, withKeyTables } from '../../src/config/reference.ts';
import { levels } from '../../src/config/schema.ts';

/** As scripts/generate-docs.mjs writes it. */
async function formatted(file: string, text: string): Promise<string> {
  return format(text, { ...(await resolveConfig(file)), filepath: file });
}

void t.test("docs/configuration.md has today's tables", async (t) => {
  const file = 'docs/configuration.md';
  const committed = await readFile(file, 'utf8');
  t.equal(await formatted(file, withKeyTables(committed)), committed, 'else: node scripts/generate-docs.mjs');
  for (const { path, keys } of levels) {
    const [, section = ''] = committed.split(path === '' ? '### Top level\n' : `### \`${path}\`\n`);
    const [table = ''] = section.split('\n### ');
    for (const name of Object.keys(keys)) t.match(table, `| \`${name}\``, `${path} ${name}`);
  }
  t.throws(() => withKeyTables('# No marks\n'), /no marks/);
});

void t.test("docs/havrrp.schema.json is today's schema", async (t) => {
  const file = 'docs/havrrp.schema.json';
  const committed = await readFile(file, 'utf8');
  t.equal(
    await formatted(file, JSON.stringify(jsonSchema())),
    committed,
    'else: node scripts/generate-docs.mjs',
  );
  t.match(jsonSchema(), {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    required: ['groups'],
    properties: { log: { properties: { level: { default: 'info' } } }, peers: { not: {} } },
  });
});

void t.test('every example loads', async (t) => {
  const examples = await readdir('docs/examples');
  t.ok(examples.length >= 3);
  for (const name of examples) {
    const { groups } = await readConfig(`docs/examples/${name}`);
    t.ok(groups.length > 0, name);
  }
});

void t.test('the file in docs/configuration.md loads', async (t) => {
  const text = await readFile('docs/configuration.md', 'utf8');
  const [, smallest = ''] = /```yaml\n(groups:[^]*?)```/.exec(text) ?? [];
  t.equal(loadConfig(smallest, 'f').groups[0]?.instances.length, 2);
});
