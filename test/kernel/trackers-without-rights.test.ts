import t from 'tap';
import { inNamespace } from '../bench/in-namespace.ts';
import { TrackerStage, often } from '../daemon/tracker-stage.ts';

inNamespace(
  import.meta.url,
  () => {
    t.test('ping without CAP_NET_RAW is an error that says so', async (t) => {
      const stage = new TrackerStage(t);
      stage.track(often({ kind: 'ping', address: '127.0.0.1', interface: undefined }, { demote: 'fault' }));
      t.match(await stage.reaches('error'), {
        detail: 'not allowed to open a raw socket: run havrrp as root or with CAP_NET_RAW',
      });
      t.match(stage.trackers.faults, [{ code: 'check_error' }]);
    });
  },
  ['setpriv', '--bounding-set=-net_raw'],
);
