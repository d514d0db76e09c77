import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { checkProgram } from '../../src/config/program-file.ts';
import { type HookEnd, HookQueue } from '../../src/daemon/hooks.ts';
import { loadNative } from '../../src/net/native.ts';
import { Feed } from '../bench/feed.ts';
import { inNamespace, shell } from '../bench/in-namespace.ts';
import { Scripts, isAlive } from '../daemon/scripts.ts';

/** conntrackd's own script for keepalived, as it is installed, and a real conntrackd. */
const script = '/usr/share/doc/conntrackd/examples/sync/primary-backup.sh';

// The paths the script has in it.
const configFile = '/etc/conntrackd/conntrackd.conf';
const lockDirectory = '/var/lock';
const lockFile = `${lockDirectory}/conntrack.lock`;

function testScript(): void {
  t.test('primary-backup.sh unchanged: starts conntrackd, asks it for what each state needs', async (t) => {
    const scripts = new Scripts(t);
    const controlSocket = scripts.path('conntrackd.ctl');
    writeFileSync(
      scripts.path('conntrackd.conf'),
      `Sync { Mode FTFW { } UDP { IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.1 Port 3780 Interface lo } }
       General { HashSize 1024 HashLimit 4096 LockFile ${lockFile} UNIX { Path ${controlSocket} } }`,
    );
    shell(`
      ip link set lo up
      mount -t tmpfs none ${lockDirectory}
      mount --bind ${scripts.path('conntrackd.conf')} ${configFile}`);
    t.equal(await checkProgram(script), undefined);
    const ends = new Feed<HookEnd>(({ state, result }) => `${state} ${JSON.stringify(result)}`);
    const queue = new HookQueue({
      native: loadNative(),
      node: 'fw1',
      group: 'edge',
      settings: {
        timeoutMs: 10_000,
        programs: {
          master: [[script, 'primary']],
          backup: [[script, 'backup']],
          fault: [[script, 'fault']],
          stop: [[script, 'fault']],
          any: [],
        },
      },
      onEnded: (end) => ends.push(end),
      onSkipped: ({ sequence }) => t.fail(`${sequence} was skipped`),
    });
    let sequence = 0;
    const reach = async (state: 'master' | 'backup' | 'fault'): Promise<void> => {
      sequence += 1;
      queue.transition({ state, previous: 'init', reason: 'startup', sequence, statusJson: '{}' });
      const { result } = await ends.next((end) => end.state === state, { withinMs: 15_000, what: state });
      t.strictSame(result.ending, { how: 'exited', status: 0 }, `${state}: ${result.output}`);
    };
    const statistics = (): string => shell(`conntrackd -s runtime; conntrackd -s network`);

    await reach('backup');
    const pid = conntrackdHere();
    t.teardown(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
    t.ok(isAlive(pid), 'what the hook started runs on');
    t.ok(statSync(controlSocket).isSocket());
    t.match(statistics(), /resync with kernel table:\s+0\b/);
    await reach('master');
    t.match(statistics(), /resync with kernel table:\s+1\b/, 'it was told to read the kernel again');
    await reach('fault');
    await reach('backup');
    t.ok(isAlive(pid), 'it was not started twice');
    await queue.finish(10_000);
    shell('conntrackd -k');
  });
}

/** The conntrackd that reads our file: others may run on this machine. */
function conntrackdHere(): number {
  const pids = readdirSync('/proc').filter((name) => {
    try {
      const read = (file: string): string => readFileSync(`/proc/${name}/${file}`, 'utf8');
      return read('comm') === 'conntrackd\n' && read('mountinfo').includes(configFile);
    } catch {
      return false; // no process, or none any more
    }
  });
  return Number(pids[0]);
}

if (existsSync(script) && existsSync('/usr/sbin/conntrackd'))
  inNamespace(import.meta.url, testScript, ['unshare', '--mount']);
else t.pass('skipped', { skip: `there is no ${script}, or no conntrackd: install conntrackd` });
