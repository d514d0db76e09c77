import t from 'tap';
import {
  describeProof,
  type Proof,
  type Sample,
  stepProof,
  unproved,
} from '../../src/conntrackd/sync-proof.ts';

/** Runs the rule over polls that are 500 ms apart. @returns what it did at each: `ask`, `proved` or the step it stands at */
function run(sizes: readonly (number | 'unheard')[], lost: readonly number[] = []): string[] {
  let proof: Proof = unproved;
  return sizes.map((size, index) => {
    const sample: Sample = {
      at: index * 500,
      heard: size !== 'unheard',
      size: size === 'unheard' ? 0 : size,
      lost: lost[index] ?? 0,
    };
    const step = stepProof(proof, sample);
    proof = step.proof;
    return step.ask ? `ask, ${proof.step}` : proof.step;
  });
}

const cases: readonly {
  name: string;
  sizes: readonly (number | 'unheard')[];
  lost?: readonly number[];
  steps: string;
}[] = [
  {
    name: 'asked, at rest, asked once more, nothing added: proved 2.5 s after the second question',
    sizes: [0, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000],
    steps: 'ask, filling|filling|filling|ask, checking|checking|checking|checking|checking|proved',
  },
  {
    name: 'a peer without sessions',
    sizes: Array<number>(9).fill(0),
    steps: 'ask, filling|filling|filling|ask, checking|checking|checking|checking|checking|proved',
  },
  {
    name: 'the second question brings more: it is asked again',
    sizes: [0, 600, 600, 600, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000],
    steps:
      'ask, filling|filling|filling|ask, checking|checking|checking|checking|checking|ask, checking|checking|checking|checking|checking|proved',
  },
  {
    name: 'nobody is asked while the peer is not heard',
    sizes: ['unheard', 'unheard', 'unheard', 5, 5],
    steps: 'unheard|unheard|unheard|ask, filling|filling',
  },
  {
    name: 'silence in between begins it all anew',
    sizes: [5, 5, 5, 5, 5, 'unheard', 5, 5],
    steps: 'ask, filling|filling|filling|ask, checking|checking|unheard|ask, filling|filling',
  },
  {
    name: 'a table that never rests is asked for again every five seconds, and never proved',
    sizes: Array.from({ length: 13 }, (_, index) => index * 500),
    steps:
      'ask, filling|filling|filling|filling|filling|filling|filling|filling|filling|filling|filling|ask, filling|filling',
  },
  {
    name: 'one in a hundred may come and go meanwhile',
    sizes: [0, 10_000, 10_050, 9_990, 10_020, 10_010, 9_990, 10_000, 10_000],
    steps: 'ask, filling|filling|filling|ask, checking|checking|checking|checking|checking|proved',
  },
  {
    name: 'messages lost while looking: not yet',
    sizes: [0, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100],
    lost: [0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9],
    steps:
      'ask, filling|filling|filling|ask, checking|checking|checking|checking|checking|checking|proved|proved',
  },
];

for (const { name, sizes, lost, steps } of cases) {
  t.test(name, async (t) => {
    t.equal(run(sizes, lost).join('|'), steps);
  });
}

t.test('polls that come too soon show nothing', async (t) => {
  let proof: Proof = unproved;
  for (let at = 0; at < 300; at += 50) {
    ({ proof } = stepProof(proof, { at, heard: true, size: 1, lost: 0 }));
  }
  t.equal(proof.step, 'filling');
});

t.test('once proved it stays so, until the peer falls silent', async (t) => {
  const proved: Proof = { step: 'proved', provedAt: 0, size: 10 };
  t.strictSame(stepProof(proved, { at: 1000, heard: true, size: 9000, lost: 3 }), {
    proof: proved,
    ask: false,
  });
  t.strictSame(stepProof(proved, { at: 1000, heard: false, size: 10, lost: 0 }), {
    proof: unproved,
    ask: false,
  });
});

t.test('every step has words', async (t) => {
  t.match(describeProof(unproved), /not heard/);
  t.match(describeProof({ step: 'filling', askedAt: 0, window: [] }), /arriving: 0/);
  t.match(describeProof({ step: 'checking', askedAt: 0, sizeBefore: 12, window: [] }), /once more.*12/);
  t.match(describeProof({ step: 'proved', provedAt: 0, size: 34 }), /are here: 34/);
});
