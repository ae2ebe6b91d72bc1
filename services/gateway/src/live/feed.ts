import { AppError, type syncV1 } from '@skein/contracts';
import type { Actor } from '@skein/rpc';
import { FanOut, type Receiver } from './fan-out.ts';
import {
  type Batch,
  batchOf,
  checkKey,
  type EphemeralFrame,
  type EventFrame,
  ephemeralFrame,
  eventFrame,
  eventPrefix,
  tokenFrame,
} from './frame.ts';
import { Ring, type RingBudget, type RingLimits } from './ring.ts';
import { TurnText } from './turn-text.ts';

/** Somebody who follows a space live. Called synchronously; never throws. */
export interface Subscriber extends Receiver {
  readonly userId: string;
  /** Has a state that began with a position or a snapshot, and wants to know whether it is the right one. */
  readonly checks?: boolean;
  /** The person is no longer a member; already out of the feed. */
  removed(): void;
  /** The epoch changed, every position is void; already out of the feed. */
  lost(): void;
  /** The upstream was interrupted and goes on: events have no gap, tokens may. */
  resumed?(): void;
}

/** What a feed asks of the world around it. */
export interface FeedPort {
  /** Asks for this space's events from a position of the feed's epoch on. */
  follow(feed: SpaceFeed, after: number): void;
  /** The text so far of a running turn; undefined when it is not known or has ended. */
  loadTurn(turnId: string, actor: Actor): Promise<string | undefined>;
  /** Reads the hash of the space's state when it may, and gives it to `onStateHash`. */
  check(feed: SpaceFeed): void;
  /** A person may have become a member of a space. */
  invited(userId: string, space: string): void;
  /** Runs a task after what is readable now has been read. */
  defer(task: () => void): void;
  /** A batch has been given to so many followers. */
  handed(batch: Batch, receivers: number): void;
}

/** Turns that a feed keeps the text of; more at once in one space are served without late joining. */
const maxTurns = 256;
/** Ended turns remembered to ignore tokens that come late, and removals to refuse a join that raced them. */
const maxRemembered = 512;

const turnEnds = new Set(['message.completed', 'turn.cancelled', 'turn.failed']);

const remember = <V>(map: Map<string, V>, key: string, value: V): void => {
  map.delete(key);
  map.set(key, value);
  if (map.size <= maxRemembered) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
};

interface EventData {
  readonly turnId?: string;
  readonly messageId?: string;
  readonly conversationId?: string;
  readonly userId?: string;
}

const dataOf = (json: string): EventData =>
  (JSON.parse(json) as { readonly data?: EventData }).data ?? ({} as EventData);

/**
 * One space as this gateway sees it: the position up to which it has every event, the newest of them encoded,
 * the running turns' texts, who is present. Frames are collected during a tick and then given to all who
 * follow as one batch. Followers join at the head, with everything before it in hand.
 */
export class SpaceFeed {
  readonly space: string;
  epoch = '';
  /** The last offset that came in; -1 until the position is known. */
  head = -1;
  /** A person who may read the space; what is loaded is loaded for this person. */
  reader: Actor | undefined;
  readonly ready: Promise<void>;
  /** There is no such space (any more): the feed will never say anything. */
  gone = false;
  private readonly setReady: () => void;
  private readonly fail: (error: AppError) => void;
  private replacement: PromiseWithResolvers<void> | undefined;
  private started = false;
  private prefix = '';
  private readonly port: FeedPort;
  private readonly ring: Ring;
  private readonly live: FanOut<Subscriber>;
  private readonly turns = new Map<string, TurnText>();
  private readonly ended = new Map<string, true>();
  private readonly removals = new Map<string, number>();
  private presence: EphemeralFrame | undefined;
  /** Of the newest event about a document: a hash read there or later is that of every position since. */
  private documentsAt = -1;
  private hash: { readonly offset: number; readonly stateHash: string } | undefined;

  constructor(
    space: string,
    reader: Actor | undefined,
    port: FeedPort,
    limits: RingLimits,
    budget: RingBudget,
  ) {
    this.space = space;
    this.reader = reader;
    this.port = port;
    this.ring = new Ring(limits, budget);
    this.live = new FanOut(space, (task) => port.defer(task), port.handed);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Whoever waits hears of a failure; nobody has to.
    promise.catch(() => {});
    this.ready = promise;
    this.setReady = resolve;
    this.fail = reject;
  }

  /** How many follow live. */
  get size(): number {
    return this.live.size;
  }

  /** Resolves when the log becomes another one than now. */
  get replaced(): Promise<void> {
    this.replacement ??= Promise.withResolvers();
    return this.replacement.promise;
  }

  /** Takes a position that is known from elsewhere, before the first answer from upstream. */
  startAt(epoch: string, head: number): void {
    if (this.head >= 0 || epoch === '') return;
    this.move(epoch, head);
  }

  /** Upstream goes on from our position, or gives the first one. */
  onFollowing(frame: syncV1.LiveResponse_Following): void {
    if (this.head < 0) this.move(frame.epoch, frame.after);
    else if (frame.epoch !== this.epoch) {
      this.onLost(frame);
      return;
    } else if (frame.after > this.head) {
      this.port.follow(this, this.head);
      return;
    }
    for (const turn of frame.turns) this.openTurn(turn, false);
    if (this.started) for (const subscriber of [...this.live]) subscriber.resumed?.();
    this.started = true;
    this.setReady();
  }

  /**
   * Our position is not in the log any more: everybody starts over from a snapshot. In the same epoch it is only
   * the replica that is behind, and what we have already is skipped. No epoch: there is no such space.
   */
  onLost({ epoch, head }: { readonly epoch: string; readonly head: number }): void {
    if (epoch === this.epoch && this.head >= 0) {
      this.port.follow(this, Math.min(head, this.head));
      return;
    }
    const everybody = this.live.dismissAll();
    if (epoch === '') {
      this.gone = true;
      this.fail(new AppError('not_found', 'There is no such space'));
      for (const subscriber of everybody) subscriber.removed();
      return;
    }
    this.move(epoch, head);
    this.replacement?.resolve();
    this.replacement = undefined;
    this.ring.clear();
    this.turns.clear();
    // Their offsets are of the other log; who reads this one asks session-sync first.
    this.removals.clear();
    this.port.follow(this, this.head);
    for (const subscriber of everybody) subscriber.lost();
  }

  /** Committed events in order. Known ones are skipped; a hole asks again from our position. */
  onEvents({ epoch, events }: syncV1.LiveResponse_Events): void {
    for (const event of events) {
      if (event.offset <= this.head && epoch === this.epoch) continue;
      if (epoch !== this.epoch || event.offset !== this.head + 1) {
        this.port.follow(this, this.head);
        return;
      }
      const frame = eventFrame(this.prefix, event);
      this.head = event.offset;
      this.ring.push(frame);
      // Before the event is queued: who is removed by it gets everything before it and nothing after.
      this.effects(event);
      this.live.put(frame);
      if (this.hash?.offset === event.offset) this.tellHash();
    }
  }

  /** The hash of the state at a position, which may still be on its way to us or be gone by. */
  onStateHash({ epoch, offset, stateHash }: syncV1.StateHash): void {
    if (epoch !== this.epoch || offset < this.documentsAt) return;
    this.hash = { offset, stateHash };
    if (offset <= this.head) this.tellHash();
  }

  /** Tells a follower who has caught up what the hash of its state should be, now or when it was read. */
  check(subscriber: Subscriber): void {
    const frame = this.checkFrame();
    if (frame) subscriber.deliver(batchOf(this.space, [frame]));
    else this.port.check(this);
  }

  /** Whether anybody here wants to know the state's hash. */
  get isChecked(): boolean {
    for (const one of this.live) if (one.checks) return true;
    return false;
  }

  /**
   * A piece of a running answer. Of a turn whose beginning nobody has told it may be a late one, from before our
   * position, and no end would ever follow; if its beginning is still to come, so is its text.
   */
  onTokens(token: syncV1.LiveResponse_Tokens): void {
    const turn = this.turns.get(token.turnId);
    if (!turn) return;
    if (!turn.add(token)) this.load(turn);
    this.live.put(tokenFrame(this.space, token));
  }

  /** Everybody who is connected to the space. */
  onPresence({ devices }: syncV1.LiveResponse_Presence): void {
    const shown = devices.map(({ userId, device, sinceMs }) => ({
      user: userId,
      device: { id: device?.id ?? '', platform: device?.platform ?? '', name: device?.name ?? '' },
      since: sinceMs,
    }));
    const json = JSON.stringify({ type: 'presence', space: this.space, devices: shown });
    this.presence = ephemeralFrame('presence', json);
    this.live.put(this.presence);
  }

  /** A typing or status frame, passed on as it is. */
  onEphemeral({ json }: syncV1.LiveResponse_Ephemeral): void {
    const frame = JSON.parse(json) as Readonly<Record<string, unknown>>;
    const key = ['type', 'kind', 'id', 'conversationId', 'user', 'device']
      .map((name) => String(frame[name] ?? ''))
      .join(':');
    // session-sync tells a person's own space when a team space was opened to the person.
    if (frame['type'] === 'membership') {
      this.port.invited(String(frame['user'] ?? ''), String(frame['space'] ?? ''));
      return;
    }
    this.live.put(ephemeralFrame(key, json));
  }

  /**
   * Follows live from `head` on, which the caller has to be at. Comes with who is present and the text so far
   * of every running turn.
   */
  join(subscriber: Subscriber): void {
    this.live.join(subscriber);
    const now: EphemeralFrame[] = this.presence ? [this.presence] : [];
    for (const turn of this.turns.values()) {
      const token = turn.since(0);
      if (token) now.push(tokenFrame(this.space, token));
      else this.load(turn);
    }
    if (now.length > 0) subscriber.deliver(batchOf(this.space, now));
  }

  /** Stops following; harmless when it does not. */
  leave(subscriber: Subscriber): void {
    this.live.leave(subscriber);
  }

  /** Events after an offset from memory; undefined when they are not all here. */
  after(offset: number, limit: number): readonly EventFrame[] | undefined {
    return this.ring.after(offset, limit);
  }

  /** Id of the event at an offset, when it is in memory. */
  idAt(offset: number): string | undefined {
    return this.ring.idAt(offset);
  }

  /** Events read from the log as frames, kept for the next one who asks when they fit right before the rest. */
  adopt(events: readonly syncV1.LoggedEvent[]): readonly EventFrame[] {
    const frames = events.map((event) => eventFrame(this.prefix, event));
    this.ring.prepend(frames, this.head);
    return frames;
  }

  /** The offset at which a person was removed, when that is the last that was seen of the membership. */
  removedAt(userId: string): number | undefined {
    return this.removals.get(userId);
  }

  /** A running turn's text from a code point on as a frame; undefined when the turn ended or its text is not here. */
  tokenSince(turnId: string, from: number): EphemeralFrame | undefined {
    const token = this.turns.get(turnId)?.since(from);
    return token ? tokenFrame(this.space, token) : undefined;
  }

  /** Whether the turn is known to have ended. */
  hasEnded(turnId: string): boolean {
    return this.ended.has(turnId);
  }

  /** Frees what it holds. */
  close(): void {
    this.ring.clear();
    this.live.close();
  }

  private move(epoch: string, head: number): void {
    this.epoch = epoch;
    this.head = head;
    this.prefix = eventPrefix(this.space, epoch);
    this.documentsAt = head;
    this.hash = undefined;
  }

  /** For our head; undefined while no hash is known that holds there. */
  private checkFrame(): EphemeralFrame | undefined {
    const { space, epoch, head, hash } = this;
    if (!hash || hash.offset < this.documentsAt || hash.offset > head) return undefined;
    const { stateHash } = hash;
    return ephemeralFrame(checkKey, JSON.stringify({ type: 'check', space, epoch, offset: head, stateHash }));
  }

  private tellHash(): void {
    const frame = this.checkFrame();
    if (frame) this.live.putFor(frame, (one) => one.checks === true);
  }

  private effects({ type, json, offset }: syncV1.LoggedEvent): void {
    if (type === 'turn.started') {
      const { turnId, messageId, conversationId } = dataOf(json);
      if (turnId && !this.turns.has(turnId))
        this.openTurn({ turnId, messageId: messageId ?? '', conversationId: conversationId ?? '' }, true);
    } else if (turnEnds.has(type)) {
      const { turnId } = dataOf(json);
      if (!turnId) return;
      this.turns.delete(turnId);
      remember(this.ended, turnId, true);
    } else if (type === 'member.added' || type === 'member.removed') {
      const { userId } = dataOf(json);
      if (userId === undefined) return;
      if (type === 'member.removed') this.remove(userId, offset);
      else {
        this.removals.delete(userId);
        this.port.invited(userId, this.space);
      }
    } else if (type.startsWith('document.')) {
      this.documentsAt = offset;
      if (this.live.size > 0) this.port.check(this);
    }
  }

  private remove(userId: string, offset: number): void {
    remember(this.removals, userId, offset);
    for (const subscriber of [...this.live]) {
      if (subscriber.userId !== userId) continue;
      this.live.dismiss(subscriber);
      subscriber.removed();
    }
  }

  private openTurn(
    turn: { turnId: string; messageId: string; conversationId: string },
    whole: boolean,
  ): TurnText | undefined {
    const known = this.turns.get(turn.turnId);
    if (known) {
      // After an interruption tokens may be missing although the turn is known.
      if (!whole) this.load(known);
      return known;
    }
    if (this.turns.size >= maxTurns || this.ended.has(turn.turnId)) return undefined;
    const opened = new TurnText(turn, whole);
    this.turns.set(turn.turnId, opened);
    if (!whole) this.load(opened);
    return opened;
  }

  private load(turn: TurnText): void {
    if (turn.loading || !this.reader) return;
    turn.loading = true;
    const done = (text?: string) => {
      turn.loading = false;
      if (text === undefined || this.turns.get(turn.turnId) !== turn || !turn.load(text)) return;
      const token = turn.since(0);
      if (token) this.live.put(tokenFrame(this.space, token));
    };
    // Without the text clients see a gap in `from` and read the turn themselves.
    this.port.loadTurn(turn.turnId, this.reader).then(done, () => done());
  }
}
