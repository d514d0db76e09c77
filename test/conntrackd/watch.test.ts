import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ControlClient } from '../../src/conntrackd/control-client.ts';
import { parseStatistics } from '../../src/conntrackd/statistics.ts';
import { ask, look, read, type Reading, unseen, type View } from '../../src/conntrackd/watch.ts';
import { removeDirectory, temporaryDirectory } from '../bench/leftovers.ts';
import * as samples from './samples.ts';
import { StandIn } from './stand-in.ts';

function reading(received: number, more: Partial<Reading> = {}): Reading {
  const text = samples.externalCache.replace('105 Pckts recv', `${received} Pckts recv`);
  return { health: 'ok', detail: '', statistics: parseStatistics(text), run: 'first', ...more };
}

const hung: Reading = { health: 'hung', detail: 'conntrackd hangs', statistics: undefined, run: 'first' };

/** Looks once a second. @returns the changes of each look, in words, and the last view */
function watch(readings: readonly Reading[]): { changes: string[]; view: View } {
  let view = unseen;
  const changes = readings.map((each, second) => {
    const seen = look(view, each, second * 1000);
    view = seen.view;
    return [...seen.changes].join('+');
  });
  return { changes, view };
}

t.test('the peer is heard when its packets are counted, not when there are some', async (t) => {
  t.equal(watch([reading(7)]).view.peerHeard, false);
  t.equal(watch([reading(7), reading(8)]).view.peerHeard, true);
});

t.test('three seconds without a packet: silent; then another one: returned', async (t) => {
  const { changes } = watch([1, 2, 2, 2, 2, 2, 3, 4].map((received) => reading(received)));
  t.strictSame(changes, ['health', '', '', '', 'peer_silent', '', 'peer_returned', '']);
});

t.test('heard for the first time is no return', async (t) => {
  const { changes } = watch([0, 0, 0, 0, 0, 1].map((received) => reading(received)));
  t.strictSame(changes, ['health', '', '', '', '', '']);
});

t.test('while conntrackd hangs, nothing is known of the peer; what was known stays', async (t) => {
  const { changes, view } = watch([reading(1), reading(2), hung, hung, hung, hung, hung]);
  t.strictSame(changes, ['health', '', 'health', '', '', '', '']);
  t.match(view, {
    health: 'hung',
    peerHeard: true,
    statistics: undefined,
    known: { mode: 'external-cache' },
  });
  t.equal(look(view, reading(9), 7000).view.peerHeard, true);
});

t.test('a run of its own socket: restarted; its counters begin anew', async (t) => {
  const gone: Reading = { health: 'absent', detail: 'gone', statistics: undefined, run: undefined };
  const { changes, view } = watch([
    reading(50),
    reading(51),
    gone,
    reading(1, { run: 'second' }),
    reading(2, { run: 'second' }),
  ]);
  t.strictSame(changes, ['health', '', 'health', 'health+restarted', '']);
  t.equal(view.peerHeardAt, 4000);
});

t.test('what it answers, what that means', async (t) => {
  await using standIn = await StandIn.listen();
  const client = new ControlClient({
    path: standIn.path,
    program: { binary: '/nonexistent/conntrackd', configFile: 'c' },
  });
  t.match(await ask(client, 5000), { health: 'ok', statistics: { mode: 'external-cache' } });
  standIn.mode = 'statistics';
  t.match(await ask(client, 5000), { health: 'statistics_mode', detail: /havrrp generate conntrackd/ });
  for (const text of ['', 'what?\n', 'cache external:\n', samples.externalCache.slice(0, 230)]) {
    standIn.misbehave = (socket) => void socket.end(text);
    t.match(await ask(client, 5000), { health: 'broken', statistics: undefined }, JSON.stringify(text));
  }
  standIn.misbehave = () => undefined;
  t.match(await ask(client, 50), { health: 'hung', detail: /hangs: no answer in 50 ms/ });

  standIn.misbehave = undefined;
  standIn.mode = 'injection';
  const before = await read(client, 5000);
  t.match(before, { health: 'ok', run: /\d/ });
  t.equal((await read(client, 5000)).run, before.run);
  await standIn.stop();
  t.match(await read(client, 5000), { health: 'absent', run: undefined });
  await standIn.start();
  t.not((await read(client, 5000)).run, before.run);
});

t.test('a socket that speaks otherwise: its own program is asked instead', async (t) => {
  await using standIn = await StandIn.listen();
  const directory = temporaryDirectory('program');
  t.teardown(() => removeDirectory(directory));
  const binary = join(directory, 'conntrackd');
  writeFileSync(join(directory, 'answer'), samples.injection);
  writeFileSync(binary, `#!/bin/sh\nexec cat ${join(directory, 'answer')}\n`, { mode: 0o700 });
  const client = new ControlClient({ path: standIn.path, program: { binary, configFile: 'c' } });
  standIn.misbehave = (socket) => void socket.end('?');
  t.match(await ask(client, 5000), { health: 'ok', statistics: { mode: 'injection' } });
  t.equal(client.throughProgram, true);

  writeFileSync(binary, '#!/bin/sh\nexit 1\n');
  t.match(await ask(client, 5000), { health: 'broken' });
  t.equal(client.throughProgram, false, 'what has become of it, the socket tells');
});
