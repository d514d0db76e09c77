import t from 'tap';
import type { TransitionEvent } from '../../src/control/messages.ts';
import { EventLog } from '../../src/daemon/event-log.ts';

function event(text: string): Omit<TransitionEvent, 'sequence' | 'at'> {
  return { group: 'edge', type: 'reload', reason: 'reload', text };
}

t.test('what happened is kept in order, up to a thousand', async (t) => {
  const log = new EventLog();
  for (let number = 1; number <= 1005; number += 1) log.add(event(String(number)), new Date(number));
  const all = log.all();
  t.equal(all.length, 1000);
  t.strictSame([all[0]?.sequence, all[0]?.text], [6, '6'], 'the oldest are forgotten');
  t.strictSame([all.at(-1)?.sequence, all.at(-1)?.at], [1005, '1970-01-01T00:00:01.005Z']);
});

t.test('who follows hears what comes, until he has enough', async (t) => {
  const log = new EventLog();
  log.add(event('before'), new Date());
  const heard: string[] = [];
  const end = log.follow(({ text }) => heard.push(text));
  log.add(event('during'), new Date());
  end();
  log.add(event('after'), new Date());
  t.strictSame(heard, ['during']);
});
