import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { loadConfig, readConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';
import { complaintsOf, oneInstance, printed } from './complaints.ts';

void t.test('the smallest file has every default', async (t) => {
  const config = loadConfig(oneInstance('addresses: [203.0.113.1/24]', 'takeover: all'), 'f');
  t.strictSame(config, {
    file: 'f',
    node: hostname(),
    runtimeDirectory: '/run/havrrp',
    stateDirectory: '/var/lib/havrrp',
    metricsListen: undefined,
    controlGroup: undefined,
    logLevel: 'info',
    startupDelayMs: 0,
    groups: [
      {
        name: 'edge',
        preempt: true,
        preemptDelayMs: 0,
        takeover: 'all',
        track: [],
        conntrackd: undefined,
        hooks: { commands: { master: [], backup: [], fault: [], stop: [], any: [] }, timeoutMs: 30_000 },
        routes: [],
        rules: [],
        instances: [
          {
            name: 'wan',
            interface: 'eth0',
            vrid: 61,
            priority: 100,
            intervalMs: 1000,
            protocol: 'vrrp3',
            checksum: 'auto',
            garp: { repeat: 5, delayMs: 5000, refreshMs: 60_000, intervalMs: 0 },
            addresses: [
              {
                family: 'ipv4',
                address: '203.0.113.1',
                prefixLength: 24,
                interface: 'eth0',
                advertise: true,
                label: undefined,
                scope: 'global',
              },
            ],
          },
        ],
      },
    ],
  });
});

void t.test('every key is read', async (t) => {
  const config = loadConfig(
    `
node: fw1.example.net
runtime_directory: /tmp/run
state_directory: /tmp/state
metrics: { listen: '[::1]:9112' }
control: { group: adm }
log: { level: debug }
startup_delay: 90
groups:
  edge:
    priority: 200
    preempt: false
    takeover: any
    interval: 0.07
    protocol: vrrp3
    checksum: rfc9568
    virtual_mac: false
    garp: { repeat: 3, delay: 0, refresh: 1m, interval: 10ms }
    instances:
      2nd: { interface: eth1, vrid: 0x3e, addresses: [172.16.0.1/24], priority: 255 }
      1:
        interface: eth0.100
        vrid: 61
        interval: 40.95s
        checksum: pseudo_header
        accept: true
        garp: { repeat: 1, refresh: 0 }
        addresses: [{ address: 10.0.0.1/31, interface: eth2, advertise: false, label: 'eth2:a', scope: site }, 10.0.0.2/32]
`,
    'f',
  );
  t.match(config, {
    node: 'fw1.example.net',
    runtimeDirectory: '/tmp/run',
    stateDirectory: '/tmp/state',
    metricsListen: { host: '::1', port: 9112 },
    controlGroup: 'adm',
    logLevel: 'debug',
    startupDelayMs: 90_000,
  });
  const [group] = config.groups;
  t.match(group, { preempt: false, preemptDelayMs: 0, takeover: 'any' });
  t.strictSame(
    group?.instances.map(({ name }) => name),
    ['2nd', '1'],
    'names stay text and keep their order',
  );
  const [lan, wan] = group?.instances ?? [];
  t.match(lan, { vrid: 62, priority: 255, intervalMs: 70, checksum: 'rfc9568' }, 'from the group');
  t.strictSame(lan?.garp, { repeat: 3, delayMs: 0, refreshMs: 60_000, intervalMs: 10 });
  t.match(wan, { interface: 'eth0.100', priority: 200, intervalMs: 40_950, checksum: 'pseudo_header' });
  t.strictSame(
    wan?.garp,
    { repeat: 1, delayMs: 0, refreshMs: 0, intervalMs: 10 },
    'each key of garp by itself',
  );
  const [first, second] = wan?.addresses ?? [];
  t.match(first, {
    address: '10.0.0.1',
    interface: 'eth2',
    advertise: false,
    label: 'eth2:a',
    scope: 'site',
  });
  t.match(second, { address: '10.0.0.2', prefixLength: 32, interface: 'eth0', scope: 'global' });
});

void t.test('an IPv6 list starts with a link-local address (RFC 9568 5.2.9)', async (t) => {
  const addresses = (list: string): string[] => {
    const [group] = loadConfig(oneInstance(`addresses: [${list}]`), 'f').groups;
    return (group?.instances[0]?.addresses ?? []).map(
      ({ address, prefixLength, advertise, scope }) =>
        `${address}/${prefixLength}${advertise ? '' : ' silent'}${scope === 'link' ? ' link' : ''}`,
    );
  };
  const automatic = 'fe80::200:5eff:fe00:23d/64 link';
  t.strictSame(addresses('10.0.0.1/8'), ['10.0.0.1/8'], 'none for IPv4');
  t.strictSame(addresses('2001:DB8:0::1/64, 10.0.0.1/8'), [automatic, '2001:db8::1/64', '10.0.0.1/8']);
  t.strictSame(addresses('10.0.0.1/8, 2001:db8::1/64'), ['10.0.0.1/8', automatic, '2001:db8::1/64']);
  t.strictSame(
    addresses('10.0.0.1/8, 2001:db8::1/64, fe80::1/64'),
    ['10.0.0.1/8', 'fe80::1/64 link', '2001:db8::1/64'],
    'it moves',
  );
  t.strictSame(
    addresses('fe80::2/64, fe80::1/64'),
    ['fe80::2/64 link', 'fe80::1/64 link'],
    'no other is needed',
  );
  t.strictSame(
    addresses('{ address: fe80::1/64, advertise: false }, 2001:db8::1/64'),
    [automatic, 'fe80::1/64 silent link', '2001:db8::1/64'],
    'one that is not advertised does not count',
  );
  t.strictSame(
    addresses('{ address: fe80::1/64, interface: eth1 }, 2001:db8::1/64'),
    [automatic, 'fe80::1/64 link', '2001:db8::1/64'],
    'nor does one of another link',
  );
  t.strictSame(
    addresses('10.0.0.1/8, { address: 2001:db8::1/64, advertise: false }'),
    ['10.0.0.1/8', '2001:db8::1/64 silent'],
    'nothing advertised, nothing added',
  );
});

void t.test('files with nearly every mistake, as a whole', async (t) => {
  const fixture = (name: string): Promise<string> => readFile(join('test/config/fixtures', name), 'utf8');
  for (const name of ['mistakes', 'mistakes-of-groups']) {
    const text = await fixture(`${name}.yaml`);
    try {
      loadConfig(text, `${name}.yaml`);
      t.fail(`${name} loads`);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      t.strictSame(printed(error), (await fixture(`${name}.txt`)).trimEnd().split('\n'), name);
    }
  }
});

const lan = 'addresses: [10.0.0.1/24]';
const one = (rest: string): string => oneInstance(`${lan}, ${rest}`);

/** Complaints one by one: those that the fixture has not, and those whose position matters. */
const mistakes: { name: string; text: string; complaints: string[] }[] = [
  {
    name: 'an empty file',
    text: '',
    complaints: ['f:1:1: the file is empty: describe at least one group, as the files in docs/examples do'],
  },
  {
    name: 'a file of comments',
    text: '# nothing\n---\n',
    complaints: ['f:1:1: the file is empty: describe at least one group, as the files in docs/examples do'],
  },
  {
    name: 'a list',
    text: '- groups\n',
    complaints: ['f:1:1: the file is a list: use keys and values, such as KEY: VALUE'],
  },
  {
    name: 'no groups',
    text: 'node: fw1\n',
    complaints: ['f:1:1: the file has no groups: add groups: a mapping of names'],
  },
  {
    name: 'empty groups',
    text: 'groups: {}\n',
    complaints: ['f:1:1: groups is empty: add at least one group'],
  },
  {
    name: 'a key that is no text',
    text: '? [groups]\n: 1\n',
    complaints: [
      'f:1:1: the file has no groups: add groups: a mapping of names',
      'f:1:3: a key in the file is no text: write KEY: VALUE',
    ],
  },
  {
    name: 'a tab',
    text: 'groups:\n\tedge: 1\n',
    complaints: ['f:2:1: no valid YAML: Tabs are not allowed as indentation: indent with spaces'],
  },
  {
    name: 'several syntax errors, one for each line',
    text: 'node: @fw1\ngroups: { a: 1 b: 2 }\nlog: "\\x"\n',
    complaints: [
      'f:1:7: no valid YAML: Plain value cannot start with reserved character @: put the value in quotes',
      'f:2:14: no valid YAML: Block collections are not allowed within flow collections: put a comma between the keys',
      'f:3:7: no valid YAML: Invalid escape sequence \\x": write \\\\ for a backslash, or use single quotes',
    ],
  },
  {
    name: 'a second document',
    text: `${one('')}---\nnode: fw2\n`,
    complaints: ['f:6:1: a second document starts here: put one configuration into one file'],
  },
  {
    name: 'a tag',
    text: 'node: !secret fw1\n',
    complaints: ['f:1:7: no valid YAML: Unresolved tag: !secret: remove the tag'],
  },
  {
    name: 'a control character',
    text: 'node: fw1\nlog\0: 1\n',
    complaints: ['f:2:4: the control character U+0000 is no text: remove it'],
  },
  {
    name: 'an alias without anchor',
    text: 'node: *fw1\n',
    complaints: ['f:1:7: alias *fw1 without an anchor &fw1 before it: write the value out'],
  },
  {
    name: 'a mistake behind two aliases is one mistake',
    text:
      'groups:\n  a:\n    priority: 101\n    garp: &garp { repeat: 0 }\n    instances:\n' +
      '      a: { interface: eth0, vrid: 1, addresses: [10.0.0.1/8], garp: *garp }\n' +
      '      b: { interface: eth0, vrid: 2, addresses: [10.0.0.2/8], garp: *garp }\n',
    complaints: ['f:4:27: repeat 0 is out of range: use 1 to 100'],
  },
  {
    name: 'columns count from 1 after a byte order mark and with CRLF',
    text: '\ufeffnod: fw1\r\ngruops: {}\r\n',
    complaints: [
      'f:1:1: unknown key nod in the file: did you mean node?',
      'f:2:1: unknown key gruops in the file: did you mean groups?',
    ],
  },
  {
    name: 'the same VRID and interface in another group, for one family of two',
    text:
      'groups:\n' +
      '  a: { instances: { x: { interface: eth0, vrid: 7, addresses: [10.0.0.1/8] } } }\n' +
      '  b: { instances: { y: { interface: eth0, vrid: 7, addresses: [10.0.0.2/8, 2001:db8::1/64] } } }\n' +
      '  c: { instances: { z: { interface: eth0, vrid: 7, addresses: [10.0.0.3/8, 2001:db8::2/64] } } }\n' +
      '  d: { instances: { z: { interface: eth1, vrid: 7, addresses: [10.0.0.4/8] } } }\n',
    complaints: [
      'f:3:49: vrid 7 on eth0 is taken for IPv4 by instance x of group a at f:2:49: use another one, the same on every node',
      'f:4:49: vrid 7 on eth0 is taken for IPv4 by instance x of group a at f:2:49: use another one, the same on every node',
      'f:4:49: vrid 7 on eth0 is taken for IPv6 by instance y of group b at f:3:49: use another one, the same on every node',
    ],
  },
  {
    name: 'one address in two instances',
    text:
      'groups:\n' +
      '  a: { instances: { x: { interface: eth0, vrid: 7, addresses: [10.0.0.1/8] } } }\n' +
      '  b: { instances: { y: { interface: eth1, vrid: 7, addresses: [10.0.0.1/24] } } }\n',
    complaints: ['f:3:64: address 10.0.0.1 is here twice: first at f:2:64: keep one'],
  },
  {
    name: 'the address that would be added, listed as silent',
    text: oneInstance(
      "addresses: ['2001:db8::1/64', { address: fe80::200:5eff:fe00:23d/64, advertise: false }]",
    ),
    complaints: ['f:5:82: address fe80::200:5eff:fe00:23d is here twice: first at f:5:7: keep one'],
  },
  {
    name: 'an interval that is too long for twelve bits',
    text: one('interval: 41s'),
    complaints: ['f:5:77: interval 41s is out of range: use 10ms to 40.95s in steps of 10ms'],
  },
  {
    name: 'an interval that would be 0 centiseconds',
    text: one('interval: 5ms'),
    complaints: ['f:5:77: interval 5ms is out of range: use 10ms to 40.95s in steps of 10ms'],
  },
  {
    name: 'a duration of words',
    text: one('interval: one second'),
    complaints: ['f:5:77: interval "one second" is no duration: use 10ms to 40.95s in steps of 10ms'],
  },
  {
    name: 'keys of the protocol that is named, though it is not built yet',
    text: oneInstance(lan, 'protocol: vrrp2\n    password: x\n    checksum: auto'),
    complaints: [
      'f:3:15: protocol vrrp2 is not supported yet: use vrrp3',
      'f:4:5: password is not supported yet: remove it',
      'f:5:5: checksum does not belong to vrrp2: remove it: it is for vrrp3',
    ],
  },
];

for (const { name, text, complaints } of mistakes) {
  void t.test(name, async (t) => {
    t.strictSame(complaintsOf(text), complaints);
  });
}

void t.test('an advertisement holds 255 addresses of a family', async (t) => {
  const ipv4 = Array.from({ length: 256 }, (_, index) => `10.0.${index}.1/24`);
  const ipv6 = Array.from({ length: 255 }, (_, index) => `2001:db8:${index.toString(16)}::1/64`);
  const list = (addresses: string[]): string => oneInstance(`addresses: [${addresses.join(', ')}]`);
  t.strictSame(complaintsOf(list([...ipv4.slice(0, 255), ...ipv6.slice(0, 254)])), []);
  t.match(complaintsOf(list(ipv4)), [/advertises 256 IPv4 addresses, .* advertise: false/]);
  t.match(
    complaintsOf(list(ipv6)),
    [/advertises 256 IPv6 addresses/],
    'the link-local address that is added counts',
  );
  const silent = '{ address: 10.255.0.1/24, advertise: false }';
  t.strictSame(complaintsOf(list([...ipv4.slice(0, 255), silent])), []);
});

void t.test('a link-local address may be on every link', async (t) => {
  const text =
    'groups: { g: { instances: {\n' +
    "  a: { interface: eth0, vrid: 7, addresses: ['fe80::1/64'] },\n" +
    "  b: { interface: eth1, vrid: 7, addresses: ['fe80::1/64'] } } } }\n";
  t.strictSame(complaintsOf(text), []);
});

void t.test('aliases stand for what they name', async (t) => {
  const text =
    'groups:\n  g:\n    garp: &garp { repeat: 2 }\n    instances:\n' +
    '      a: { interface: eth0, vrid: 1, addresses: [10.0.0.1/8], garp: *garp }\n';
  t.equal(loadConfig(text, 'f').groups[0]?.instances[0]?.garp.repeat, 2);
});

void t.test('files that cannot be read', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'havrrp-config-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const file = join(directory, 'havrrp.yaml');
  const complaint = async (name: string): Promise<string> => {
    try {
      await readConfig(name);
      return 'none';
    } catch (error) {
      if (error instanceof ConfigError) return printed(error).join('\n');
      throw error;
    }
  };
  t.equal(await complaint(file), `${file}: there is no such file: write it, or name another with --config`);
  t.equal(
    await complaint(join(file, 'x')),
    `${file}/x: there is no such file: write it, or name another with --config`,
  );
  t.equal(await complaint(directory), `${directory}: this is a directory: name a file in it`);
  t.match(await complaint('a\0b'), /the file cannot be read/);
  t.match(await complaint('/dev/zero'), /larger than 1 MiB/);
  await writeFile(file, Buffer.alloc(1024 * 1024 + 1, '#'));
  t.equal(await complaint(file), `${file}:1:1: the file is larger than 1 MiB: no configuration is that long`);
  await writeFile(file, Buffer.from('node: fw1\n# \xff\n', 'latin1'));
  t.equal(await complaint(file), `${file}:2:1: this line is no UTF-8: save the file as UTF-8`);
  await writeFile(file, `\ufeff${oneInstance(lan)}`);
  t.equal((await readConfig(file)).file, file);
  await chmod(file, 0);
  if (process.getuid?.() !== 0) {
    t.equal(
      await complaint(file),
      `${file}: no permission to read the file: run as root, or change its mode`,
    );
  }
});
