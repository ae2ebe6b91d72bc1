import { AppError } from '@skein/contracts';
import type { LoggedEvent } from '../../domain/event.ts';
import type { CommittedEvents, SpacePosition, SpaceReads, Timers } from '../ports.ts';
import { coalesce } from './coalesce.ts';

/** Who watches a feed. Called at once, so it only takes note. */
export interface Watcher {
  /** There are events after the position it last read. */
  moved(space: string): void;
  /** The log is another one now: no position in it holds any more. */
  lost(space: string, position: SpacePosition): void;
}

/** A watched space. */
export interface Feed {
  readonly space: string;
  readonly epoch: string;
  readonly head: number;
  /** Events after `after` that are in memory, at most `limit`; undefined when older ones must come from the log. */
  since(after: number, limit: number): readonly LoggedEvent[] | undefined;
}

/** The recent events of all watched spaces, kept in order and without a gap. */
export interface Feeds {
  /** Starts to watch; undefined when there is no such space. Every watch must be ended by `unwatch`. */
  watch(space: string, watcher: Watcher): Promise<Feed | undefined>;
  unwatch(space: string, watcher: Watcher): void;
  /** Takes in what was committed, here or at a peer: in any order, more than once, or not at all. */
  offer(batch: CommittedEvents): void;
  /**
   * Compares with the log, which finds what no message told of: all spaces in so many calls, one part after the other,
   * for thousands of heads at once would hold every write up. Default: all of them.
   */
  checkHeads(parts?: number): Promise<void>;
  readonly size: number;
}

/** What feeds are made of. */
export interface FeedsOptions {
  readonly reads: Pick<SpaceReads, 'positions' | 'events'>;
  readonly timers: Timers;
  /** Told when a re-read failed; the next head check tries again. */
  readonly failed: (error: unknown) => void;
  /** Told when a space is watched first, and when nobody is left. */
  readonly opened?: (space: string) => void;
  readonly closed?: (space: string) => void;
  readonly limits?: Partial<typeof defaultLimits>;
}

const defaultLimits = {
  /** Events kept per space. */
  ringEvents: 256,
  ringBytes: 256 * 1024,
  /** All rings together: beyond it a space keeps only what has just come. */
  totalBytes: 64 * 1024 * 1024,
  /** How long an early event waits for its predecessor before the log is asked. */
  gapWaitMs: 20,
  /** Early events kept per space; the log has them all anyway. */
  early: 256,
  /** Spaces watched by this process. */
  feeds: 100_000,
};

/** Spaces whose heads one query reads, and how many are worth one. */
const headsPerQuery = 1_000;
const fewHeads = 100;
const readPage = 500;

interface OpenFeed {
  readonly space: string;
  epoch: string;
  head: number;
  ring: LoggedEvent[];
  bytes: number;
  readonly early: Map<number, LoggedEvent>;
  readonly watchers: Set<Watcher>;
  /** Resolves when the position is known. */
  ready: Promise<boolean>;
  known: boolean;
  waiting: (() => void) | undefined;
  rereading: boolean;
}

const sizeOf = (event: LoggedEvent): number => event.json.length + 100;

/** Makes the feeds of a process. */
export const createFeeds = (options: FeedsOptions): Feeds => {
  const limits = { ...defaultLimits, ...options.limits };
  const { reads, timers, failed, opened = () => {}, closed = () => {} } = options;
  const feeds = new Map<string, OpenFeed>();
  let totalBytes = 0;
  // Of the round of head checks under way.
  let part = -1;
  let unchecked: string[] = [];

  const position = coalesce(headsPerQuery, async (spaces) => {
    const found = await reads.positions(spaces);
    return new Map(found.map((one) => [one.space, one]));
  });

  const tell = (feed: OpenFeed) => {
    for (const watcher of feed.watchers) watcher.moved(feed.space);
  };

  const trim = (feed: OpenFeed) => {
    const bytes = totalBytes > limits.totalBytes ? 0 : limits.ringBytes;
    // Half a ring at a time: moving an array for every event would cost more than it saves.
    if (feed.ring.length <= limits.ringEvents && feed.bytes <= bytes) return;
    let drop = 0;
    while (
      drop < feed.ring.length - 1 &&
      (feed.ring.length - drop > limits.ringEvents / 2 || feed.bytes > bytes / 2)
    ) {
      const size = sizeOf(feed.ring[drop] as LoggedEvent);
      feed.bytes -= size;
      totalBytes -= size;
      drop += 1;
    }
    feed.ring.splice(0, drop);
  };

  const accept = (feed: OpenFeed, event: LoggedEvent) => {
    feed.ring.push(event);
    feed.head = event.offset;
    const size = sizeOf(event);
    feed.bytes += size;
    totalBytes += size;
    trim(feed);
  };

  /** Takes what follows the head out of the early ones; the rest waits for its predecessor. */
  const settleEarly = (feed: OpenFeed): void => {
    for (let next = feed.early.get(feed.head + 1); next; next = feed.early.get(feed.head + 1)) {
      feed.early.delete(next.offset);
      accept(feed, next);
    }
    for (const offset of feed.early.keys()) if (offset <= feed.head) feed.early.delete(offset);
    if (feed.early.size === 0) {
      feed.waiting?.();
      feed.waiting = undefined;
    } else {
      feed.waiting ??= timers.after(limits.gapWaitMs, () => {
        feed.waiting = undefined;
        void reread(feed);
      });
    }
  };

  const reread = async (feed: OpenFeed): Promise<void> => {
    if (feed.rereading) return;
    feed.rereading = true;
    try {
      for (;;) {
        const events = await reads.events(feed.space, feed.head, readPage);
        if (feeds.get(feed.space) !== feed) return;
        for (const event of events) if (event.offset === feed.head + 1) accept(feed, event);
        settleEarly(feed);
        if (events.length > 0) tell(feed);
        if (events.length < readPage) break;
      }
    } catch (error) {
      failed(error);
    } finally {
      feed.rereading = false;
    }
  };

  const replace = (feed: OpenFeed, { epoch, head }: SpacePosition) => {
    totalBytes -= feed.bytes;
    Object.assign(feed, { epoch, head, ring: [], bytes: 0 });
    feed.early.clear();
    for (const watcher of feed.watchers) watcher.lost(feed.space, { space: feed.space, epoch, head });
  };

  const close = (feed: OpenFeed) => {
    feeds.delete(feed.space);
    totalBytes -= feed.bytes;
    feed.waiting?.();
    closed(feed.space);
  };

  const open = (space: string): OpenFeed => {
    if (feeds.size >= limits.feeds) throw new AppError('overloaded', 'Too many spaces are being watched');
    const feed: OpenFeed = {
      space,
      epoch: '',
      head: 0,
      ring: [],
      bytes: 0,
      early: new Map(),
      watchers: new Set(),
      ready: Promise.resolve(false),
      known: false,
      waiting: undefined,
      rereading: false,
    };
    feeds.set(space, feed);
    opened(space);
    // Events that come while the position is being read wait among the early ones.
    feed.ready = position(space).then((found) => {
      if (!found) return false;
      feed.epoch = found.epoch;
      feed.head = found.head;
      feed.known = true;
      settleEarly(feed);
      return true;
    });
    return feed;
  };

  const unwatch = (space: string, watcher: Watcher) => {
    const feed = feeds.get(space);
    if (!feed?.watchers.delete(watcher)) return;
    if (feed.watchers.size === 0) close(feed);
  };

  return {
    get size() {
      return feeds.size;
    },
    watch: async (space, watcher) => {
      const feed = feeds.get(space) ?? open(space);
      feed.watchers.add(watcher);
      try {
        if (!(await feed.ready)) {
          unwatch(space, watcher);
          return undefined;
        }
      } catch (error) {
        unwatch(space, watcher);
        throw error;
      }
      return {
        space,
        get epoch() {
          return feed.epoch;
        },
        get head() {
          return feed.head;
        },
        since: (after, limit) => {
          if (after >= feed.head) return [];
          const first = feed.ring[0];
          if (!first || after < first.offset - 1) return undefined;
          const at = after + 1 - first.offset;
          return feed.ring.slice(at, at + limit);
        },
      };
    },
    unwatch,
    offer: ({ space, epoch, events }) => {
      const feed = feeds.get(space);
      if (!feed || (feed.known && feed.epoch !== epoch)) return;
      for (const event of events) {
        if (feed.known && event.offset === feed.head + 1) accept(feed, event);
        else if ((!feed.known || event.offset > feed.head) && feed.early.size < limits.early)
          feed.early.set(event.offset, event);
      }
      if (!feed.known) return;
      settleEarly(feed);
      tell(feed);
    },
    checkHeads: async (parts = 1) => {
      part = (part + 1) % parts;
      if (part === 0) unchecked = [...feeds.values()].filter(({ known }) => known).map(({ space }) => space);
      const spaces = unchecked.splice(0, Math.max(fewHeads, Math.ceil(unchecked.length / (parts - part))));
      for (let at = 0; at < spaces.length; at += headsPerQuery) {
        for (const found of await reads.positions(spaces.slice(at, at + headsPerQuery))) {
          const feed = feeds.get(found.space);
          if (!feed) continue;
          if (feed.epoch !== found.epoch) replace(feed, found);
          else if (found.head > feed.head) await reread(feed);
        }
      }
    },
  };
};
