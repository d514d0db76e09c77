import { Firewalls, happens, keep, type Keeper, server } from './conntrackd-stage.ts';
import { rootTest } from './root.ts';
import { eventually } from './stage.ts';

/** With `DisableExternalCache on` both kernels hold every session, and what one of them forgets it tells the other. */

const group = 'edge';

async function becomeMaster(keeper: Keeper): Promise<void> {
  await keeper.sync.takeOver(group);
  keeper.sync.announced(group);
  await happens(keeper, 'sessions_sent');
}

/** A UDP session moves from fw1 to fw2, and on fw1, where nothing passes any more, its entry dies of age.
 *  @returns how many entries fw2 was made to delete by that */
async function moveAndAge(
  firewalls: Firewalls,
  takeOver: () => Promise<void>,
  standBy: () => Promise<void>,
): Promise<number> {
  const { fw2 } = firewalls.conntrackd;
  const old = firewalls.host('fw1');
  for (const name of ['fw1', 'fw2'] as const)
    await firewalls.host(name).setSysctls({ 'net/netfilter/nf_conntrack_udp_timeout_stream': '8' });
  // The kernel counts a UDP session among the lasting ones after two seconds.
  await eventually(
    () => fw2.ask('-s'),
    (text) => /external inject:\n.*\nconnections updated:\s+[1-9]/.test(text),
    10_000,
  );
  await takeOver();
  await firewalls.move('fw1', 'fw2');
  await standBy();
  // Reading the table removes what is too old.
  await eventually(
    async () => (await old.run('cat', ['/proc/net/nf_conntrack'])).stdout,
    (table) => !table.includes('udp'),
    60_000,
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  const [, destroyed] =
    /external inject:\n.*\n.*\nconnections destroyed:\s+(\d+)/.exec(await fw2.ask('-s')) ?? [];
  return Number(destroyed);
}

const oneOverUdp = {
  flows: [{ name: 'udp', kind: 'udp', address: server.ipv4 }],
  conntrackd: { injection: true },
} as const;

rootTest('injection: what dies of age on the old master lives on the new one', async (t) => {
  await using firewalls = await Firewalls.start(oneOverUdp);
  const one = keep(t, firewalls.conntrackd.fw1);
  const two = keep(t, firewalls.conntrackd.fw2);
  await becomeMaster(one);
  const destroyed = await moveAndAge(
    firewalls,
    () => becomeMaster(two),
    async () => {
      one.sync.standBy(group);
      one.sync.peerAnnounced(group);
      await happens(one, 'synced');
    },
  );
  t.equal(destroyed, 0);
  await firewalls.flows.moves('udp', 5000);
});

rootTest('the control: a conntrackd left to itself takes it away from the new master', async (t) => {
  await using firewalls = await Firewalls.start(oneOverUdp);
  const nothing = (): Promise<void> => Promise.resolve();
  t.ok((await moveAndAge(firewalls, nothing, nothing)) > 0);
});
