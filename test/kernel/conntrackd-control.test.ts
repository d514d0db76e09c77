import { fileURLToPath } from 'node:url';
import { readConntrackdConfig } from '../../src/conntrackd/config-file.ts';
import { type ControlResult } from '../../src/conntrackd/control-client.ts';
import {
  parseCache,
  parseNetwork,
  parseQueue,
  parseRuntime,
  parseStatistics,
} from '../../src/conntrackd/statistics.ts';
import { ask, read } from '../../src/conntrackd/watch.ts';
import { Conntrackd } from '../bench/conntrackd.ts';
import { makeBackground } from '../bench/flows.ts';
import { clientOf, conntrackdPlan, twoNodes } from './conntrackd-stage.ts';
import { rootTest } from './root.ts';
import { eventually } from './stage.ts';

const timeoutMs = 5000;

function textOf(result: ControlResult): string {
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return result.text;
}

rootTest('what the real one says is understood', async (t) => {
  await using network = await twoNodes();
  await using one = await Conntrackd.start(network.host('fw1'), conntrackdPlan('fw1'));
  await using two = await Conntrackd.start(network.host('fw2'), conntrackdPlan('fw2'));
  await makeBackground(network.host('fw1'), { count: 200 });

  const client = clientOf(two);
  const statistics = await eventually(
    async () => parseStatistics(textOf(await client.request('statistics', { timeoutMs }))),
    ({ external }) => external?.current === 200,
    10_000,
  );
  t.match(statistics, {
    mode: 'external-cache',
    internal: { current: 0 },
    external: { current: 200, created: 200, createFailed: 0 },
    link: { device: 'sync0', receiveErrors: 0 },
    malformedMessages: 0,
    lostMessages: 0,
  });
  t.ok((statistics.link?.packetsReceived ?? 0) > 0);

  t.match(parseCache(textOf(await client.request('cache', { timeoutMs }))), [
    { name: 'internal', active: 0, createFailed: 0, noSpaceLeft: 0 },
    { name: 'external', active: 200, total: 200, createFailed: 0, noSpaceLeft: 0 },
  ]);
  const queues = parseQueue(textOf(await client.request('queue', { timeoutMs })));
  t.match(queues.get('rsqueue'), { maximum: 262_144, notEnoughSpace: 0 });
  t.match(queues.get('txqueue'), { current: 0 });
  const network_ = parseNetwork(textOf(await client.request('network', { timeoutMs })));
  t.match(network_, { packetsLost: 0, packetsBefore: 0, link: { device: 'sync0' } });
  t.equal(network_.received.get('Bad message type'), 0);
  t.equal(network_.sent.get('Malformed messages'), 0);
  const runtime = parseRuntime(textOf(await clientOf(one).request('runtime', { timeoutMs })));
  t.equal(runtime.get('events received'), 200);
  t.equal(runtime.get('local unknown request'), 0);

  client.askThroughProgram(true);
  t.match(parseStatistics(textOf(await client.request('statistics', { timeoutMs }))), {
    mode: 'external-cache',
    external: { current: 200 },
  });
  t.match(await readConntrackdConfig(one.configFile), {
    socketPath: one.socket,
    syncMode: 'FTFW',
    injects: false,
    complaints: [],
  });
});

rootTest('the modes are told apart', async (t) => {
  await using network = await twoNodes();
  await using injecting = await Conntrackd.start(
    network.host('fw1'),
    conntrackdPlan('fw1', { injection: true }),
  );
  await using counting = await Conntrackd.start(network.host('fw2'), {});
  t.match(await ask(clientOf(injecting), timeoutMs), {
    health: 'ok',
    statistics: { mode: 'injection', external: { created: 0, current: undefined } },
  });
  t.match(await readConntrackdConfig(injecting.configFile), { injects: true });
  t.match(await ask(clientOf(counting), timeoutMs), { health: 'statistics_mode' });
  t.match(await readConntrackdConfig(counting.configFile), { syncMode: undefined });
});

rootTest('stopped, killed, standing still, started anew', async (t) => {
  await using network = await twoNodes();
  await using conntrackd = await Conntrackd.start(network.host('fw1'), conntrackdPlan('fw1'));
  const client = clientOf(conntrackd);
  const first = await read(client, timeoutMs);
  t.match(first, { health: 'ok', run: /./ });

  conntrackd.pause();
  // More than its backlog takes.
  for (let request = 0; request < 30; request += 1) {
    const result = await client.request('statistics', { timeoutMs: 20 });
    if (result.ok || result.reason !== 'timeout') t.fail(JSON.stringify(result));
  }
  t.match(await read(client, 100), { health: 'hung', run: first.run });
  conntrackd.resume();
  t.match(await read(client, timeoutMs), { health: 'ok', run: first.run });

  await conntrackd.stop();
  t.match(await read(client, timeoutMs), { health: 'absent', run: undefined, detail: /no socket/ });
  await conntrackd.start();
  const second = await read(client, timeoutMs);
  t.match(second, { health: 'ok', run: /./ });
  t.not(second.run, first.run);
  await conntrackd.crash();
  t.match(await read(client, timeoutMs), { health: 'absent', detail: /nobody listens/ });
});

rootTest('a socket without rights', async (t) => {
  await using network = await twoNodes();
  await using conntrackd = await Conntrackd.start(network.host('fw1'), conntrackdPlan('fw1'));
  const client = fileURLToPath(new URL('../../src/conntrackd/control-client.js', import.meta.url));
  const script = `
    const { ControlClient } = await import(${JSON.stringify(client)});
    const client = new ControlClient({ path: ${JSON.stringify(conntrackd.socket)}, program: {} });
    console.log(JSON.stringify(await client.request('statistics', { timeoutMs: 5000 })));`;
  const { stdout } = await network
    .host('fw1')
    .run('setpriv', [
      ...['--reuid=65534', '--clear-groups', '--bounding-set=-all', '--inh-caps=-all'],
      ...[process.execPath, '--input-type=module', '-e', script],
    ]);
  t.match(JSON.parse(stdout), { ok: false, reason: 'no_rights', detail: /not allowed to connect/ });
});
