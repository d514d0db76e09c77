import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { runScript } from './script.ts';

/** Every `*.txt` here is a night as an operator would tell it: commands, and the whole transcript of what they made happen.
 *  HAVRRP_UPDATE_TRANSCRIPTS=1 writes the transcripts anew; read each as an incident report before you keep it. */

const directory = new URL('../../../test/scenarios/', import.meta.url);
const update = process.env.HAVRRP_UPDATE_TRANSCRIPTS === '1';

for (const name of readdirSync(directory).filter((file) => file.endsWith('.txt'))) {
  const file = new URL(name, directory);
  const expected = readFileSync(file, 'utf8');
  const { text, broken } = runScript(expected);
  if (update && text !== expected) writeFileSync(file, text);
  t.equal(broken, undefined, `${name}: nothing happens that must never be`);
  t.strictSame(text.split('\n'), (update ? text : expected).split('\n'), `${name}: the whole transcript`);
}
