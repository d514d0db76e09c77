import type { Test } from 'tap';
import { Capture, type Advert } from '../bench/capture.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { Injector, type InjectedAdvert } from '../bench/injector.ts';
import type { Network } from '../bench/network.ts';
import { rootTest } from './root.ts';
import { adverts, announcements, masterDownMs, median, oneFirewall, yamlOf } from './stage.ts';

/** How a master answers another one (RFC 9568 6.4.3): it is alone in its network, and a stranger speaks to it. */

const intervalMs = 100;
const ours = '192.0.2.1';
const virtual = '192.0.2.100';
const settings = { interval: `${intervalMs}ms`, garp: { repeat: 1, delay: 0, refresh: 0 } };
const instances = { lan: { interface: 'lan', vrid: 61, addresses: [`${virtual}/24`] } };

interface Scene {
  readonly network: Network;
  readonly capture: Capture;
  readonly havrrp: Havrrp;
  /** The stranger says one word. @returns as it was seen on the wire */
  say(advert: Partial<InjectedAdvert>): Promise<Advert>;
  /** Our next advertisement on the wire. */
  answer(withinMs?: number): Promise<Advert>;
}

function masterTest(
  name: string,
  body: (t: Test, scene: Scene) => Promise<void>,
  extra: { readonly preempt?: boolean } = {},
): void {
  rootTest(name, async (t) => {
    await using network = await oneFirewall();
    await using capture = await Capture.open(network.tap('lan'));
    await using injector = await Injector.open({ ...network.host('stranger'), interface: 'lan' });
    await using havrrp = await Havrrp.start(
      network.host('fw1'),
      yamlOf({ alone: { ...settings, ...extra, instances } }),
    );
    await havrrp.reaches('alone', 'master', 3000);
    const answer = (withinMs = 5 * intervalMs): Promise<Advert> =>
      capture.nextAdvert(({ source }) => source === ours, { withinMs, what: 'our advertisement' });
    const say = async (advert: Partial<InjectedAdvert>): Promise<Advert> => {
      const source = advert.source ?? '192.0.2.66';
      const whole = {
        vrid: 61,
        priority: 100,
        maxAdvertiseIntervalCs: intervalMs / 10,
        addresses: [virtual],
      };
      await injector.advertise({ ...whole, ...advert, source });
      return capture.nextAdvert((seen) => seen.source === source, { withinMs: 1000 });
    };
    await body(t, { network, capture, havrrp, say, answer });
  });
}

/** Speaks in the middle of an interval, several times.
 *  @returns how soon we answered, and how soon after that we spoke again, in intervals */
async function provoke(
  { say, answer }: Scene,
  advert: Partial<InjectedAdvert>,
): Promise<{ readonly answered: number; readonly next: number }> {
  const samples: { answered: number; next: number }[] = [];
  for (let round = 0; round < 5; round += 1) {
    await answer();
    const said = await say(advert);
    const first = await answer();
    const second = await answer();
    samples.push({ answered: (first.at - said.at) / intervalMs, next: (second.at - first.at) / intervalMs });
  }
  return {
    answered: median(samples.map(({ answered }) => answered)),
    next: median(samples.map(({ next }) => next)),
  };
}

masterTest('V3-59, V3-61: a lesser master, or one that leaves, is answered at once', async (t, scene) => {
  for (const [name, advert] of [
    ['V3-59: priority 0', { priority: 0 }],
    ['V3-61: a lower priority', { priority: 50 }],
    ['V3-61: our priority from a lower address', { priority: 100, source: '192.0.2.0' }],
  ] as const) {
    const { answered, next } = await provoke(scene, advert);
    t.ok(answered < 0.1, `${name} is answered after ${answered.toFixed(3)} intervals`);
    if (advert.priority === 0)
      t.ok(
        Math.abs(next - 1) < 0.05,
        `${name}: the next one follows a whole interval later (${next.toFixed(3)})`,
      );
  }
  t.equal((await scene.havrrp.group('alone')).transitions, 2, 'and it stays master');
  t.ok(announcements(scene.capture, virtual).length > 1, 'it has announced its address again');
});

/** It must yield: one last word, then silence, no priority 0, and its address is gone. */
async function yields(t: Test, scene: Scene, advert: Partial<InjectedAdvert>, reason: string): Promise<void> {
  const { capture, havrrp, network } = scene;
  const said = await scene.say(advert);
  await havrrp.events.next(({ to }) => to === 'backup', { withinMs: 1000 });
  const group = await havrrp.group('alone');
  t.equal(group.reason, reason, `V3-60: backup, for ${reason}`);
  t.notOk(await network.host('fw1').has(virtual, 'lan'), 'V3-63: without the address');
  const own = (): readonly Advert[] => adverts(capture, { source: ours }).filter(({ at }) => at > said.at);
  const back = await capture.nextAdvert(({ source, at }) => source === ours && at > said.at + intervalMs, {
    withinMs: 5000,
  });
  const downMs = masterDownMs(100, said.maxAdvertiseIntervalCs * 10);
  const waited = (back.at - said.at) / downMs;
  t.ok(waited > 0.99 && waited < 1.2, `V3-60: master again ${waited.toFixed(3)} master-down intervals later`);
  t.ok(
    own().length <= 2,
    'V3-60: silent but for one more word, by which the better master learns that there were two',
  );
  t.strictSame(adverts(capture, { priority: 0 }), [], 'V3-63: no priority 0');
  const meanwhile = announcements(capture, virtual).filter(({ at }) => at > said.at && at < back.at);
  t.strictSame(meanwhile, [], 'V3-63: no gratuitous ARP after losing');
  await havrrp.reaches('alone', 'master', 1000);
}

masterTest('V3-60, V3-63: a better master is believed', async (t, scene) => {
  await yields(t, scene, { priority: 200 }, 'higher_priority');
  await yields(t, scene, { priority: 200, maxAdvertiseIntervalCs: 30 }, 'higher_priority');
  await yields(t, scene, { priority: 100, source: '192.0.2.66' }, 'higher_address');
});

masterTest(
  'V3-62: also by one that does not preempt',
  async (t, scene) => yields(t, scene, { priority: 200 }, 'higher_priority'),
  { preempt: false },
);

rootTest('a master that must yield before it has all its addresses is a backup without any', async (t) => {
  await using network = await oneFirewall();
  const host = network.host('fw1');
  await using capture = await Capture.open(network.tap('lan'));
  await using injector = await Injector.open({ ...network.host('stranger'), interface: 'lan' });
  const addresses = Array.from({ length: 240 }, (_, index) => `198.51.100.${index + 1}/32`);
  const many = { lan: { interface: 'lan', vrid: 61, addresses } };
  await using havrrp = await Havrrp.start(host, yamlOf({ many: { ...settings, instances: many } }));
  const better = { vrid: 61, priority: 200, maxAdvertiseIntervalCs: 10, addresses: ['198.51.100.1'] };
  for (let round = 0; round < 3; round += 1) {
    await capture.nextAdvert(({ source }) => source === ours, { withinMs: 3000 });
    await injector.advertise({ ...better, source: '192.0.2.66' });
    const left = await havrrp.events.next(({ from }) => from === 'master', { withinMs: 3000 });
    t.equal(left.to, 'backup', `it has yielded: ${left.text}`);
    capture.skip();
  }
  await injector.flood([{ ...better, source: '192.0.2.66' }], { count: 20, perSecond: 20 });
  const present = await host.addresses('lan');
  t.strictSame(
    present.filter(({ address }) => address.startsWith('198.51.100.')),
    [],
    'not one address has stayed',
  );
});
