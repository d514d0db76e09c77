import t from 'tap';
import { plain, Timeline } from './timeline.ts';

/** One probe each 20 ms, from 0 on: `.` answered, `x` lost over both families, 4 and 6 over one. */
function tell(timeline: Timeline, story: string): void {
  for (const [index, letter] of [...story].entries()) {
    const sentAt = 1000 + index * 20;
    timeline.probe({ target: '10.0.0.1', sentAt, answered: letter === '.' || letter === '6' });
    timeline.probe({ target: '2001:db8::1', sentAt, answered: letter === '.' || letter === '4' });
  }
}

t.test('probes are a strip, cut where something happened', async (t) => {
  const timeline = new Timeline(1000, ['fw1', 'fw2'], plain);
  tell(timeline, `${'.'.repeat(10)}xx46${'.'.repeat(40)}`);
  timeline.mark({ at: 1280, role: { host: 'fw2', name: 'master' }, text: 'fw2 master: it had to' });
  timeline.mark({ at: 1190, role: { host: 'fw1', name: 'off' }, text: 'fw1 is off' });
  t.strictSame(
    [...timeline.lines(2080)],
    [
      ' 0.00  -       -       ·········',
      ' 0.19  fw1 is off',
      ' 0.18  off     -                ·xx46',
      ' 0.28  fw2 master: it had to',
      ' 0.28  off     master                ····································',
    ],
  );
});

t.test('a second that is not over is not printed yet', async (t) => {
  const timeline = new Timeline(1000, ['fw1'], plain);
  tell(timeline, '.'.repeat(60));
  t.strictSame([...timeline.lines(1500)], []);
  t.strictSame([...timeline.lines(2100)], [` 0.00  -       ${'·'.repeat(50)}`]);
});

t.test('nothing is printed where nothing was asked, and a role may change in silence', async (t) => {
  const timeline = new Timeline(1000, ['fw1'], plain);
  timeline.mark({ at: 1500, role: { host: 'fw1', name: 'off' } });
  t.strictSame([...timeline.lines(4000)], []);
});
