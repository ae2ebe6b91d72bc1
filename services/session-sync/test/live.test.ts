import { describe, expect, it, vi } from 'vitest';
import { createFeeds, type Watcher } from '../src/app/live/feeds.ts';
import { createHub } from '../src/app/live/live-hub.ts';
import { type LiveCommand, liveStream } from '../src/app/live/live-stream.ts';
import { passingQueue } from '../src/app/live/passing-queue.ts';
import { createPresence, type PresenceStream } from '../src/app/live/presence.ts';
import type { LoggedEvent } from '../src/domain/event.ts';

const space = '00000000-0000-4000-8000-000000000001';
const eventAt = (offset: number, size = 10): LoggedEvent => ({
  offset,
  id: `e${offset}`,
  type: 'message.created',
  json: 'x'.repeat(size),
});
const upTo = (head: number) => Array.from({ length: head }, (_, n) => eventAt(n + 1));

/** Timers that run when the test says so. */
const fakeTimers = () => {
  const waiting = new Set<() => void>();
  return {
    after: (_: number, work: () => void) => {
      waiting.add(work);
      return () => waiting.delete(work);
    },
    run: () => {
      for (const work of [...waiting]) {
        waiting.delete(work);
        work();
      }
    },
    get size() {
      return waiting.size;
    },
  };
};

const setUp = (head: number, limits = {}) => {
  let log = upTo(head);
  let epoch = 'e';
  const timers = fakeTimers();
  const reads = {
    positions: vi.fn(async (spaces: readonly string[]) =>
      spaces.filter((one) => one === space).map((one) => ({ space: one, epoch, head: log.length })),
    ),
    events: vi.fn(async (_: string, after: number, limit: number) => log.slice(after, after + limit)),
  };
  const feeds = createFeeds({ reads, timers, failed: () => {}, limits });
  return {
    feeds,
    reads,
    timers,
    /** Writes to the log; nobody is told. */
    append: (count: number) => {
      const from = log.length;
      log = [...log, ...Array.from({ length: count }, (_, n) => eventAt(from + n + 1))];
      return log.slice(from);
    },
    rotate: () => {
      epoch = 'another';
      log = upTo(1);
    },
    offer: (...events: LoggedEvent[]) => feeds.offer({ space, epoch, events }),
  };
};
const watcher = () => ({ moved: vi.fn<Watcher['moved']>(), lost: vi.fn<Watcher['lost']>() });

describe('a feed', () => {
  it('gives recent events from memory and says when older ones must come from the log', async () => {
    const { feeds, append, offer } = setUp(3);
    const feed = await feeds.watch(space, watcher());
    offer(...append(2));
    expect(feed?.head).toBe(5);
    expect(feed?.since(3, 10)?.map(({ offset }) => offset)).toEqual([4, 5]);
    expect(feed?.since(5, 10)).toEqual([]);
    expect(feed?.since(2, 10)).toBeUndefined();
  });

  it('does not miss what is committed while it reads its position', async () => {
    const { feeds, append, offer } = setUp(3);
    const opening = feeds.watch(space, watcher());
    offer(...append(1));
    const feed = await opening;
    expect(feed?.head).toBe(4);
  });

  it('puts events in order that come early, and takes each once', async () => {
    const { feeds, append, offer, reads, timers } = setUp(0);
    const feed = await feeds.watch(space, watcher());
    const [one, two, three] = append(3) as [LoggedEvent, LoggedEvent, LoggedEvent];
    offer(three);
    offer(two);
    expect(feed?.head).toBe(0);
    offer(one);
    offer(two);
    expect(feed?.since(0, 10)?.map(({ offset }) => offset)).toEqual([1, 2, 3]);
    expect(timers.size).toBe(0);
    expect(reads.events).not.toHaveBeenCalled();
  });

  it('reads the log when a predecessor does not come', async () => {
    const { feeds, append, offer, timers } = setUp(0);
    const watching = watcher();
    const feed = await feeds.watch(space, watching);
    offer((append(2) as [LoggedEvent, LoggedEvent])[1]);
    timers.run();
    await vi.waitFor(() => expect(feed?.head).toBe(2));
    expect(watching.moved).toHaveBeenCalled();
  });

  it('finds by comparing heads what no message told of', async () => {
    const { feeds, append } = setUp(1);
    const feed = await feeds.watch(space, watcher());
    append(700);
    await feeds.checkHeads();
    expect(feed?.head).toBe(701);
  });

  it('tells its watchers that they are lost when the epoch changes', async () => {
    const { feeds, rotate } = setUp(5);
    const watching = watcher();
    await feeds.watch(space, watching);
    rotate();
    await feeds.checkHeads();
    expect(watching.lost).toHaveBeenCalledWith(space, { space, epoch: 'another', head: 1 });
  });

  it('keeps a bounded number of events and bytes', async () => {
    const { feeds, append, offer } = setUp(0, { ringEvents: 8, ringBytes: 10_000 });
    const feed = await feeds.watch(space, watcher());
    offer(...append(100));
    expect(feed?.since(99, 10)).toHaveLength(1);
    expect(feed?.since(90, 10)).toBeUndefined();
    offer(eventAt(101, 9_000), eventAt(102, 9_000));
    expect(feed?.since(101, 10)).toHaveLength(1);
    expect(feed?.since(100, 10)).toBeUndefined();
  });

  it('is gone when nobody watches, and costs one query however many begin at once', async () => {
    const { feeds, reads } = setUp(1);
    const watchers = Array.from({ length: 50 }, watcher);
    await Promise.all(watchers.map((one) => feeds.watch(space, one)));
    expect(reads.positions).toHaveBeenCalledTimes(1);
    for (const one of watchers) feeds.unwatch(space, one);
    expect(feeds.size).toBe(0);
    expect(await feeds.watch('unknown', watcher())).toBeUndefined();
    expect(feeds.size).toBe(0);
  });
});

describe('a live stream whose reader is slow', () => {
  it('waits for nobody: the events come from the log, each once and in order', async () => {
    const world = setUp(0, { ringEvents: 8 });
    const presence = createPresence({ clock: { now: () => 0 }, timers: world.timers, changed: () => {} });
    const hub = createHub(world.feeds, presence);
    const nothing = () => {};
    const stopping = new AbortController();
    async function* commands(): AsyncGenerator<LiveCommand> {
      yield { kind: 'follow', space, epoch: '', after: 0 };
      await new Promise((resolve) => stopping.signal.addEventListener('abort', resolve));
    }
    const frames = liveStream(commands(), {
      hub,
      peers: {
        tokens: nothing,
        ephemeral: nothing,
        presence: nothing,
        opened: nothing,
        events: nothing,
        follow: nothing,
        leave: nothing,
      },
      reads: world.reads,
      runningTurns: async () => [],
      signal: stopping.signal,
      departed: nothing,
    });
    expect((await frames.next()).value).toMatchObject({ kind: 'following', after: 0 });
    // Two thousand events pass by while nobody reads; only the newest are in memory.
    for (let n = 0; n < 200; n += 1) world.offer(...world.append(10));
    const got: number[] = [];
    while (got.length < 2_000) {
      const { value } = await frames.next();
      if (value?.kind === 'events') got.push(...value.events.map(({ offset }) => offset));
    }
    expect(got).toEqual(upTo(2_000).map(({ offset }) => offset));
    stopping.abort();
    expect((await frames.next()).done).toBe(true);
    expect(world.feeds.size).toBe(0);
  });
});

describe('what passes and is not stored', () => {
  const tokens = (from: number, text: string, turnId = 't') =>
    ({ kind: 'tokens', tokens: { space, conversationId: 'c', turnId, messageId: 'm', from, text } }) as const;

  it('joins tokens of a turn by code points, and keeps the latest of everything else', () => {
    const queue = passingQueue();
    queue.put(tokens(0, 'a😀'));
    queue.put(tokens(2, 'b'));
    for (const json of ['1', '2']) queue.put({ kind: 'ephemeral', space, key: 'k', json });
    for (const _ of [1, 2]) queue.put({ kind: 'presence', space });
    expect(queue.take()).toEqual(tokens(0, 'a😀b'));
    expect(queue.take()).toMatchObject({ json: '2' });
    expect(queue.take()).toMatchObject({ kind: 'presence' });
    expect(queue.take()).toBeUndefined();
  });

  it('starts over when a turn does, and shows a hole rather than hiding it', () => {
    const queue = passingQueue();
    queue.put(tokens(5, 'old'));
    queue.put(tokens(0, 'new'));
    expect(queue.take()).toEqual(tokens(0, 'new'));
    queue.put(tokens(3, 'x'));
    queue.put(tokens(9, 'y'));
    expect(queue.take()).toEqual(tokens(9, 'y'));
  });

  it('never grows without a bound: text is dropped, too many keys end the stream', () => {
    const queue = passingQueue();
    queue.put(tokens(0, 'x'.repeat(60_000)));
    queue.put(tokens(60_000, 'x'.repeat(60_000)));
    expect(queue.size).toBe(0);
    for (let n = 0; n < 10_000; n += 1) queue.put(tokens(0, 'x', `t${n}`));
    expect(() => queue.put(tokens(0, 'x', 'one more'))).toThrow(/too slow/);
  });
});

const gateway = () => ({ replaced: vi.fn<PresenceStream['replaced']>() });

describe('presence', () => {
  const start = () => {
    let now = 0;
    const timers = fakeTimers();
    const changed = vi.fn();
    const presence = createPresence({ clock: { now: () => now }, timers, changed });
    const attach = (stream: PresenceStream, id: string) =>
      presence.attach(stream, 'ann', { id, platform: 'web', name: '' }, [space]);
    const ids = () => presence.of(space).map(({ device }) => device.id);
    return {
      presence,
      timers,
      changed,
      attach,
      ids,
      pass: (ms: number) => {
        now += ms;
        presence.sweep();
      },
    };
  };

  it('tells of a burst of changes once', () => {
    const { attach, timers, changed } = start();
    const stream = gateway();
    for (const id of ['a', 'b', 'c']) attach(stream, id);
    timers.run();
    expect(changed.mock.calls).toEqual([[space, true]]);
  });

  it('gathers changes longer the more are there, up to two seconds', () => {
    const delays: number[] = [];
    const waiting: (() => void)[] = [];
    const timers = {
      after: (ms: number, work: () => void) => {
        delays.push(ms);
        waiting.push(work);
        return () => {};
      },
    };
    const told: number[] = [];
    const presence = createPresence({
      clock: { now: () => 0 },
      timers,
      changed: () => told.push(presence.of(space).length),
    });
    const attach = (n: number) =>
      presence.attach(gateway(), 'ann', { id: `d${n}`, platform: 'web', name: '' }, [space]);
    for (let n = 0; n < 3_000; n += 1) {
      attach(n);
      // One opens each millisecond.
      if (n >= told.reduce((_, one) => one, 0) + (delays.at(-1) ?? 0)) waiting.shift()?.();
    }
    expect(delays[0]).toBe(50);
    expect(Math.max(...delays)).toBe(2_000);
    // At 50 ms it would have been told sixty times, with 45 devices at first and 3,000 at last.
    expect(told.length).toBeLessThan(10);
  });

  it('keeps the devices of a broken stream for ten seconds, and those that came back', () => {
    const { presence, attach, ids, pass } = start();
    const [broken, reopened] = [gateway(), gateway()];
    attach(broken, 'a');
    attach(broken, 'b');
    presence.streamEnded(broken);
    pass(9_999);
    attach(reopened, 'b');
    expect(ids()).toEqual(['a', 'b']);
    pass(1);
    expect(ids()).toEqual(['b']);
    presence.streamEnded(broken);
    pass(60_000);
    expect(ids()).toEqual(['b']);
  });

  it('keeps a device that has moved to another stream when the one it left says goodbye', () => {
    const { presence, attach, ids } = start();
    const [left, entered] = [gateway(), gateway()];
    attach(left, 'phone');
    attach(entered, 'phone');
    expect(presence.detach(left, 'ann', 'phone')).toBe(false);
    expect(ids()).toEqual(['phone']);
    expect(presence.detach(entered, 'ann', 'phone')).toBe(true);
    expect(ids()).toEqual([]);
  });

  describe('of a device with a WebSocket at two gateways', () => {
    const device = { id: 'phone', platform: 'web', name: '' };
    const say = (
      { presence }: ReturnType<typeof start>,
      stream: PresenceStream,
      connection: string,
      opened: boolean,
    ) => presence.attach(stream, 'ann', device, [space], { connection, opened });
    const replaced = (connection: string) => [[{ userId: 'ann', deviceId: 'phone', connection }]];

    it('replaces the older one, whatever the clocks of the gateways say', () => {
      const world = start();
      const [old, young] = [gateway(), gateway()];
      say(world, old, 'c2', true);
      say(world, young, 'c1', true);
      expect(old.replaced.mock.calls).toEqual(replaced('c2'));
      expect(young.replaced).not.toHaveBeenCalled();
      // The old one changes its spaces before it hears of it.
      say(world, old, 'c0', false);
      expect(young.replaced).not.toHaveBeenCalled();
      world.presence.detach(old, 'ann', 'phone');
      expect(world.ids()).toEqual(['phone']);
    });

    it('goes by the ids when both are only said again', () => {
      const world = start();
      const [one, other] = [gateway(), gateway()];
      say(world, one, 'c2', false);
      say(world, other, 'c1', false);
      expect(other.replaced.mock.calls).toEqual(replaced('c1'));
      expect(one.replaced).not.toHaveBeenCalled();
      say(world, other, 'c3', false);
      expect(one.replaced.mock.calls).toEqual(replaced('c2'));
    });

    it('keeps one that is said again from one whose gateway is gone, whatever their ids', () => {
      const world = start();
      const [killed, other] = [gateway(), gateway()];
      say(world, killed, 'c2', true);
      world.presence.streamEnded(killed);
      say(world, other, 'c1', false);
      for (const { replaced: told } of [killed, other]) expect(told).not.toHaveBeenCalled();
      // It was not gone after all.
      say(world, killed, 'c2', false);
      expect(other.replaced.mock.calls).toEqual(replaced('c1'));
    });

    it('lets streams without a WebSocket be, and WebSockets of one gateway, which knows by itself', () => {
      const world = start();
      const [one, other] = [gateway(), gateway()];
      say(world, one, 'c1', true);
      say(world, other, '', false);
      say(world, one, 'c2', true);
      for (const { replaced: told } of [one, other]) expect(told).not.toHaveBeenCalled();
      world.presence.openedElsewhere({ userId: 'ann', deviceId: 'phone', connection: 'c2' });
      expect(one.replaced).not.toHaveBeenCalled();
      world.presence.openedElsewhere({ userId: 'ann', deviceId: 'phone', connection: 'c3' });
      expect(one.replaced.mock.calls).toEqual(replaced('c2'));
    });

    it('does not call after one that has ended', () => {
      const world = start();
      const [one, other] = [gateway(), gateway()];
      say(world, one, 'c1', true);
      say(world, one, '', false);
      say(world, other, 'c2', true);
      expect(one.replaced).not.toHaveBeenCalled();
    });
  });

  it('counts the others of a space, and forgets a peer that falls silent', () => {
    const { presence, attach, pass } = start();
    attach(gateway(), 'a');
    presence.peer(space, 'replica', [
      { userId: 'ann', device: { id: 'b', platform: 'web', name: '' }, sinceMs: 0 },
    ]);
    expect(presence.others(space, 'ann', 'a')).toBe(1);
    expect(presence.others(space, 'ann', undefined)).toBe(2);
    expect(presence.isConnected(space, 'ann', 'b')).toBe(true);
    pass(10_000);
    expect(presence.others(space, 'ann', 'a')).toBe(0);
  });
});
