import type { Test } from 'tap';
import type { TransitionEvent } from '../../src/control/messages.ts';
import { Capture } from '../bench/capture.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { Injector } from '../bench/injector.ts';
import { rootTest } from './root.ts';
import { adverts, eventually, masterDownMs, oneFirewall, yamlOf } from './stage.ts';
import {
  control,
  groupNameOf,
  injectionOf,
  type Victim,
  victimIntervalMs,
  victims,
  victimsYaml,
} from './victims.ts';

/** What havrrp makes of what it hears (RFC 9568 7.1): a stranger of higher priority speaks to many routers, each time with
 *  one thing wrong. A router that heard him stays silent; one that refused him does what it would have done anyway. */

const families = ['ipv4', 'ipv6'] as const;
const downMs = masterDownMs(100, victimIntervalMs);
const ours = '192.0.2.1';

/** The router's own adverts, without the stranger's. */
function own(
  capture: Capture,
  { family, vrid }: Pick<Victim, 'family' | 'vrid'>,
  linkLocal: string,
): readonly { at: number }[] {
  return adverts(capture, { family, vrid, source: family === 'ipv4' ? ours : linkLocal });
}

function checkSilence(
  t: Test,
  capture: Capture,
  linkLocal: string,
  events: readonly TransitionEvent[],
): void {
  for (const victim of victims) {
    const first = own(capture, victim, linkLocal)[0]?.at;
    const started = events.find(({ group, to }) => group === groupNameOf(victim) && to === 'backup');
    if (victim.reason === undefined) t.equal(first, undefined, `${victim.name}: heard`);
    else {
      const waited = ((first ?? NaN) - Date.parse(started?.at ?? '')) / downMs;
      const name = `V3-71: ${victim.name}: no timer was touched: master after ${waited.toFixed(3)} of one`;
      // A timer that he had touched would not fire as long as he speaks. All fire at once, and one must be the last.
      t.ok(waited > 0.99 && waited < 1.5, name);
    }
  }
}

/** How long after the stranger's last word each router that heard him took over. */
function checkTakeovers(t: Test, capture: Capture, linkLocal: string): void {
  for (const victim of victims.filter(({ reason }) => reason === undefined)) {
    const last = adverts(capture, { family: victim.family, vrid: victim.vrid, priority: 150 }).at(-1);
    const first = own(capture, victim, linkLocal)[0]?.at ?? NaN;
    const said = (last?.maxAdvertiseIntervalCs ?? NaN) * 10;
    const waited = (first - (last?.at ?? NaN)) / masterDownMs(100, said);
    t.ok(
      waited > 0.99 && waited < 1.3,
      `${victim.name}: taken over ${waited.toFixed(3)} master-down intervals after it`,
    );
  }
}

rootTest('V3-06 to V3-76, a backup refuses what it must, and hears what it must', async (t) => {
  await using network = await oneFirewall();
  const linkLocal = await network.host('fw1').linkLocal('lan');
  await using capture = await Capture.open(network.tap('lan'));
  await using injector = await Injector.open({ ...network.host('stranger'), interface: 'lan' });
  const seconds = 4;
  const injected = Promise.all(
    families.map((family) =>
      injector.sendPackets(injectionOf(victims, family, { each: 10 * seconds, perSecond: 10 })),
    ),
  );
  await capture.nextAdvert(({ priority }) => priority === 150, { withinMs: 3000 });
  await using havrrp = await Havrrp.start(network.host('fw1'), victimsYaml());
  const tenth = (): boolean =>
    families.every((family) => own(capture, { family, vrid: control[family] }, linkLocal).length >= 10);
  await capture.nextAdvert(tenth, { withinMs: 10_000 });
  await t.test('while he speaks', async (t) => checkSilence(t, capture, linkLocal, havrrp.events.items));

  const status = await havrrp.status();
  const alarmsOf = (name: string): string => {
    const victim = victims.find((each) => each.name.includes(name));
    if (victim === undefined) throw new Error(`no victim ${name}`);
    return status.groups.find((group) => group.name === groupNameOf(victim))?.alarms.join('\n') ?? '';
  };
  t.match(
    alarmsOf('V3-75'),
    'advertises every 300 ms, this node every 100 ms',
    'V3-75: the mismatch is shown',
  );
  t.match(
    alarmsOf('V3-76'),
    /does not list 192\.0\.2\.\d+ and lists 203\.0\.113\.9 besides/,
    'V3-76: and this one',
  );
  t.match(alarmsOf('V3-69'), 'does not list', 'V3-69: and this one');
  t.match(havrrp.log, /"msg":"[^"]*advertises every 300 ms/, 'V3-75: it is logged');
  t.match(havrrp.log, /"msg":"[^"]*lists 203\.0\.113\.9 besides/, 'V3-76: it is logged');

  await injected;
  for (const victim of victims) await havrrp.reaches(groupNameOf(victim), 'master', 5000);
  await t.test('after he has gone', async (t) => checkTakeovers(t, capture, linkLocal));
});

rootTest('V3-71 to V3-73, a master refuses and counts each by its reason', async (t) => {
  await using network = await oneFirewall();
  const linkLocal = await network.host('fw1').linkLocal('lan');
  await using capture = await Capture.open(network.tap('lan'));
  await using injector = await Injector.open({ ...network.host('stranger'), interface: 'lan' });
  await using havrrp = await Havrrp.start(network.host('fw1'), victimsYaml());
  for (const victim of victims) await havrrp.reaches(groupNameOf(victim), 'master', 5000);
  const each = 5;
  await Promise.all(
    families.map((family) => injector.sendPackets(injectionOf(victims, family, { each, perSecond: 5 }))),
  );

  const counted = async (): Promise<Record<string, Readonly<Record<string, number>>>> =>
    Object.fromEntries(
      (await havrrp.status()).groups.map(({ name, instances }) => [
        name,
        instances[0]?.routers[0]?.counters.discarded ?? {},
      ]),
    );
  const refused = victims.filter(({ reason }) => reason !== undefined);
  const discarded = await eventually(
    counted,
    (counts) => refused.every((victim) => counts[groupNameOf(victim)]?.[victim.reason ?? ''] === each),
    2000,
  ).catch(counted);
  for (const victim of refused) {
    t.strictSame(
      discarded[groupNameOf(victim)],
      { [victim.reason ?? '']: each },
      `${victim.name}: ${victim.reason}`,
    );
    const last = own(capture, victim, linkLocal).at(-1)?.at ?? NaN;
    const unharmed =
      own(capture, { family: victim.family, vrid: control[victim.family] }, linkLocal).at(-1)?.at ?? NaN;
    t.ok(Math.abs(last - unharmed) < 1.5 * victimIntervalMs, `V3-71: ${victim.name}: still master`);
  }
  const lines = havrrp.log.split('\n').filter((line) => line.includes('discarded a packet'));
  t.equal(lines.length, refused.length, 'V3-72: one line for each kind and router, however many came');
});

rootTest('V3-15, V3-68: a VRID belongs to an interface and a family', async (t) => {
  await using network = await oneFirewall();
  const host = network.host('fw1');
  await host.ip('link add other type veth peer name other-peer');
  await host.ip('link set other-peer up');
  await host.ip('link set other up');
  await host.ip('address add 203.0.113.1/24 dev other');
  await using injector = await Injector.open({ ...network.host('stranger'), interface: 'lan' });
  const interval = `${victimIntervalMs}ms`;
  await using havrrp = await Havrrp.start(
    host,
    yamlOf({
      lan4: { interval, instances: { lan: { interface: 'lan', vrid: 8, addresses: ['192.0.2.8/24'] } } },
      lan6: { interval, instances: { lan: { interface: 'lan', vrid: 9, addresses: ['2001:db8:1::8/64'] } } },
      other: {
        interval,
        instances: { other: { interface: 'other', vrid: 9, addresses: ['203.0.113.9/24'] } },
      },
    }),
  );
  for (const name of ['lan4', 'lan6', 'other']) await havrrp.reaches(name, 'master', 3000);
  const alien = {
    vrid: 9,
    priority: 200,
    maxAdvertiseIntervalCs: 10,
    source: '192.0.2.66',
    addresses: ['203.0.113.9'],
  };
  await injector.flood([alien], { count: 10, perSecond: 20 });
  const router = async (group: string): Promise<Readonly<Record<string, number>>> =>
    (await havrrp.group(group)).instances[0]?.routers[0]?.counters.discarded ?? {};
  await eventually(
    () => router('lan4'),
    ({ unknown_vrid: count }) => count === 10,
    2000,
  );
  t.strictSame(
    await router('lan4'),
    { unknown_vrid: 10 },
    'the right VRID on the wrong interface is counted there',
  );
  for (const name of ['lan6', 'other']) {
    t.equal((await havrrp.group(name)).state, 'master', `${name} is not impressed`);
    t.strictSame(await router(name), {}, `${name} has not even heard of it`);
  }
});
