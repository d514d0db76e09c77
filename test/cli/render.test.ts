import t from 'tap';
import { formatSpan, renderEvent, renderStatus } from '../../src/cli/render.ts';
import { sampleStatus, transition } from '../control/handler.ts';

const now = Date.parse('2026-11-20T13:35:03.000Z');

t.test('the table of status', (t) => {
  const text = renderStatus(sampleStatus, { now, columns: 80, colour: false });
  t.equal(
    text,
    `fw1: havrrp 0.1.0, pid 4711, up 2h 18m, /etc/havrrp/havrrp.yaml
event loop late by 0.6 ms (p99), 2.1 ms at most

edge: master since 2026-11-20 13:30:00 UTC (5m 3s)
  fw2 (192.0.2.2) stopped advertising: 361 ms of silence
  INSTANCE  INTERFACE  VRID  FAMILY  STATE   PRIORITY  SENT  RECEIVED
  wan       eth0         61  ipv4    master  150       8050        12
      present: 203.0.113.1/24
      discarded: bad_checksum 3, ttl_not_255 1
  wan       eth0         61  ipv6    master  150       8050         0
      present: fe80::200:5eff:fe00:23d/64, 2001:db8:15:8::1/64 on dmz0
      MISSING: 2001:db8:15:7::100/64

dmz: fault since 2026-11-20 11:16:11 UTC (2h 18m)
  eth2 has no carrier
  demotion 254: operator 254 until 2026-11-20 14:00:00 UTC (persistent)
  alarm: 10.9.0.9 advertises VRID 7 with an interval of 3 s, ours is 1 s
  INSTANCE  INTERFACE  VRID  FAMILY  STATE  PRIORITY  SENT  RECEIVED
  dmz       eth2          7  ipv4    fault  1 of 100     0        99
      master: 10.9.0.2, priority 200, heard 361 ms ago
      absent: 10.9.0.1/24
      fault: eth2 has no carrier
`,
  );
  t.end();
});

t.test('handing over, addresses that outstay, lists that are too long for a line', (t) => {
  const addresses = Array.from({ length: 8 }, (_, index) => ({
    address: `203.0.113.${index + 1}/24`,
    interface: 'eth0',
    present: true,
  }));
  const groups = sampleStatus.groups.slice(0, 1).map((group) => ({
    ...group,
    handing_over: true,
    instances: group.instances.map((instance) => ({
      ...instance,
      routers: instance.routers
        .slice(0, 1)
        .map((router) => ({ ...router, state: 'backup' as const, addresses })),
    })),
  }));
  const text = renderStatus({ ...sampleStatus, groups }, { now, columns: 80, colour: false });
  t.match(text, '\n  handing over: forwards until the successor is heard\n');
  t.match(
    text,
    `
      STILL PRESENT: 203.0.113.1/24, 203.0.113.2/24, 203.0.113.3/24,
                     203.0.113.4/24, 203.0.113.5/24, 203.0.113.6/24,
                     203.0.113.7/24, 203.0.113.8/24
`,
  );
  t.end();
});

t.test('colours paint states and alarms, and change nothing else', (t) => {
  const plain = renderStatus(sampleStatus, { now, columns: 80, colour: false });
  const painted = renderStatus(sampleStatus, { now, columns: 80, colour: true });
  t.match(painted, /edge: \x1b\[32mmaster\x1b\[0m since/);
  t.match(painted, /\x1b\[31m +fault: eth2 has no carrier\x1b\[0m/);
  t.equal(painted.replaceAll(/\x1b\[[0-9]+m/g, ''), plain);
  t.end();
});

t.test('no groups, and a peer', (t) => {
  const status = { ...sampleStatus, groups: [], peers: [{ name: 'fw2', connected: false }] };
  const text = renderStatus(status, { now, columns: 80, colour: false });
  t.match(text, /\n\npeer fw2: not connected\n$/);
  t.end();
});

t.test('spans', (t) => {
  const spans = [-5, 0, 12.4, 999, 1000, 9940, 10_000, 59_999, 60_000, 303_000, 8_040_000, 273_600_000];
  t.same(spans.map(formatSpan), [
    '0 ms',
    '0 ms',
    '12 ms',
    '999 ms',
    '1.0 s',
    '9.9 s',
    '10 s',
    '59 s',
    '1m 0s',
    '5m 3s',
    '2h 14m',
    '3d 4h',
  ]);
  t.end();
});

t.test('a line of events', (t) => {
  t.equal(
    renderEvent(transition(1)),
    '2026-11-20T13:30:01.000Z  edge  backup -> master  eth0 has its carrier back',
  );
  const { at } = transition(1);
  t.equal(
    renderEvent({ sequence: 2, at, group: '', type: 'reload', reason: 'operator', text: 'nothing changed' }),
    '2026-11-20T13:30:01.000Z  -  reload            nothing changed',
  );
  t.end();
});
