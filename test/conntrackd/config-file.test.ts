import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import {
  defaultSocketPath,
  parseConntrackdConfig,
  readConntrackdConfig,
} from '../../src/conntrackd/config-file.ts';

/** After the examples that come with conntrackd. */
const usual = `
# This is a configuration
Sync {
	Mode FTFW {
		# DisableExternalCache on
		ResendQueueSize 131072
		StartupResync on
	}
	Multicast {
		IPv4_address 225.0.0.50	# a group
		Group 3780
		Interface eth2
	}
}
General {
	HashSize 32768
	LogFile on
	LockFile /var/lock/conntrack.lock
	UNIX {
		Path /var/run/conntrackd.ctl
		Backlog 20
	}
	Filter From Userspace {
		Address Ignore { IPv4_address 127.0.0.1 IPv4_address 192.168.0.100 }
	}
}
`;

const files = [
  {
    name: 'the usual one',
    text: usual,
    socketPath: '/var/run/conntrackd.ctl',
    syncMode: 'FTFW',
    injects: false,
  },
  {
    name: 'injection',
    text: usual.replace('# DisableExternalCache', 'DisableExternalCache'),
    socketPath: '/var/run/conntrackd.ctl',
    syncMode: 'FTFW',
    injects: true,
  },
  {
    name: 'injection switched off, whatever the case of the letters',
    text: usual.replace('# DisableExternalCache on', 'DisableExternalCache Off'),
    socketPath: '/var/run/conntrackd.ctl',
    syncMode: 'FTFW',
    injects: false,
  },
  {
    name: 'all on one line, and braces that lean on words',
    text: 'Sync { Mode NOTRACK{DisableExternalCache On} } General { HashSize 8 UNIX {Backlog 20 Path /run/c.sock} }',
    socketPath: '/run/c.sock',
    syncMode: 'NOTRACK',
    injects: true,
  },
  {
    name: 'a path in quotes, with a # in it',
    text: 'Sync { Mode alarm { } }\nGeneral { UNIX { Path "/run/a #1.sock" } }\r\n',
    socketPath: '/run/a #1.sock',
    syncMode: 'alarm',
    injects: false,
  },
];

for (const { name, text, ...wanted } of files) {
  t.test(name, async (t) => {
    t.strictSame(parseConntrackdConfig(text, 'c.conf'), { ...wanted, complaints: [] });
  });
}

t.test("Debian's packaged one: statistics", async (t) => {
  const config = parseConntrackdConfig(
    'General {\n\tUNIX {\n\t\tPath /var/run/conntrackd.sock\n\t}\n}\nStats {\n\tLogFile on\n}\n',
    '/etc/conntrackd/conntrackd.conf',
  );
  t.equal(config.syncMode, undefined);
  t.match(config.complaints, [
    { where: '/etc/conntrackd/conntrackd.conf', what: /synchronises nothing/, fix: /generate conntrackd/ },
  ]);
});

t.test('a path that belongs to something else is not the socket', async (t) => {
  const config = parseConntrackdConfig(
    'General { LogFile { Path /var/log/x } }\nSync { Mode FTFW { } }',
    'c',
  );
  t.equal(config.socketPath, defaultSocketPath);
  t.match(config.complaints, [{ what: /no control socket/, fix: /UNIX/ }]);
});

t.test('a file that is not there is a complaint', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'conntrackd-config-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'conntrackd.conf');
  const missing = await readConntrackdConfig(path);
  t.match(missing, { socketPath: defaultSocketPath, injects: false });
  t.match(missing.complaints, [{ where: path, what: /cannot be read.*ENOENT/, fix: /conntrackd\.config/ }]);

  writeFileSync(path, usual);
  t.equal((await readConntrackdConfig(path)).socketPath, '/var/run/conntrackd.ctl');
});

t.test('whatever the text, nothing is thrown', async (t) => {
  const words = fc.constantFrom('Sync', 'Mode', 'UNIX', 'Path', '/x', '{', '}', '"', '#', '\n', ' ', 'on');
  const text = fc.array(fc.oneof(words, fc.string()), { maxLength: 60 }).map((parts) => parts.join(' '));
  fc.assert(fc.property(text, (any) => parseConntrackdConfig(any, 'c').socketPath.length >= 0));
  t.pass();
});
