import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { OperatorDemotions, contribution, demotionStatus } from '../../src/daemon/operator-demotions.ts';

const soft = { hard: false, until: undefined, persistent: true };

t.test('what is persistent comes back, and nothing else', async (t) => {
  const directory = join(t.testdir(), 'not-there-yet');
  const demotions = new OperatorDemotions(directory);
  t.equal(await demotions.load(), undefined, 'there is no file at first');
  demotions.set('edge', soft);
  demotions.set('timed', { hard: true, until: 1_800_000_000_000, persistent: true });
  demotions.set('passing', { ...soft, persistent: false });
  await demotions.store();
  t.equal(statSync(join(directory, 'demotions.json')).mode & 0o777, 0o600, 'for its owner alone');

  const next = new OperatorDemotions(directory);
  t.equal(await next.load(), undefined, 'the file is well');
  t.strictSame(next.of('edge'), soft);
  t.strictSame(next.of('timed'), { hard: true, until: 1_800_000_000_000, persistent: true });
  t.equal(next.of('passing'), undefined);

  next.delete('edge');
  await next.store();
  const last = new OperatorDemotions(directory);
  await last.load();
  t.equal(last.of('edge'), undefined, 'what was taken back stays away');
});

t.test('of two stores at once the last one wins', async (t) => {
  const directory = t.testdir();
  const demotions = new OperatorDemotions(directory);
  demotions.set('edge', soft);
  const first = demotions.store();
  demotions.delete('edge');
  await Promise.all([first, demotions.store()]);
  t.equal(readFileSync(join(directory, 'demotions.json'), 'utf8'), '{}\n');
});

t.test('a damaged file is reported and ignored', async (t) => {
  for (const text of ['{', '[]', '{"edge":{"hard":"yes"}}', '']) {
    const directory = t.testdir({ 'demotions.json': text });
    const demotions = new OperatorDemotions(directory);
    t.match(await demotions.load(), /demotions\.json: .*stored demotions are ignored/, JSON.stringify(text));
    t.equal(demotions.of('edge'), undefined);
  }
});

t.test('a state directory that cannot be made is the caller’s to report', async (t) => {
  const directory = t.testdir({ file: '' });
  const demotions = new OperatorDemotions(join(directory, 'file', 'below'));
  demotions.set('edge', soft);
  await t.rejects(demotions.store(), { code: 'ENOTDIR' });
});

t.test('what the protocol and the operator see of it', async (t) => {
  t.strictSame(contribution({ ...soft, hard: true }), { source: 'operator', value: 254, hard: true });
  t.strictSame(demotionStatus(soft), { source: 'operator', value: 254, persistent: true });
  t.equal(demotionStatus({ ...soft, until: 0 }).until, '1970-01-01T00:00:00.000Z');
});
