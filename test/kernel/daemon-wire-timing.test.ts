import { Capture } from '../bench/capture.ts';
import { Havrrp } from '../bench/havrrp.ts';
import { rootTest } from './root.ts';
import { adverts, announcements, gaps, masterDownMs, median, oneFirewall, yamlOf } from './stage.ts';

/** When havrrp speaks (RFC 9568 6.4.1 to 6.4.3). Times are compared with the interval they belong to, never with a clock. */

const intervalMs = 100;
const interval = '100ms';
const virtual4 = '192.0.2.100';
const virtual6 = '2001:db8:1::64';
const addresses = [`${virtual4}/24`, `${virtual6}/64`];

rootTest('V3-37, the owner speaks first, then announces', async (t) => {
  await using network = await oneFirewall();
  await using capture = await Capture.open(network.tap('lan'));
  const instances = { lan: { interface: 'lan', vrid: 62, addresses } };
  await using havrrp = await Havrrp.start(
    network.host('fw1'),
    yamlOf({ owner: { priority: 255, interval, instances } }),
  );
  const { reason } = await havrrp.reaches('owner', 'master', 2000);
  t.equal(reason, 'address_owner', 'master without waiting');
  await capture.nextAdvert(() => adverts(capture, { family: 'ipv6' }).length === 3, { withinMs: 2000 });
  for (const [family, address] of [['ipv4', virtual4] as const, ['ipv6', virtual6] as const]) {
    const [advert, second] = adverts(capture, { family });
    const [announcement] = announcements(capture, address);
    const after = (announcement?.at ?? NaN) - (advert?.at ?? NaN);
    t.ok(
      after > 0 && after < intervalMs / 2,
      `${family}: announced ${after.toFixed(2)} ms after the advertisement`,
    );
    const gap = ((second?.at ?? NaN) - (advert?.at ?? NaN)) / intervalMs;
    t.ok(Math.abs(gap - 1) < 0.3, `${family}: the next one follows after ${gap.toFixed(3)} intervals`);
  }
});

rootTest('V3-38, V3-48, V3-58: alone, from the start to a hundred advertisements', async (t) => {
  await using network = await oneFirewall();
  await using capture = await Capture.open(network.tap('lan'));
  const garp = { repeat: 5, delay: '300ms', refresh: '1s' };
  const instances = { lan: { interface: 'lan', vrid: 61, addresses } };
  await using havrrp = await Havrrp.start(
    network.host('fw1'),
    yamlOf({ alone: { interval, garp, instances } }),
  );
  const started = await havrrp.events.next(({ to }) => to === 'backup', { withinMs: 2000 });
  await capture.nextAdvert(() => adverts(capture, { family: 'ipv6' }).length === 101, { withinMs: 15_000 });

  const all = { ipv4: adverts(capture, { family: 'ipv4' }), ipv6: adverts(capture, { family: 'ipv6' }) };
  const becameAt = all.ipv4[0]?.at ?? NaN;
  const waited = (becameAt - Date.parse(started.at)) / masterDownMs(100, intervalMs);
  t.ok(waited > 0.99 && waited < 1.2, `V3-38: waited ${waited.toFixed(3)} master-down intervals`);

  for (const [family, address] of [['ipv4', virtual4] as const, ['ipv6', virtual6] as const]) {
    const times = announcements(capture, address).map(({ at }) => (at - becameAt) / intervalMs);
    t.ok(times[0] !== undefined && times[0] > 0, `V3-48: ${family}: announced after the advertisement`);
    t.equal(times.filter((time) => time < 1.5).length, 5, `V3-48: ${family}: five times at once`);
    t.equal(
      times.filter((time) => time > 2.9 && time < 4.5).length,
      5,
      `${family}: five times after the delay`,
    );
    const refreshes = times.filter((time) => time > 4.5);
    t.equal(refreshes.length, 9, `${family}: then refreshed, at 13, 23, ... 93 intervals`);
    const pause = median(refreshes.slice(1).map((time, index) => time - (refreshes[index] ?? NaN)));
    t.ok(
      Math.abs(pause - 10) < 0.2,
      `${family}: every ${pause.toFixed(2)} intervals, where 10 were asked for`,
    );

    const offsets = all[family].map(({ at }, index) => (at - becameAt) / intervalMs - index);
    const drift = median(offsets.slice(-20)) - median(offsets.slice(0, 20));
    t.ok(Math.abs(drift) < 0.02, `V3-58: ${family}: ${drift.toFixed(4)} intervals of drift in a hundred`);
    const spacing = median(gaps(all[family])) / intervalMs;
    t.ok(Math.abs(spacing - 1) < 0.01, `V3-58: ${family}: one in ${spacing.toFixed(4)} intervals`);
  }
});

rootTest('V3-36, without a usable interface it is silent, and begins anew when there is one', async (t) => {
  await using network = await oneFirewall();
  const host = network.host('fw1');
  await host.ip('address flush dev lan scope global');
  await using capture = await Capture.open(network.tap('lan'));
  await using havrrp = await Havrrp.start(
    host,
    yamlOf({
      four: { interval, instances: { lan: { interface: 'lan', vrid: 61, addresses: [`${virtual4}/24`] } } },
      six: { interval, instances: { lan: { interface: 'lan', vrid: 61, addresses: [`${virtual6}/64`] } } },
    }),
  );
  await capture.nextAdvert(() => adverts(capture, { family: 'ipv6' }).length === 10, { withinMs: 5000 });
  t.equal((await havrrp.group('four')).reason, 'no_ipv4_address', 'no address to speak from');
  t.equal(
    adverts(capture, { family: 'ipv4' }).length,
    0,
    'no word while the other family has spoken ten times',
  );

  await host.ip('address add 192.0.2.1/24 dev lan');
  const addressed = await havrrp.events.next(({ group, to }) => group === 'four' && to === 'backup', {
    withinMs: 2000,
  });
  const first = await capture.nextAdvert(({ family }) => family === 'ipv4', { withinMs: 2000 });
  const waited = (first.at - Date.parse(addressed.at)) / masterDownMs(100, intervalMs);
  t.ok(
    waited > 0.99 && waited < 1.2,
    `with an address: ${waited.toFixed(3)} master-down intervals from then`,
  );

  await network.unplug('fw1', 'lan');
  await havrrp.reaches('four', 'fault', 2000);
  await havrrp.reaches('six', 'fault', 2000);
  t.equal((await havrrp.group('four')).reason, 'link_down', 'without a carrier');
  capture.skip();
  await network.restore('fw1', 'lan');
  const recovered = await havrrp.events.next(({ group, to }) => group === 'four' && to === 'backup', {
    withinMs: 2000,
  });
  t.equal(recovered.reason, 'recovered', 'the carrier is back');
  const again = await capture.nextAdvert(({ family }) => family === 'ipv4', { withinMs: 2000 });
  const ratio = (again.at - Date.parse(recovered.at)) / masterDownMs(100, intervalMs);
  t.ok(ratio > 0.99 && ratio < 1.2, `with a carrier: ${ratio.toFixed(3)} master-down intervals from then`);
  await havrrp.reaches('six', 'master', 2000);
});

rootTest('V3-57, V3-44: the last words of a master, and none of a backup', async (t) => {
  await using network = await oneFirewall();
  const host = network.host('fw1');
  await using capture = await Capture.open(network.tap('lan'));
  const instances = { lan: { interface: 'lan', vrid: 61, addresses } };
  await using havrrp = await Havrrp.start(host, yamlOf({ alone: { interval, instances } }));
  await havrrp.reaches('alone', 'backup', 2000);
  await havrrp.stop();
  t.equal(adverts(capture, {}).length, 0, 'V3-44: a backup that stops says nothing');

  await havrrp.start();
  await havrrp.reaches('alone', 'master', 2000);
  const { code } = await havrrp.stop();
  t.equal(code, 0, 'ends well');
  for (const family of ['ipv4', 'ipv6'] as const) {
    const all = adverts(capture, { family });
    t.equal(adverts(capture, { family, priority: 0 }).length, 1, `V3-57: ${family}: priority 0 is said once`);
    t.equal(all.at(-1)?.priority, 0, `V3-57: ${family}: and it is the last word`);
  }
  t.notOk(await host.has(virtual4, 'lan'), 'V3-57: the IPv4 address is gone');
  t.notOk(await host.has(virtual6, 'lan'), 'V3-57: the IPv6 address is gone');
  t.ok(await host.has('192.0.2.1', 'lan'), 'the own address stays');
});
