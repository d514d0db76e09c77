import fc from 'fast-check';
import t from 'tap';
import { stringify } from 'yaml';
import { levels } from '../../src/config/schema.ts';
import { complaintsOf, oneInstance } from './complaints.ts';

const mebi = 1024 * 1024;
const fill = (unit: string): string => unit.repeat(Math.floor(mebi / unit.length));
const names = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('');

/** Texts that make a parser slow, deep or fat. */
const hostile: Record<string, string> = {
  'ten thousand brackets': '['.repeat(10_000),
  'a million brackets': fill('['),
  'brackets and braces': fill('[{'),
  'closing brackets': fill(']'),
  dashes: fill('- '),
  'question marks': fill('? '),
  'keys in keys': fill('a: '),
  indentation: names(1400, (index) => `${' '.repeat(index)}a:\n`),
  quotes: fill('"'),
  'escapes that are none': `"${'\\x'.repeat(2000)}"`,
  'many lines of escapes that are none': names(5000, () => '- "\\x"\n'),
  anchors: fill('&a '),
  aliases: `- &a 1\n${'- *a\n'.repeat(200_000)}`,
  directives: fill('%\n'),
  documents: fill('---\n'),
  tags: fill('!a '),
  comments: fill('# x\n'),
  'one comment': fill('#'),
  blanks: fill(' '),
  'line ends': fill('\n'),
  'carriage returns': fill('\r'),
  NUL: fill('\0'),
  'one word': fill('x'),
  digits: fill('1'),
  'the same key': fill('a: 1\n'),
  'many keys': names(60_000, (index) => `key${index}: 1\n`),
  'unknown keys near a known one': `groups:\n  g:\n${names(12_000, (index) => `    prioriy${index}: 1\n`)}`,
  'groups that are none': `groups:\n${names(12_000, (index) => `  g${index}: 1\n`)}`,
  'addresses without length': oneInstance(
    `addresses: [${names(30_000, (index) => `10.0.${index >> 8}.${index & 255},`)}]`,
  ),
  'the same address': oneInstance(`addresses: [${fill('10.0.0.1/8,').slice(0, 300_000)}10.0.0.1/8]`),
  'a billion laughs': `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((letter, index) => `${letter}: &${letter} [${`*${'abcdefgh'[index] ?? ''},`.repeat(9)}]\n`).join('')}`,
  'a million instances by alias':
    'groups:\n  g: &g\n    instances:\n      i: &i { interface: e, vrid: 1, addresses: [10.0.0.1/8] }\n' +
    names(1000, (index) => `      i${index}: *i\n`) +
    names(1000, (index) => `  g${index}: *g\n`),
  'a group inside itself': 'groups: &g\n  a: *g\n  b: { instances: *g }\n',
  prototypes: '__proto__: { a: 1 }\nconstructor: 1\ntoString: 1\n',
};

for (const [name, text] of Object.entries(hostile)) {
  void t.test(name, async (t) => {
    const before = process.cpuUsage();
    const complaints = complaintsOf(text);
    const { user, system } = process.cpuUsage(before);
    const tookMs = (user + system) / 1000;
    t.ok(complaints.length > 0, 'refused with a sentence');
    t.ok(
      complaints.every((line) => /^f:[1-9][0-9]*:[1-9][0-9]*: ./.test(line)),
      'at a place',
    );
    t.ok(tookMs < 1000, `in ${tookMs.toFixed(0)} ms of processor time`);
  });
}

void t.test('__proto__ is a name like others', async (t) => {
  const text =
    'groups: { __proto__: { instances: { __proto__: { interface: e, vrid: 1, addresses: [10.0.0.1/8] } } } }\n';
  t.strictSame(complaintsOf(text), []);
});

/** Complaints, or nothing: any other error fails the property. */
function isRefusedOrLoaded(text: string): boolean {
  const lines = text.split('\n').length;
  return complaintsOf(text).every((line) => Number(line.split(':')[1]) <= lines);
}

void t.test('any text is loaded or refused', async () => {
  const signs = fc.constantFrom(
    ...'[]{}:,-?#&*!|>\'"%@`~<=./ \n\r\t\0\ufeff0a',
    'groups',
    ': ',
    '- ',
    '\n  ',
  );
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), isRefusedOrLoaded));
  fc.assert(fc.property(fc.string({ unit: signs, maxLength: 100 }), isRefusedOrLoaded), { numRuns: 1000 });
});

void t.test('any tree is loaded or refused', async () => {
  const known = levels.flatMap(({ keys }) => Object.keys(keys));
  const key = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...known) }, fc.string());
  const text = fc.constantFrom(
    'vrrp3',
    'carp',
    'eth0',
    '203.0.113.1/24',
    'fe80::1/64',
    '10ms',
    'all',
    'auto',
    '::',
  );
  const scalar = fc.oneof(text, fc.string(), fc.double(), fc.integer(), fc.boolean(), fc.constant(null));
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      scalar,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(key, tie('tree'), { maxKeys: 5 }),
    ),
  }));
  // Down to where the keys of a group and an instance are, at the first try.
  const group = fc.dictionary(key, tree);
  const instance = fc.dictionary(
    key,
    fc.oneof(scalar, fc.array(fc.oneof(scalar, fc.dictionary(key, scalar)))),
  );
  const file = fc.record({
    groups: fc.record({ g: fc.tuple(group, instance).map(([outer, i]) => ({ ...outer, instances: { i } })) }),
  });
  fc.assert(
    fc.property(fc.oneof(tree, file), (value) => isRefusedOrLoaded(stringify(value))),
    { numRuns: 1000 },
  );
});

void t.test('a configuration with a few letters changed is loaded or refused', async () => {
  const text = oneInstance(
    "addresses: [203.0.113.1/24, { address: 'fe80::1/64', advertise: true }], interval: 70ms",
  );
  const position = fc.nat(text.length);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(position, fc.nat(3), fc.string({ maxLength: 3 })), { maxLength: 4 }),
      (edits) =>
        isRefusedOrLoaded(
          edits.reduce(
            (changed, [at, length, put]) => changed.slice(0, at) + put + changed.slice(at + length),
            text,
          ),
        ),
    ),
    { numRuns: 1000 },
  );
});
