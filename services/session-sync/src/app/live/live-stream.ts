import { AppError } from '@skein/contracts';
import type { LoggedEvent } from '../../domain/event.ts';
import { isId, personalSpaceId } from '../personal-space.ts';
import type { DeviceInfo, RunningTurn, SpacePosition, SpaceReads } from '../ports.ts';
import type { Feed } from './feeds.ts';
import type { Listener, LiveHub, LivePeers } from './live-hub.ts';
import { passingQueue, type Tokens } from './passing-queue.ts';
import type { DeviceSocket, PresentDevice } from './presence.ts';

/** What a gateway asks on its stream. */
export type LiveCommand =
  | { readonly kind: 'reads'; readonly bundles: boolean }
  | { readonly kind: 'follow'; readonly space: string; readonly epoch: string; readonly after: number }
  | { readonly kind: 'unfollow'; readonly space: string }
  | {
      readonly kind: 'attach';
      readonly userId: string;
      readonly device: DeviceInfo;
      readonly spaces: readonly string[];
      readonly connection: string;
      readonly opened: boolean;
    }
  | { readonly kind: 'detach'; readonly userId: string; readonly deviceId: string }
  | {
      readonly kind: 'typing';
      readonly space: string;
      readonly conversationId: string;
      readonly userId: string;
      readonly deviceId: string;
    };

/** Events of one space, in order. */
export interface EventsFrame {
  readonly kind: 'events';
  readonly space: string;
  readonly epoch: string;
  readonly events: readonly LoggedEvent[];
}

/** What goes back. */
export type LiveFrame =
  | {
      readonly kind: 'following';
      readonly space: string;
      readonly epoch: string;
      readonly after: number;
      readonly head: number;
      readonly turns: readonly RunningTurn[];
    }
  | EventsFrame
  | { readonly kind: 'bundle'; readonly spaces: readonly EventsFrame[] }
  | { readonly kind: 'tokens'; readonly tokens: Tokens }
  | { readonly kind: 'presence'; readonly space: string; readonly devices: readonly PresentDevice[] }
  | { readonly kind: 'ephemeral'; readonly space: string; readonly json: string }
  | ({ readonly kind: 'replaced' } & DeviceSocket)
  | { readonly kind: 'lost'; readonly space: string; readonly epoch: string; readonly head: number };

/** What a live stream is made of. */
export interface LiveStreamOptions {
  readonly hub: LiveHub;
  readonly peers: LivePeers;
  readonly reads: Pick<SpaceReads, 'events'>;
  /** Turns of a space that have no end yet. */
  readonly runningTurns: (space: string) => Promise<readonly RunningTurn[]>;
  readonly signal: AbortSignal;
  /** Told when a device is gone, so that its last sight is kept. */
  readonly departed: (userId: string, deviceId: string) => void;
}

/** Events in one frame, and their size: well below the 4 MB of a gRPC message. */
const frameEvents = 200;
const frameBytes = 1_000_000;
/** Spaces in one frame, for a gateway that reads such: so many, and none after so much text. */
const bundled = { spaces: 100, characters: 100_000 };
/** Spaces one gateway may follow on one stream. */
const maxFollowed = 100_000;
/** Follows being answered at once; more wait unread in the stream. */
const maxFollowing = 1_000;

interface Followed {
  readonly feed: Feed;
  position: number;
}

/**
 * One gateway's stream. Nothing is queued for events: the stream pulls them from its position, out of memory or out
 * of the log when it is late, so a slow reader costs nothing and never misses one. Only what is ephemeral waits, and
 * that is bounded. Ends when the signal aborts or the gateway has sent its last command.
 */
export const liveStream = (
  commands: AsyncIterable<LiveCommand>,
  options: LiveStreamOptions,
): AsyncGenerator<LiveFrame, void> => {
  const { hub, peers, reads, signal } = options;
  const followed = new Map<string, Followed>();
  const starts: LiveFrame[] = [];
  const moved = new Set<string>();
  const passing = passingQueue();
  // Follows of one space in the order they came: only the newest may start.
  const newest = new Map<string, object>();
  let following = 0;
  let bundles = false;
  let failure: unknown;
  let ended = false;
  let wake = () => {};
  let room = () => {};

  const listener: Listener = {
    moved: (space) => {
      moved.add(space);
      wake();
    },
    lost: (space, position) => lose(space, position),
    pass: (one) => {
      try {
        passing.put(one);
      } catch (error) {
        failure ??= error;
      }
      wake();
    },
    replaced: (socket) => {
      starts.push({ kind: 'replaced', ...socket });
      wake();
    },
  };

  const unfollow = (space: string) => {
    newest.delete(space);
    followed.delete(space);
    moved.delete(space);
    passing.forget(space);
    hub.leave(space, listener);
    hub.feeds.unwatch(space, listener);
  };

  const lose = (space: string, { epoch, head }: SpacePosition) => {
    unfollow(space);
    starts.push({ kind: 'lost', space, epoch, head });
    wake();
  };

  const follow = async ({ space, epoch, after }: Extract<LiveCommand, { kind: 'follow' }>) => {
    const nothing = { space, epoch: '', head: 0 };
    if (!isId(space)) return lose(space, nothing);
    if (newest.size >= maxFollowed && !newest.has(space))
      throw new AppError('overloaded', 'Too many spaces on one stream');
    const mine = {};
    newest.set(space, mine);
    const feed = await hub.feeds.watch(space, listener);
    if (newest.get(space) !== mine) {
      // Unfollowed meanwhile: the watch just made is nobody's. A newer follow keeps it.
      if (!newest.has(space)) hub.feeds.unwatch(space, listener);
      return;
    }
    if (!feed) return lose(space, nothing);
    if (after >= 0 && ((epoch !== '' && epoch !== feed.epoch) || after > feed.head)) return lose(space, feed);
    hub.join(space, listener);
    // The position first, then the turns: one that ends in between has its end after the position.
    const { head } = feed;
    const position = after < 0 ? head : after;
    const turns = await options.runningTurns(space);
    if (newest.get(space) !== mine || feed.epoch === '') return;
    followed.set(space, { feed, position });
    starts.push({ kind: 'following', space, epoch: feed.epoch, after: position, head, turns });
    passing.put({ kind: 'presence', space });
    listener.moved(space);
  };

  const handle = async (command: LiveCommand): Promise<void> => {
    switch (command.kind) {
      case 'reads':
        bundles = command.bundles;
        return;
      case 'follow':
        following += 1;
        try {
          await follow(command);
        } finally {
          following -= 1;
          room();
        }
        return;
      case 'unfollow':
        return unfollow(command.space);
      case 'attach': {
        const { userId, device, connection, opened } = command;
        hub.presence.attach(listener, userId, device, command.spaces.filter(isId), { connection, opened });
        if (opened) peers.opened(personalSpaceId(userId), { userId, deviceId: device.id, connection });
        return;
      }
      case 'detach':
        if (hub.presence.detach(listener, command.userId, command.deviceId))
          options.departed(command.userId, command.deviceId);
        return;
      case 'typing': {
        const { space, conversationId, userId, deviceId } = command;
        const json = JSON.stringify({
          type: 'typing',
          space,
          conversationId,
          user: userId,
          device: deviceId,
        });
        const key = `typing ${userId} ${deviceId} ${conversationId}`;
        hub.pass({ kind: 'ephemeral', space, key, json });
        peers.ephemeral(space, key, json);
        return;
      }
    }
  };

  const fail = (error: unknown) => {
    failure ??= error;
    wake();
  };

  const listen = async () => {
    for await (const command of commands) {
      if (ended) return;
      handle(command).catch(fail);
      while (following >= maxFollowing && !ended)
        await new Promise<void>((resolve) => {
          room = resolve;
        });
    }
  };

  /** The next events of a space that moved, from memory or from the log. */
  const eventsOf = async (space: string): Promise<EventsFrame | undefined> => {
    const one = followed.get(space);
    if (!one) return undefined;
    const { feed, position } = one;
    const recent = feed.since(position, frameEvents) ?? (await reads.events(space, position, frameEvents));
    // Followed anew or left while the log was being read.
    if (followed.get(space) !== one || recent.length === 0) return undefined;
    let bytes = 0;
    let count = 0;
    for (const event of recent) {
      if (count > 0 && bytes + event.json.length > frameBytes) break;
      bytes += event.json.length;
      count += 1;
    }
    const events = recent.slice(0, count);
    if (events[0]?.offset !== position + 1) throw new Error(`bug: a gap after ${position} in ${space}`);
    one.position = position + count;
    if (one.position < feed.head) moved.add(space);
    return { kind: 'events', space, epoch: feed.epoch, events };
  };

  /** Events that are here do not wait for those of another space that have to be read. */
  const needsLog = (space: string): boolean => {
    const one = followed.get(space);
    return one !== undefined && one.feed.since(one.position, 1) === undefined;
  };

  /** The next events of spaces that moved: of one, or of as many as fit a frame. */
  const movedEvents = async (): Promise<LiveFrame | undefined> => {
    const spaces: EventsFrame[] = [];
    let characters = 0;
    // A start that came while the log was read goes before what follows it.
    for (const space of moved) {
      if (spaces.length > 0 && needsLog(space)) break;
      moved.delete(space);
      const frame = await eventsOf(space);
      if (frame) spaces.push(frame);
      for (const { json } of frame?.events ?? []) characters += json.length;
      if (!bundles || starts.length > 0) break;
      if (spaces.length >= bundled.spaces || characters > bundled.characters) break;
    }
    return spaces.length > 1 ? { kind: 'bundle', spaces } : spaces[0];
  };

  async function* frames(): AsyncGenerator<LiveFrame, void> {
    const onAbort = () => wake();
    signal.addEventListener('abort', onAbort, { once: true });
    listen().then(() => {
      ended = true;
      wake();
    }, fail);
    try {
      while (!signal.aborted) {
        if (failure !== undefined) throw failure;
        const start = starts.shift();
        if (start) {
          yield start;
          continue;
        }
        if (moved.size > 0) {
          const frame = await movedEvents();
          if (frame) yield frame;
          continue;
        }
        const one = passing.take();
        if (one) {
          if (one.kind === 'tokens') yield one;
          else if (one.kind === 'presence')
            yield { kind: 'presence', space: one.space, devices: hub.presence.of(one.space) };
          else yield { kind: 'ephemeral', space: one.space, json: one.json };
          continue;
        }
        if (ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = () => {};
      }
    } finally {
      ended = true;
      room();
      signal.removeEventListener('abort', onAbort);
      for (const space of [...newest.keys()]) unfollow(space);
      hub.presence.streamEnded(listener);
    }
  }
  return frames();
};
