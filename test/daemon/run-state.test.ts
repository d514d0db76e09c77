import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  type RunState,
  RunStateWriter,
  bootId,
  forgetRunState,
  readRunState,
} from '../../src/daemon/run-state.ts';

function stateOf(advertisedAt: number): RunState {
  const router = {
    interface: 'lan',
    family: 'ipv4',
    vrid: 61,
    intervalMs: 1000,
    addresses: ['192.0.2.61'],
    source: '192.0.2.1',
    checksum: 'pseudo_header',
  } as const;
  const holds = [{ interface: 'lan', address: '192.0.2.61', prefixLength: 24 }];
  return { bootId: bootId(), masters: { edge: { advertisedAt, routers: [router], holds } } };
}

function fail(error: unknown): never {
  throw error;
}

/** The writer says when it is done in one way only: what it removes had been written. */
async function written(directory: string): Promise<RunState> {
  for (;;) {
    const state = await readRunState(directory);
    if (state !== undefined) return state;
    await new Promise(setImmediate);
  }
}

t.test('what one daemon writes, the next one reads', async (t) => {
  const directory = t.testdir();
  new RunStateWriter(directory, fail).write(stateOf(1234.5));
  t.strictSame(await written(directory), stateOf(1234.5));
  await forgetRunState(directory);
  t.equal(await readRunState(directory), undefined, 'until it is forgotten');
  await forgetRunState(directory);
  t.strictSame(readdirSync(directory), [], 'a second time does no harm');
});

t.test('of many that wait the newest is written', async (t) => {
  const directory = t.testdir();
  const writer = new RunStateWriter(directory, fail);
  for (let at = 1; at <= 100; at += 1) writer.write(stateOf(at));
  let seen = await written(directory);
  while (seen.masters['edge']?.advertisedAt !== 100) {
    t.equal(seen.masters['edge']?.advertisedAt, 1, 'the first one went out before there were others');
    await new Promise(setImmediate);
    seen = await written(directory);
  }
  await writer.remove();
  t.equal(await readRunState(directory), undefined, 'an orderly stop leaves nothing');
});

t.test('what is of no use is as good as nothing', async (t) => {
  for (const [name, text] of [
    ['another boot', JSON.stringify({ ...stateOf(1), bootId: 'another' })],
    ['cut off', JSON.stringify(stateOf(1)).slice(0, 60)],
    ['empty', ''],
    ['of another version', JSON.stringify({ bootId: bootId(), masters: { edge: { since: 1 } } })],
    ['not an object', '[]'],
  ] as const) {
    const directory = t.testdir({ 'run-state.json': text });
    t.equal(await readRunState(directory), undefined, name);
  }
});

t.test('a directory that cannot be written to is reported, and later written to', async (t) => {
  const directory = t.testdir();
  const obstacle = join(directory, 'run-state.json.new');
  mkdirSync(obstacle);
  const errors: unknown[] = [];
  const writer = new RunStateWriter(directory, (error) => errors.push(error));
  writer.write(stateOf(1));
  while (errors.length === 0) await new Promise(setImmediate);
  t.match(String(errors[0]), 'EISDIR');
  rmdirSync(obstacle);
  writer.write(stateOf(2));
  t.equal((await written(directory)).masters['edge']?.advertisedAt, 2);
});

t.test('its owner alone may read it', async (t) => {
  const directory = t.testdir();
  new RunStateWriter(directory, fail).write(stateOf(1));
  await written(directory);
  t.equal(statSync(join(directory, 'run-state.json')).mode & 0o777, 0o600);
});
