import { expect, it } from 'vitest';
import { createFeeds } from '../src/app/live/feeds.ts';

it('compares many heads a part at a time, every one of them once in a round', async () => {
  const asked: (readonly string[])[] = [];
  const positions = async (spaces: readonly string[]) => {
    asked.push(spaces);
    return spaces.map((space) => ({ space, epoch: 'e', head: 0 }));
  };
  const feeds = createFeeds({
    reads: { positions, events: async () => [] },
    timers: { after: () => () => {} },
    failed: () => {},
  });
  const spaces = Array.from({ length: 2_000 }, (_, n) => `space ${n}`);
  await Promise.all(spaces.map((space) => feeds.watch(space, { moved: () => {}, lost: () => {} })));
  asked.length = 0;
  for (let part = 0; part < 10; part += 1) await feeds.checkHeads(10);
  expect(asked.map(({ length }) => length)).toEqual(Array.from({ length: 10 }, () => 200));
  expect(new Set(asked.flat())).toEqual(new Set(spaces));
});
