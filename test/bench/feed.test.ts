import t from 'tap';
import { Feed } from './feed.ts';

const wait = { withinMs: 1000 };

t.test('a wait finds what came before it, once', async (t) => {
  const feed = new Feed<number>();
  feed.push(1);
  feed.push(2);
  t.equal(await feed.next((item) => item > 0, wait), 1);
  t.equal(await feed.next((item) => item > 0, wait), 2);
  t.strictSame(feed.items, [1, 2], 'everything is kept');
});

t.test('a wait finds what comes later, and passes over what is not wanted', async (t) => {
  const feed = new Feed<number>();
  const later = feed.next((item) => item > 2, wait);
  feed.push(2);
  feed.push(3);
  t.equal(await later, 3);
});

t.test('skip passes over the past', async (t) => {
  const feed = new Feed<number>();
  feed.push(1);
  feed.skip();
  feed.push(2);
  t.equal(await feed.next(() => true, wait), 2);
});

t.test('a wait for nothing says what was waited for and what came instead', async (t) => {
  const feed = new Feed<number>((item) => `number ${item}`);
  feed.push(7);
  await t.rejects(
    feed.next((item) => item === 8, { withinMs: 1, what: 'an eight' }),
    /an eight: not within 1 ms; what came:\s+number 7/,
  );
  feed.push(8);
  t.equal(await feed.next((item) => item === 8, wait), 8, 'and the feed goes on');
});

t.test('the end of a feed ends the wait, and every later one', async (t) => {
  const feed = new Feed<number>();
  const waiting = feed.next(() => true, { ...wait, what: 'anything' });
  feed.end('it broke');
  await t.rejects(waiting, /anything: it broke; nothing came/);
  await t.rejects(
    feed.next(() => true, wait),
    /it broke/,
  );
});
