import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

/** The house of docs/architecture.md: which room of src may import from which. A file beside the rooms is a room of its own. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  'version.ts': [],
  protocol: ['errors.ts'],
  net: ['protocol', 'errors.ts'],
  config: ['protocol', 'errors.ts'],
  control: ['protocol', 'errors.ts'],
  conntrackd: ['protocol', 'errors.ts'],
  daemon: ['protocol', 'net', 'config', 'control', 'conntrackd', 'errors.ts', 'version.ts'],
  cli: ['config', 'control', 'errors.ts', 'version.ts'],
  // The program: where its two halves meet.
  'havrrp.ts': ['cli', 'daemon', 'errors.ts', 'version.ts'],
};

/** Packages and parts of Node that one room alone may use. */
const onlyIn: Readonly<Record<string, readonly string[]>> = {
  pino: ['daemon'],
  commander: ['cli', 'havrrp.ts'],
  'node:http': ['control'],
};

const sourceDirectory = join(packageRoot(dirname(fileURLToPath(import.meta.url))), 'src');

interface Import {
  readonly file: string;
  readonly room: string;
  /** A room, for a file of ours; a package otherwise. */
  readonly target: string;
  readonly isOurs: boolean;
}

const files = readdirSync(sourceDirectory, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);
const imports = files.flatMap((file) => {
  const text = readFileSync(join(sourceDirectory, file), 'utf8');
  const specifiers = text.matchAll(
    /^(?:import|export)\s[^;]*?from\s+'([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm,
  );
  return [...specifiers].map(([, from, bare, dynamic]) => readImport(file, from ?? bare ?? dynamic ?? ''));
});

t.test('every import follows the arrows', async (t) => {
  t.ok(imports.length > files.length, 'the import lines were found');
  for (const { file, room, target, isOurs } of imports) {
    if (!isOurs || target === room) continue;
    t.ok(mayImport[room]?.includes(target), `${file} imports from ${target}`);
  }
});

t.test('protocol is pure: it imports nothing but itself', async (t) => {
  const foreign = imports.filter(({ room, isOurs }) => room === 'protocol' && !isOurs);
  t.strictSame(foreign, []);
});

t.test('packages stay in their rooms', async (t) => {
  for (const [name, rooms] of Object.entries(onlyIn)) {
    const users = imports.filter(({ isOurs, target }) => !isOurs && `${target}/`.startsWith(`${name}/`));
    t.ok(users.length > 0, `${name} is used`);
    for (const { file, room } of users) t.ok(rooms.includes(room), `${file} imports ${name}`);
  }
});

t.test('only net/native.ts loads the addon', async (t) => {
  const loaders = files.filter((file) =>
    /createRequire|process\.dlopen|\.node['"`]/.test(readFileSync(join(sourceDirectory, file), 'utf8')),
  );
  t.strictSame(
    loaders.filter((file) => file !== join('net', 'native.ts')),
    [],
  );
});

function readImport(file: string, specifier: string): Import {
  const room = roomOf(file);
  if (!specifier.startsWith('.')) return { file, room, target: specifier, isOurs: false };
  const target = relative(sourceDirectory, join(sourceDirectory, dirname(file), specifier));
  return { file, room, target: roomOf(target), isOurs: true };
}

function roomOf(file: string): string {
  return file.split('/', 1)[0] ?? file;
}

/** The compiled test lies somewhere below the package; what it reads is the source. */
function packageRoot(start: string): string {
  for (let directory = start; ; directory = dirname(directory)) {
    if (readdirSync(directory).includes('package.json')) return directory;
    if (directory === dirname(directory)) throw new Error(`${start}: no package.json here or above`);
  }
}
