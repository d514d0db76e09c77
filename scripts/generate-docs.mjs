// Writes docs/havrrp.schema.json and the tables of docs/configuration.md from src/config/schema.ts, after a build.
// test/config/reference.test.ts fails while they are not up to date.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { jsonSchema, withKeyTables } from '../dist/src/config/reference.js';

async function write(name, text) {
  const file = fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
  await writeFile(file, await format(text, { ...(await resolveConfig(file)), filepath: file }));
  console.log(`wrote ${file}`);
}

const configuration = await readFile(new URL('../docs/configuration.md', import.meta.url), 'utf8');
await write('configuration.md', withKeyTables(configuration));
await write('havrrp.schema.json', JSON.stringify(jsonSchema()));
