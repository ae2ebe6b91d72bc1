import { AppError, type syncV1, toAppError } from '@skein/contracts';
import type { CallContext, RpcClient } from '@skein/rpc';
import { fullJitter, pause } from './backoff.ts';
import type { SpaceFeed, Subscriber } from './feed.ts';
import {
  type Batch,
  batchOf,
  chunksOf,
  type EphemeralFrame,
  type EventFrame,
  rawFrame,
  type Token,
} from './frame.ts';
import type { Sink, StreamPosition } from './sink.ts';

/** Where a client says it is: nothing but the space asks for a snapshot. */
export interface StreamRequest {
  readonly space: string;
  readonly epoch?: string | undefined;
  readonly offset?: number | undefined;
  readonly lastId?: string | undefined;
}

/** What the person's session says about a space, read after the feed was opened. */
export interface SpaceAccess {
  readonly epoch: string;
  readonly head: number;
  readonly lastSeq: number;
}

/** How a follower will reach the head. */
export interface Plan {
  readonly recovered: boolean;
  /** The head when the plan was made. */
  readonly head: number;
  readonly page?: syncV1.ReadEventsResponse | undefined;
}

/** What a follower needs of its connection. */
export interface FollowerHost {
  readonly userId: string;
  readonly sink: Sink;
  /** Whether the client can do something with `check`. */
  readonly checks: boolean;
  readonly sync: RpcClient<syncV1.SyncServiceService>;
  readonly random: () => number;
  /** Aborts when the connection ends. */
  readonly signal: AbortSignal;
  call(timeoutMs: number): CallContext;
  readEvents(request: syncV1.ReadEventsRequest): Promise<syncV1.ReadEventsResponse>;
  /** The person is no longer a member, or following failed for good. */
  ended(follower: Follower, error: AppError): void;
  /** The epoch changed after the beginning; a snapshot follows once the client knows how far this log has the device. */
  restarted(follower: Follower): Promise<void>;
}

/** The most that session-sync gives at once. */
const pageSize = 1_000;
/** A snapshot of a large space is read part by part at the reader's pace. */
const snapshotTimeoutMs = 300_000;
const maxAttempts = 5;
const readyTimeoutMs = 10_000;
/** Session-sync looks for another log at least this often, and then tells the feed. */
const headCheckMs = 2_000;
/** How long feed and log may be of different logs. */
const disagreeMs = 10_000;

/**
 * One connection in one space: finds out whether its position can be continued, replays from memory or from
 * the log, or sends a snapshot, and joins the feed in the same tick in which it has caught up: no gap, no
 * duplicate. Never partial: a position that cannot be continued gets a snapshot.
 */
export class Follower implements Subscriber, StreamPosition {
  readonly space: string;
  readonly feed: SpaceFeed;
  epoch = '';
  /** Of the log whose state the client has: one that it was told to drop, until it was sent the other. */
  heldEpoch = '';
  position = 0;
  lastId = '';
  lastSeq = 0;
  settled = true;
  checks = false;
  private readonly host: FollowerHost;
  private stopped = false;
  private moved = false;
  /** The person was a member when the log was here: a removal after it holds. */
  private grantedAt = -1;

  constructor(host: FollowerHost, feed: SpaceFeed) {
    this.host = host;
    this.space = feed.space;
    this.feed = feed;
  }

  get userId(): string {
    return this.host.userId;
  }

  /**
   * Decides, before anything is sent, whether the position can be continued. Without a request: live from the
   * head. Rejects with `forbidden` when the person was removed, `unavailable` when there is no feed in time.
   */
  async plan(request: StreamRequest | undefined, access: SpaceAccess): Promise<Plan> {
    await this.feedReady();
    // Of another epoch it says nothing about the removals seen in this one.
    this.grantedAt = access.epoch === this.feed.epoch ? access.head : -1;
    this.mayRead();
    this.lastSeq = access.lastSeq;
    this.epoch = this.feed.epoch;
    this.heldEpoch = request?.epoch ?? this.epoch;
    const head = access.epoch === this.epoch ? Math.max(this.feed.head, access.head) : this.feed.head;
    if (!request) {
      this.position = head;
      this.lastId = this.feed.idAt(head) ?? '';
      return { recovered: true, head };
    }
    this.checks = this.host.checks;
    const { epoch, offset, lastId } = request;
    const known = epoch === this.epoch && offset !== undefined && offset <= head;
    const plan = known ? await this.check(offset, lastId, head) : { recovered: false, head };
    // Until the snapshot is there, no position is one to come back to.
    this.settled = plan.recovered;
    return plan;
  }

  /** Carries a plan out; ends when the follower is live. Failures go to the host. */
  start(plan: Plan): void {
    this.run(plan).catch((error: unknown) => {
      if (!this.stopped) this.host.ended(this, toAppError(error));
    });
  }

  deliver(batch: Batch): void {
    try {
      this.take(batch);
    } catch (error) {
      // One connection's trouble with an event is not that of everybody who follows the space.
      this.stop();
      this.host.ended(this, toAppError(error));
    }
  }

  removed(): void {
    this.stop();
    this.host.ended(this, new AppError('forbidden'));
  }

  lost(): void {
    if (this.stopped) return;
    this.checks = this.host.checks;
    this.start({ recovered: false, head: this.feed.head });
  }

  get over(): boolean {
    return this.stopped;
  }

  tokenSince(turnId: string, from: number): EphemeralFrame | undefined {
    return this.feed.tokenSince(turnId, from);
  }

  /** Follows no more. */
  stop(): void {
    this.stopped = true;
    this.feed.leave(this);
  }

  private async feedReady(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new AppError('unavailable', 'the live feed is away')), readyTimeoutMs);
    });
    try {
      await Promise.race([this.feed.ready, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** AppError `forbidden` when the person was removed after the last proof of membership. */
  private mayRead(): void {
    if ((this.feed.removedAt(this.userId) ?? -1) > this.grantedAt) throw new AppError('forbidden');
  }

  private async check(offset: number, lastId: string | undefined, head: number): Promise<Plan> {
    this.position = offset;
    this.lastId = lastId ?? '';
    const checksId = lastId !== undefined && lastId !== '' && offset > 0;
    const known = checksId ? this.feed.idAt(offset) : lastId;
    if (checksId && known !== undefined && known !== lastId) return { recovered: false, head };
    const inMemory = offset >= this.feed.head || this.feed.after(offset, 1) !== undefined;
    if (inMemory && (!checksId || known !== undefined)) return { recovered: true, head };
    // One page tells whether the position is still served, and which event is there.
    const back = checksId && known === undefined ? 1 : 0;
    const page = await this.read(offset - back);
    if (!page || page.floor > offset + 1 - back) return { recovered: false, head };
    const frames = this.feed.epoch === page.epoch ? this.feed.adopt(page.events) : [];
    if (back === 1 && frames[0]?.id !== lastId) return { recovered: false, head };
    return { recovered: true, head, page };
  }

  private async read(after: number): Promise<syncV1.ReadEventsResponse | undefined> {
    try {
      return await this.host.readEvents({ space: this.space, epoch: this.epoch, after, limit: pageSize });
    } catch (error) {
      if (error instanceof AppError && error.code === 'position_lost') return undefined;
      throw error;
    }
  }

  /** The page behind one that is about to be sent, unless that is in memory or has not been written yet. */
  private readAhead(after: number | undefined) {
    if (after === undefined || after >= this.feed.head || this.feed.after(after, 1)) return undefined;
    const page = this.read(after);
    // Whoever needs it hears of a failure.
    page.catch(() => {});
    return { after, page };
  }

  private async run(plan: Plan): Promise<void> {
    const { page } = plan;
    let snapshot = !plan.recovered;
    for (let round = 0; round < maxAttempts; round += 1) {
      // In another log than the one it was made for, a position says nothing.
      snapshot ||= this.epoch !== this.feed.epoch;
      if (snapshot) await this.snapshot();
      if (await this.replay(snapshot ? undefined : page)) return;
      // The position went away in the middle: the epoch changed or the floor rose.
      snapshot = true;
      await pause(fullJitter(round, 100, 2_000, this.host.random), this.host.signal);
    }
    throw new AppError('unavailable', 'the position was lost again and again');
  }

  /** Sends what is between the position and the head, then joins. False when the position is lost. */
  private async replay(first: syncV1.ReadEventsResponse | undefined): Promise<boolean> {
    let page = first;
    let ahead: ReturnType<Follower['readAhead']>;
    let idle = 0;
    while (!this.stopped) {
      if (this.epoch !== this.feed.epoch) return false;
      this.mayRead();
      const memory = page ? undefined : this.feed.after(this.position, pageSize);
      if (memory && memory.length > 0) await this.replayed(memory);
      else if (this.position >= this.feed.head) {
        this.feed.join(this);
        if (this.moved && this.checks) this.feed.check(this);
        return true;
      } else {
        page ??= await (ahead?.after === this.position ? ahead.page : this.read(this.position));
        // The epoch may have changed while the page was read.
        if (!page || page.epoch !== this.feed.epoch || page.floor > this.position + 1) return false;
        const frames = this.feed.adopt(page.events);
        ahead = this.readAhead(frames.at(-1)?.offset);
        const moved = await this.replayed(frames);
        idle = moved ? 0 : idle + 1;
        if (idle > 3) throw new AppError('unavailable', 'the log is behind the live feed');
        page = undefined;
      }
    }
    return true;
  }

  /** Sends events at the reader's pace. True when there was one that is news. */
  private async replayed(frames: readonly EventFrame[]): Promise<boolean> {
    const { sink } = this.host;
    const { epoch } = this.feed;
    let moved = false;
    for (const chunk of chunksOf(frames.filter(({ offset }) => offset > this.position))) {
      // Looked at in the tick that writes: of many that wake together only some have room.
      for (let room = sink.ready('replay'); room && !this.stopped; room = sink.ready('replay')) await room;
      // While there was no room the log may have become another one, and the person a stranger.
      if (this.stopped || this.feed.epoch !== epoch) return moved;
      this.mayRead();
      moved = true;
      this.moved = true;
      this.take(batchOf(this.space, chunk));
    }
    return moved;
  }

  /**
   * Sends a whole snapshot; one that breaks off begins again at part 1. The client is told that the log is another one
   * before it gets anything of it.
   */
  private async snapshot(): Promise<void> {
    this.settled = false;
    let untilMs: number | undefined;
    while (!this.stopped) {
      if (this.epoch !== this.feed.epoch) {
        this.epoch = this.feed.epoch;
        untilMs = undefined;
        await this.again(() => this.host.restarted(this));
      }
      if (await this.again(() => this.snapshotOnce())) return;
      untilMs ??= performance.now() + disagreeMs;
      if (performance.now() >= untilMs)
        throw new AppError('unavailable', 'the snapshot is of another log than the live feed');
      // Whichever of them is behind hears of it soon.
      if (this.epoch === this.feed.epoch)
        await Promise.race([this.feed.replaced, pause(headCheckMs, this.host.signal)]);
    }
  }

  /** Does something until it works, a few times; undefined when nobody wants it any more. */
  private async again<T>(work: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 1; !this.stopped; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        const fault = toAppError(error);
        if (this.stopped) return undefined;
        if (attempt >= maxAttempts || !fault.row.retryable) throw fault;
      }
      await pause(fullJitter(attempt, 100, 2_000, this.host.random), this.host.signal);
    }
    return undefined;
  }

  /** False when it is not of the log that the client and the feed have. */
  private async snapshotOnce(): Promise<boolean> {
    const { sink } = this.host;
    const { head: headBefore } = this.feed;
    const parts = this.host.sync.readSnapshot(
      { space: this.space, at: '' },
      this.host.call(snapshotTimeoutMs),
    );
    let proven = false;
    for await (const part of parts) {
      for (let room = sink.ready('snapshot'); room && !this.stopped; room = sink.ready('snapshot'))
        await room;
      if (this.stopped) return true;
      if (!proven && (part.epoch !== this.epoch || this.feed.epoch !== this.epoch)) return false;
      // session-sync gives it to members only, whatever was in the log before we asked.
      if (!proven) this.grantedAt = headBefore;
      proven = true;
      this.mayRead();
      const head = JSON.stringify({
        type: 'snapshot',
        space: this.space,
        epoch: part.epoch,
        offset: part.offset,
        part: part.part,
        parts: part.parts,
      });
      const last = part.part === part.parts;
      if (last) {
        this.position = part.offset;
        this.lastId = '';
        this.settled = true;
      }
      sink.control(rawFrame(`${head.slice(0, -1)},${part.json.slice(1)}`));
      if (last) {
        this.heldEpoch = part.epoch;
        return true;
      }
    }
    throw new AppError('unavailable', 'the snapshot broke off');
  }

  private take(batch: Batch): void {
    if (this.stopped) return;
    if (batch.last <= this.position && (batch.first > 0 || this.isAhead)) {
      const rest = batch.frames.filter((frame) => frame.kind === 'ephemeral' && !this.isOver(frame.token));
      if (rest.length > 0) this.host.sink.batch(batchOf(this.space, rest), this);
      return;
    }
    if (batch.first > 0) {
      if (batch.first <= this.position) {
        this.take(this.newer(batch));
        return;
      }
      this.position = batch.last;
      this.lastId = batch.lastId;
    }
    this.host.sink.batch(batch, this);
  }

  /** A snapshot may be ahead of the feed. */
  private get isAhead(): boolean {
    return this.position > this.feed.head;
  }

  /** An answer that has its end at our position, or may have: the end will not come again. */
  private isOver(token: Token | undefined): boolean {
    return token !== undefined && (this.isAhead || this.feed.hasEnded(token.turnId));
  }

  private newer(batch: Batch): Batch {
    return batchOf(
      this.space,
      batch.frames.filter((frame) =>
        frame.kind === 'event' ? frame.offset > this.position : !this.isOver(frame.token),
      ),
    );
  }
}
