import { setTimeout as delay } from 'node:timers/promises';
import type { TransitionEvent } from '../../src/control/messages.ts';
import { outages, type Probe } from '../bench/probe.ts';
import { acts, type Act } from './acts.ts';
import { complaint, table, type Result } from './report.ts';
import { configuration, firewalls, group, intervalMs, priorities, probeIntervalMs, Scene } from './scene.ts';
import { coloured, plain, Timeline } from './timeline.ts';

/** `npm run demo`: plays the acts before a timeline, then says what each one cost. Status 1 when one cost too much. */

const { NO_COLOR, FORCE_COLOR } = process.env;
const palette =
  NO_COLOR === undefined && (process.stdout.isTTY || FORCE_COLOR !== undefined) ? coloured : plain;
const { strong, bad, faint } = palette;

/** The timeline shows what happened this long ago: until then a probe may still be answered. */
const lagMs = 300;
/** A client that has just failed over, or back, is watched for this long before the next act. */
const settleMs = 600;
const patienceMs = 15_000;

function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}

function introduce(): void {
  say();
  say(strong('havrrp: a pair of firewalls fails over'));
  say();
  say('              10.77.1.0/24             203.0.113.0/24');
  say('           2001:db8:1::/64             2001:db8:2::/64');
  say('   client ───────┬───── .2  fw1  .2 ─────┬─────── server');
  say('    .10          └───── .3  fw2  .3 ─────┘         .10');
  say('         gateway .1                 gateway .1     (the virtual addresses)');
  say();
  for (const line of configuration('fw1').trimEnd().split('\n')) say(faint(`   ${line}`));
  say();
  say(
    `   fw2 has the same file with priority ${priorities.fw2}. Every ${probeIntervalMs} ms the client asks the server, through`,
  );
  say('   the firewalls, and its gateway for an echo, over IPv4 and IPv6.');
  say();
}

function watch(scene: Scene, timeline: Timeline): void {
  for (const firewall of firewalls) {
    scene.node(firewall).events.onItem((event) => {
      const text = describe(firewall, event);
      if (text === undefined) return;
      const role = event.to === undefined ? {} : { role: { host: firewall, name: event.to } };
      timeline.mark({ at: Date.parse(event.at), text, ...role });
    });
  }
}

function describe(firewall: string, { type, to, text }: TransitionEvent): string | undefined {
  switch (type) {
    case 'transition':
      return `${to === 'master' ? strong(`${firewall} ${to}`) : `${firewall} ${to ?? ''}`}: ${text}`;
    case 'alarm':
      return bad(`${firewall}: ${text}`);
    default:
      return `${firewall}: ${text}`;
  }
}

async function play(act: Act, scene: Scene, probe: Probe, timeline: Timeline): Promise<Result> {
  const startedAt = Date.now();
  let broken: string | undefined;
  try {
    await act.perform(scene);
    for (const firewall of firewalls)
      if (!scene.node(firewall).isRunning)
        timeline.mark({ at: Date.now(), role: { host: firewall, name: 'off' } });
    await scene.node(act.master).reaches(group, 'master', patienceMs);
    await delay(settleMs);
  } catch (error) {
    broken = error instanceof Error ? error.message : String(error);
  }
  // A lost probe is known only after the probe's patience, which is shorter than the lag.
  await delay(lagMs);
  const within = outages(probe.outcomes.items.filter(({ sentAt }) => sentAt >= startedAt));
  return { act, outages: within, broken };
}

async function main(): Promise<void> {
  introduce();
  await using scene = await Scene.build();
  const startAt = Date.now();
  const timeline = new Timeline(startAt, firewalls, palette);
  const show = (until: number): void => {
    for (const line of timeline.lines(until)) say(line);
  };
  say(timeline.heading());
  watch(scene, timeline);
  const clock = setInterval(() => {
    show(Date.now() - lagMs);
  }, 50);

  timeline.mark({ at: startAt, text: strong('both firewalls start') });
  await scene.node('fw1').start();
  await scene.node('fw2').start();
  await scene.node('fw1').reaches(group, 'master', patienceMs);
  await using probe = await scene.probe();
  probe.outcomes.onItem(({ target, sentAt, answeredAfterMs }) => {
    timeline.probe({ target, sentAt, answered: answeredAfterMs !== undefined });
  });
  await delay(settleMs);

  const results: Result[] = [];
  for (const act of acts) {
    timeline.mark({ at: Date.now(), text: strong(`${results.length + 1} > ${act.title}`) });
    const result = await play(act, scene, probe, timeline);
    results.push(result);
    if (result.broken !== undefined) break;
  }
  clearInterval(clock);
  show(Date.now());
  say();
  for (const line of table(results, palette)) say(line);
  say();
  say(
    `  Allowed after a failure: the master-down interval, 3 x ${intervalMs} ms + skew (RFC 9568 6.1); it must be noticed.`,
  );
  say(
    '  Planned: who leaves goes on forwarding until the other one does. What keepalived loses then: npm run bench.',
  );
  say();

  if (results.every((result) => complaint(result) === undefined)) return;
  process.exitCode = 1;
  for (const firewall of firewalls) say(`${strong(`the log of ${firewall}`)}\n${scene.node(firewall).log}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
