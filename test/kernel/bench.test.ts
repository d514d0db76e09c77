import { existsSync, readdirSync } from 'node:fs';
import t from 'tap';
import { Capture } from '../bench/capture.ts';
import { Injector } from '../bench/injector.ts';
import { Network } from '../bench/network.ts';
import { Probe, startResponder } from '../bench/probe.ts';
import { judge } from '../bench/tshark.ts';

/** The bench is held against the kernel and against tshark before anything is held against the bench. */

const plan = {
  segments: ['lan'],
  hosts: {
    one: { interfaces: { eth0: { segment: 'lan', addresses: ['10.0.0.1/24', '2001:db8::1/64'] } } },
    two: { interfaces: { eth0: { segment: 'lan', addresses: ['10.0.0.2/24', '2001:db8::2/64'] } } },
  },
};

function ourNamespaces(): string[] {
  const directory = '/run/netns';
  const all = existsSync(directory) ? readdirSync(directory) : [];
  return all.filter((name) => name.startsWith(`hvb-${process.pid}-`));
}

t.test('what is injected is captured, heard, and judged by tshark', async (t) => {
  await using network = await Network.create(plan);
  const { namespace } = network.host('one');
  await using capture = await Capture.open(network.tap('lan'));
  await using injector = await Injector.open({ namespace, interface: 'eth0' });
  await using listener = await Injector.open({ namespace: network.host('two').namespace, interface: 'eth0' });

  await injector.advertise({
    source: '10.0.0.77',
    vrid: 9,
    priority: 33,
    addresses: ['10.0.0.9'],
    hopLimit: 17,
  });
  await injector.advertise({
    source: 'fe80::77',
    vrid: 9,
    priority: 34,
    addresses: ['fe80::9', '2001:db8::9'],
  });

  const four = await capture.nextAdvert(({ family }) => family === 'ipv4', { withinMs: 2000 });
  t.match(four, { source: '10.0.0.77', destination: '224.0.0.18', hopLimit: 17, vrid: 9, priority: 33 });
  const six = await capture.nextAdvert(({ family }) => family === 'ipv6', { withinMs: 2000 });
  t.match(six, {
    source: 'fe80::77',
    destination: 'ff02::12',
    hopLimit: 255,
    addresses: ['fe80::9', '2001:db8::9'],
  });
  t.match(await listener.heard.next(({ family }) => family === 4, { withinMs: 2000 }), {
    source: '10.0.0.77',
  });
  t.match(await listener.heard.next(({ family }) => family === 6, { withinMs: 2000 }), {
    source: 'fe80::77',
  });

  const [judgedFour, judgedSix] = await judge([four, six]);
  t.strictSame(judgedFour?.checksum, { pseudoHeader: 'bad', message: 'good' });
  t.strictSame(judgedFour?.fields['vrrp.prio'], ['33']);
  t.match(judgedFour?.complaints, [/Time To Live/]);
  t.strictSame(judgedSix?.checksum, { pseudoHeader: 'good', message: 'good' });
  t.strictSame(judgedSix?.complaints, []);
});

t.test('a flood keeps its pace', async (t) => {
  await using network = await Network.create(plan);
  await using capture = await Capture.open(network.tap('lan'));
  await using injector = await Injector.open({ namespace: network.host('one').namespace, interface: 'eth0' });
  const adverts = [1, 2].map((vrid) => ({ source: '10.0.0.77', vrid, priority: 1, addresses: ['10.0.0.9'] }));
  await injector.flood(adverts, { count: 200, perSecond: 1000 });
  await injector.advertise({ source: '10.0.0.77', vrid: 3, priority: 1, addresses: ['10.0.0.9'] });
  await capture.nextAdvert(({ vrid }) => vrid === 3, { withinMs: 2000 });
  const flood = capture.all('advert').filter(({ vrid }) => vrid !== 3);
  t.equal(flood.length, 200);
  const tookMs = (flood.at(-1)?.at ?? 0) - (flood[0]?.at ?? 0);
  t.ok(tookMs > 150, `it took ${tookMs} ms`);
});

t.test('a probe knows what was lost while a wire was cut, in three ways', async (t) => {
  await using network = await Network.create(plan);
  await startResponder(network.host('two'));
  const targets = ['10.0.0.2', '2001:db8::2'];
  await using probe = await Probe.start(network.host('one'), targets);
  const answered = async (): Promise<void> => {
    for (const target of targets) {
      probe.outcomes.skip();
      await probe.answered(target, 5000);
    }
  };
  const lost = async (): Promise<void> => {
    for (const target of targets) {
      probe.outcomes.skip();
      await probe.outcomes.next(
        (outcome) => outcome.target === target && outcome.answeredAfterMs === undefined,
        {
          withinMs: 5000,
          what: `a probe of ${target} that is lost`,
        },
      );
    }
  };
  await answered();
  await network.silence('two', 'eth0');
  await lost();
  await network.restore('two', 'eth0');
  await answered();
  await network.unplug('two', 'eth0');
  await lost();
  await network.restore('two', 'eth0');
  await answered();
  await network.partition('lan', ['one', 'two']);
  await lost();
  await network.heal('lan');
  await answered();
  const outages = await probe.finish();
  t.strictSame(new Set(outages.map(({ target }) => target)), new Set(targets));
  t.ok(outages.length >= 6, 'three outages for each family');
  t.ok(
    outages.every(({ to }) => to !== undefined),
    'each of them is over',
  );
});

t.test('nothing stays behind', async (t) => {
  const network = await Network.create(plan);
  t.equal(ourNamespaces().length, 3);
  await network.host('one').start('sleep', ['1000']);
  await network.close();
  t.strictSame(ourNamespaces(), []);
});
