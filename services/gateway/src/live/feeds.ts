import type { syncV1 } from '@skein/contracts';
import type { Actor } from '@skein/rpc';
import { type FeedPort, SpaceFeed } from './feed.ts';
import type { RingBudget, RingLimits } from './ring.ts';

/** What all feeds of a gateway may use. */
export interface FeedsLimits {
  readonly ring: RingLimits;
  /** Bytes of all rings together. */
  readonly bytes: number;
  /** How long a feed nobody follows stays, so that a cut line finds it again. */
  readonly lingerMs: number;
  /** Feeds that nobody follows, at most. */
  readonly lingering: number;
}

interface Held {
  readonly feed: SpaceFeed;
  users: number;
  timer: NodeJS.Timeout | undefined;
}

type Send = (request: NonNullable<syncV1.LiveRequest['frame']>) => void;

/** What upstream says about a space. */
export type SpaceFrame = Exclude<NonNullable<syncV1.LiveResponse['frame']>, { $case: 'replaced' | 'bundle' }>;

const followOf = (feed: SpaceFeed, after: number): NonNullable<syncV1.LiveRequest['frame']> => ({
  $case: 'follow',
  value: { space: feed.space, epoch: feed.epoch, after },
});

/** The feeds of all spaces that somebody here follows, one a space, and a while longer. */
export class Feeds {
  private readonly held = new Map<string, Held>();
  private readonly idle = new Set<string>();
  private readonly budget: RingBudget;
  private readonly limits: FeedsLimits;
  private readonly port: FeedPort;
  private readonly send: Send;

  constructor(limits: FeedsLimits, port: Omit<FeedPort, 'follow'>, send: Send) {
    this.limits = limits;
    this.budget = { used: 0, max: limits.bytes };
    this.send = send;
    this.port = { ...port, follow: (feed, after) => send(followOf(feed, after)) };
  }

  /**
   * The feed of a space, opened when there is none, with a position when one is known. `reader` is
   * somebody who may read it, for whom running turns are loaded. Every `acquire` needs one `release`.
   */
  acquire(
    space: string,
    reader?: Actor,
    position?: { readonly epoch: string; readonly head: number },
  ): SpaceFeed {
    let one = this.held.get(space);
    if (one?.feed.gone) {
      this.drop(space);
      one = undefined;
    }
    if (!one) {
      const feed = new SpaceFeed(space, reader, this.port, this.limits.ring, this.budget);
      if (position) feed.startAt(position.epoch, position.head);
      one = { feed, users: 0, timer: undefined };
      this.held.set(space, one);
      this.port.follow(feed, feed.head);
    }
    clearTimeout(one.timer);
    this.idle.delete(space);
    one.users += 1;
    if (reader) one.feed.reader = reader;
    return one.feed;
  }

  /** Gives a feed back. The last one leaves it open for a while. */
  release(feed: SpaceFeed): void {
    const one = this.held.get(feed.space);
    if (!one || one.feed !== feed) return;
    one.users -= 1;
    if (one.users > 0) return;
    this.idle.add(feed.space);
    one.timer = setTimeout(() => this.drop(feed.space), this.limits.lingerMs);
    one.timer.unref();
    if (this.idle.size <= this.limits.lingering) return;
    const oldest = this.idle.values().next();
    if (!oldest.done) this.drop(oldest.value);
  }

  /** The feed of a space when there is one. */
  get(space: string): SpaceFeed | undefined {
    return this.held.get(space)?.feed;
  }

  /** Spaces with a feed, and bytes that their rings hold. */
  get size(): { readonly feeds: number; readonly bytes: number } {
    return { feeds: this.held.size, bytes: this.budget.used };
  }

  /** What a new upstream has to be told. */
  *follows(): Iterable<NonNullable<syncV1.LiveRequest['frame']>> {
    for (const { feed } of this.held.values()) yield followOf(feed, feed.head);
  }

  /** Gives a frame from upstream to its feed. */
  dispatch(frame: SpaceFrame): void {
    const feed = this.held.get(frame.value.space)?.feed;
    if (!feed) return;
    switch (frame.$case) {
      case 'events':
        feed.onEvents(frame.value);
        break;
      case 'tokens':
        feed.onTokens(frame.value);
        break;
      case 'following':
        feed.onFollowing(frame.value);
        break;
      case 'presence':
        feed.onPresence(frame.value);
        break;
      case 'ephemeral':
        feed.onEphemeral(frame.value);
        break;
      case 'lost':
        feed.onLost(frame.value);
        break;
    }
  }

  /** Frees every feed. */
  close(): void {
    for (const space of [...this.held.keys()]) this.drop(space);
  }

  private drop(space: string): void {
    const one = this.held.get(space);
    if (!one) return;
    clearTimeout(one.timer);
    this.held.delete(space);
    this.idle.delete(space);
    one.feed.close();
    this.send({ $case: 'unfollow', value: { space } });
  }
}
