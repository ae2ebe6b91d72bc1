import { expect, it, vi } from 'vitest';
import { createFeeds } from '../src/app/live/feeds.ts';
import { createHub } from '../src/app/live/live-hub.ts';
import { type LiveCommand, type LiveFrame, liveStream } from '../src/app/live/live-stream.ts';
import { createPresence } from '../src/app/live/presence.ts';
import type { LoggedEvent } from '../src/domain/event.ts';

const spaces = [1, 2, 3].map((n) => `00000000-0000-4000-8000-00000000000${n}`);
const timers = { after: () => () => {} };
const nothing = () => {};
const peers = {
  ...{ tokens: nothing, ephemeral: nothing, presence: nothing, opened: nothing, events: nothing },
  ...{ follow: nothing, leave: nothing },
};
const event = (offset: number, size: number): LoggedEvent => ({
  ...{ offset, id: `e${offset}`, type: 'message.created' },
  json: 'x'.repeat(size),
});

/** What a gateway gets when all spaces have moved at once, after it was told that it follows them. */
const frames = async (said: readonly LiveCommand[], size = 10): Promise<LiveFrame[]> => {
  const reads = {
    positions: async (asked: readonly string[]) => asked.map((space) => ({ space, epoch: 'e', head: 0 })),
    events: async () => [],
  };
  const feeds = createFeeds({ reads, timers, failed: nothing });
  const presence = createPresence({ clock: { now: () => 0 }, timers, changed: nothing });
  const stopping = new AbortController();
  async function* commands(): AsyncGenerator<LiveCommand> {
    yield* said;
    for (const space of spaces) yield { kind: 'follow', space, epoch: '', after: 0 };
    await new Promise((resolve) => stopping.signal.addEventListener('abort', resolve));
  }
  const stream = liveStream(commands(), {
    ...{ hub: createHub(feeds, presence), peers, reads, runningTurns: async () => [] },
    ...{ signal: stopping.signal, departed: nothing },
  });
  const got: LiveFrame[] = [];
  const next = async (kind: LiveFrame['kind'][]) => {
    for (;;) {
      const { value } = await stream.next();
      if (!value) throw new Error('the stream has ended');
      if (kind.includes(value.kind)) return value;
    }
  };
  for (const _ of spaces) await next(['following']);
  for (const space of spaces) feeds.offer({ space, epoch: 'e', events: [event(1, size)] });
  let seen = 0;
  while (seen < spaces.length) {
    const frame = await next(['events', 'bundle']);
    got.push(frame);
    seen += frame.kind === 'bundle' ? frame.spaces.length : 1;
  }
  stopping.abort();
  await stream.next();
  return got;
};

const spacesOf = (frame: LiveFrame | undefined) =>
  frame?.kind === 'bundle' ? frame.spaces.map(({ space }) => space) : [];

it('events of several spaces go together to a gateway that reads them so', async () => {
  const got = await frames([{ kind: 'reads', bundles: true }]);
  expect(got.map(({ kind }) => kind)).toEqual(['bundle']);
  expect(spacesOf(got[0])).toEqual(spaces);
});

it('events at hand do not wait for a space whose events are read from the log', async () => {
  const [here = '', late = ''] = spaces;
  const read = Promise.withResolvers<LoggedEvent[]>();
  const reads = {
    positions: async (asked: readonly string[]) =>
      asked.map((space) => ({ space, epoch: 'e', head: space === late ? 1 : 0 })),
    events: () => read.promise,
  };
  const feeds = createFeeds({ reads, timers, failed: nothing });
  const presence = createPresence({ clock: { now: () => 0 }, timers, changed: nothing });
  const stopping = new AbortController();
  const turnsOf: string[] = [];
  const more = Promise.withResolvers<void>();
  async function* commands(): AsyncGenerator<LiveCommand> {
    yield { kind: 'reads', bundles: true };
    yield { kind: 'follow', space: here, epoch: '', after: 0 };
    await more.promise;
    yield { kind: 'follow', space: late, epoch: '', after: 0 };
    await new Promise((resolve) => stopping.signal.addEventListener('abort', resolve));
  }
  const stream = liveStream(commands(), {
    ...{ hub: createHub(feeds, presence), peers, reads },
    ...{ signal: stopping.signal, departed: nothing },
    runningTurns: async (space) => {
      turnsOf.push(space);
      return [];
    },
  });
  const next = async () => (await stream.next()).value;
  expect(await next()).toMatchObject({ kind: 'following', space: here });
  feeds.offer({ space: here, epoch: 'e', events: [event(1, 10)] });
  more.resolve();
  await vi.waitFor(() => expect(turnsOf).toEqual([here, late]));
  expect(await next()).toMatchObject({ kind: 'following', space: late });
  expect(await next()).toMatchObject({ kind: 'events', space: here });
  read.resolve([event(1, 10)]);
  expect(await next()).toMatchObject({ kind: 'events', space: late });
  stopping.abort();
  await stream.next();
});

it('each space has its own frame for a gateway of the version before', async () => {
  const got = await frames([]);
  expect(got).toMatchObject(spaces.map((space) => ({ kind: 'events', space })));
});

it('a frame stays small enough for a message', async () => {
  const got = await frames([{ kind: 'reads', bundles: true }], 60_000);
  expect(got.map((frame) => spacesOf(frame).length || 1)).toEqual([2, 1]);
});
