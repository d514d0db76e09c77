import t from 'tap';
import { Kernel, type KernelTrouble, type WantedAddress } from '../../src/net/kernel.ts';
import { loadNative } from '../../src/net/native.ts';
import { inNamespace } from '../bench/in-namespace.ts';

const address: WantedAddress = {
  interface: 'lo',
  family: 'ipv4',
  address: '192.0.2.1',
  prefixLength: 24,
  label: undefined,
  scope: 'global',
};

inNamespace(
  import.meta.url,
  () => {
    t.test('without CAP_NET_ADMIN', async (t) => {
      const troubles: KernelTrouble[] = [];
      const kernel = await Kernel.open({
        native: loadNative(),
        onChange: () => t.fail('nothing changed'),
        onRestored: () => t.fail('nothing was restored'),
        onTrouble: (trouble) => troubles.push(trouble),
      });
      t.teardown(() => kernel.close());
      t.match(kernel.link('lo'), { index: 1, adminUp: false, up: false }, 'what there is can be seen');
      const [outcome] = await kernel.claim('edge', [address]);
      t.match(outcome, {
        ok: false,
        error: {
          name: 'KernelError',
          code: 'EPERM',
          errno: 1,
          message:
            'add address 192.0.2.1/24 on lo: EPERM (CAP_NET_ADMIN is missing: run as root, or grant it)',
        },
      });
      await kernel.release('edge');
      t.same(troubles, [], 'and there is nothing to remove');
    });
  },
  ['setpriv', '--bounding-set=-net_admin'],
);
