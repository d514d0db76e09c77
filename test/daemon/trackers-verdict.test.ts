import t from 'tap';
import fc from 'fast-check';
import { defaultDemote, defaultName, defaultPace } from '../../src/daemon/trackers/settings.ts';
import {
  type Finding,
  type TrackerState,
  count,
  effectOf,
  nothingKnown,
} from '../../src/daemon/trackers/verdict.ts';

type Result = Finding['result'];
const results: Readonly<Record<string, Result>> = { p: 'pass', f: 'fail', e: 'error' };
const letters: Readonly<Record<TrackerState, string>> = { pass: 'P', fail: 'F', error: 'E', unknown: '?' };

/** The states after each finding: `pff` -> `PPF`. */
function story(findings: string, pace: { readonly fall: number; readonly rise: number }): string {
  let tally = nothingKnown;
  return [...findings]
    .map((letter) => {
      tally = count(tally, results[letter] ?? 'error', pace);
      return letters[tally.state];
    })
    .join('');
}

t.test('fall and rise', async (t) => {
  const cases: readonly (readonly [findings: string, fall: number, rise: number, states: string])[] = [
    ['pff', 2, 2, 'PPF'],
    ['pfpfpff', 2, 2, 'PPPPPPF'],
    ['pffpfpp', 2, 2, 'PPFFFFP'],
    ['pfffp', 3, 1, 'PPPFP'],
    // A first pass is enough; failures are counted from the beginning on.
    ['p', 3, 3, 'P'],
    ['ffp', 3, 3, '??P'],
    ['fff', 3, 3, '??F'],
    ['fpff', 2, 2, '?PPF'],
    // An error is no pass: it counts as a failure, and the last one names the state.
    ['pee', 2, 2, 'PPE'],
    ['pfe', 2, 2, 'PPE'],
    ['pefe', 2, 2, 'PPFE'],
    ['eep', 2, 1, '?EP'],
    ['f', 1, 1, 'F'],
  ];
  for (const [findings, fall, rise, states] of cases)
    t.equal(story(findings, { fall, rise }), states, `${findings}, fall ${fall}, rise ${rise}`);
});

t.test('any story: a state changes only after as many findings in a row as it takes', async (t) => {
  const number = fc.integer({ min: 1, max: 5 });
  const findings = fc.string({ unit: fc.constantFrom('p', 'f', 'e'), maxLength: 40 });
  fc.assert(
    fc.property(findings, number, number, (findings, fall, rise) => {
      const states = story(findings, { fall, rise });
      for (let index = 0; index < states.length; index += 1) {
        const [state, before] = [states[index], states[index - 1] ?? '?'];
        const until = findings.slice(0, index + 1);
        const passes = /p*$/.exec(until)?.[0].length ?? 0;
        const failures = /[fe]*$/.exec(until)?.[0].length ?? 0;
        if (state === 'P' && 'FE'.includes(before)) t.equal(passes, rise);
        if ((state === 'F' || state === 'E') && !'FE'.includes(before)) t.equal(failures, fall);
        if (state === '?') t.ok(failures < fall && passes === 0);
      }
    }),
    { numRuns: 300 },
  );
});

t.test('what a tracker does to its group', async (t) => {
  const finding = { detail: 'no answer' };
  const numbered = { name: 'gw', demote: 40 };
  const demotion = { source: 'gw', value: 40, hard: false };
  const nothing = { demotion: undefined, fault: undefined };
  for (const [state, expected] of [
    ['pass', nothing],
    ['unknown', nothing],
    ['fail', { demotion, fault: undefined }],
    ['error', { demotion, fault: undefined }],
  ] as const)
    t.strictSame(effectOf(numbered, state, finding, true), expected, state);
  t.strictSame(effectOf({ name: 'gw', demote: 0 }, 'fail', finding, true), nothing, 'only looked at');

  const faulting = { name: 'gw', demote: 'fault' as const };
  const fault = (code: string, text: string): unknown => ({ demotion: undefined, fault: { code, text } });
  const cases: readonly (readonly [state: TrackerState, hold: boolean, expected: unknown])[] = [
    ['pass', true, nothing],
    ['unknown', true, fault('check_pending', 'waiting for the first result of gw: no answer')],
    ['unknown', false, nothing],
    ['fail', false, fault('check_failed', 'gw failed: no answer')],
    ['error', false, fault('check_error', 'gw cannot be checked: no answer')],
  ];
  for (const [state, hold, expected] of cases)
    t.strictSame(effectOf(faulting, state, finding, hold), expected, state);
  const down = { detail: 'eth0 has no carrier', code: 'link_down' };
  t.match(effectOf(faulting, 'fail', down, true).fault, { code: 'link_down' });
});

t.test('what the file does not say', async (t) => {
  t.equal(defaultDemote('interface'), 'fault');
  t.equal(defaultDemote('file'), 50);
  for (const [kind, { everyMs, timeoutMs, fall, rise }] of Object.entries(defaultPace)) {
    const worst = fall * Math.max(everyMs, timeoutMs) + timeoutMs;
    t.ok(worst <= 9000 && rise >= 1, `${kind}: an outage is known after ${worst} ms at the latest`);
  }
  t.strictSame(
    [
      { kind: 'interface', interface: 'eth1' } as const,
      { kind: 'ping', address: '2001:db8::1', interface: undefined } as const,
      { kind: 'tcp', host: '2001:db8::1', port: 443 } as const,
      { kind: 'tcp', host: 'example.org', port: 443 } as const,
      { kind: 'command', argv: ['/usr/local/bin/check', '-q'] } as const,
      { kind: 'process', process: 'sshd' } as const,
      { kind: 'file', path: '/etc/maintenance' } as const,
    ].map(defaultName),
    [
      'interface eth1',
      'ping 2001:db8::1',
      'tcp [2001:db8::1]:443',
      'tcp example.org:443',
      'command check',
      'process sshd',
      'file /etc/maintenance',
    ],
  );
});
