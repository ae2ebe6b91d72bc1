import type { ServerResponse } from 'node:http';
import { type AppError, toAppError } from '@skein/contracts';
import type { RequestHandler } from 'express';
import type { Closing } from '../live/close.ts';
import { pointsOf } from '../live/code-points.ts';
import { Connection, type WelcomeStream } from '../live/connection.ts';
import type { LiveDeps } from '../live/deps.ts';
import type { StreamRequest } from '../live/follower.ts';
import { type Batch, checkKey, controlFrame, type Frame, type Token } from '../live/frame.ts';
import type { Guest } from '../live/people.ts';
import { expiryOf } from '../live/sign-in.ts';
import { Held, type Sink, type StreamPosition } from '../live/sink.ts';
import { encodeCursor, type Position } from './cursor.ts';
import { acknowledge, openStreams, readAsk, type StreamAsk, streamQueries } from './open.ts';

/** Bytes of frames in one answer; a snapshot always comes whole. */
const maxAnswerBytes = 1_000_000;
/** Frames that come together are answered together. */
const gatherMs = 20;
/** Tokens alone are not worth an answer each. */
const gatherTokensMs = 250;
const settleMs = 10;
/** Between two polls the device counts as connected. */
const lingerMs = 15_000;

/** Answers whose progress at a device is remembered. */
const maxSeen = 10_000;

/** How far each device has got in running answers: the text so far, which every poll begins with, is news only past that. */
class SeenTokens {
  private readonly points = new Map<string, number>();

  isNews(device: string, { turnId, from, text }: Token): boolean {
    return from + pointsOf(text) > (this.points.get(`${device}\0${turnId}`) ?? 0);
  }

  sent(device: string, { turnId, from, text }: Token): void {
    const key = `${device}\0${turnId}`;
    this.points.delete(key);
    this.points.set(key, from + pointsOf(text));
    if (this.points.size <= maxSeen) return;
    const [oldest] = this.points.keys();
    if (oldest !== undefined) this.points.delete(oldest);
  }
}

/** When each device was last told a state hash: every poll is a replay, and once in a while is enough. */
class Checked {
  private readonly at = new Map<string, number>();
  private readonly everyMs: number;

  constructor(everyMs: number) {
    this.everyMs = everyMs;
  }

  isDue(device: string, nowMs: number): boolean {
    const before = this.at.get(device);
    return before === undefined || nowMs - before >= this.everyMs;
  }

  told(device: string, nowMs: number): void {
    this.at.delete(device);
    this.at.set(device, nowMs);
    if (this.at.size <= maxSeen) return;
    const [oldest] = this.at.keys();
    if (oldest !== undefined) this.at.delete(oldest);
  }
}

const placeOf = ({ space, epoch, position, lastId, settled }: Position): Position => ({
  ...{ space, epoch, position, lastId, settled },
});

const positionOf = ({ space, epoch = '', offset, lastId = '' }: StreamRequest): Position => ({
  ...{ space, epoch, position: offset ?? 0, lastId },
  settled: epoch !== '' && offset !== undefined,
});

/**
 * One `GET /v1/poll`: collects frames until there are some, then answers once with them and the cursor behind
 * them. What does not fit is read again with that cursor.
 */
class Poll implements Guest, Sink {
  readonly fences = false;
  readonly connection: Connection;
  private readonly seen: SeenTokens;
  /** Person and device. */
  private readonly device: string;
  private readonly done: Promise<void>;
  private readonly finish: () => void;
  /** Resolves when the poll is answered. */
  private readonly over: Promise<void>;
  /** Lets go of replays that wait for room. */
  readonly release: () => void;
  private readonly frames: Frame[] = [];
  private readonly held = new Held();
  private bytes = 0;
  private timer: NodeJS.Timeout | undefined;
  private ended = false;
  private failure: AppError | undefined;
  private begun = false;
  /** Where this poll began: what it answers when it gives nothing. */
  private from: readonly Position[] = [];
  /** Whether the answer has a `check` in it. */
  checked = false;

  constructor(deps: LiveDeps, ask: StreamAsk, seen: SeenTokens) {
    this.seen = seen;
    this.device = `${ask.principal.userId}\0${ask.device.id}`;
    this.connection = new Connection(deps.connection, ask.principal, ask.device, this);
    this.connection.fixed = ask.fixed;
    this.connection.onFault = (fault) => {
      this.failure = fault;
      this.finish();
    };
    const done = Promise.withResolvers<void>();
    this.done = done.promise;
    this.finish = done.resolve;
    const over = Promise.withResolvers<void>();
    this.over = over.promise;
    this.release = over.resolve;
  }

  get principal() {
    return this.connection.principal;
  }

  get deviceId(): string {
    return this.connection.device.id;
  }

  control(frame: Frame): void {
    this.take(frame);
    if (this.begun) this.within(gatherMs);
  }

  batch(batch: Batch, stream: StreamPosition): void {
    let events = false;
    let tokens = false;
    for (const frame of batch.frames) {
      if (frame.kind === 'event') {
        this.take(frame);
        events = true;
      } else {
        this.held.add(frame, stream);
        tokens ||= frame.token !== undefined && this.seen.isNews(this.device, frame.token);
      }
    }
    if (events) this.within(this.bytes >= maxAnswerBytes ? 0 : gatherMs);
    else if (tokens) this.within(gatherTokensMs);
  }

  ready(what: 'replay' | 'snapshot'): Promise<void> | undefined {
    // A full answer goes out; what is left of the replay is read by the next poll.
    return what === 'replay' && this.bytes >= maxAnswerBytes ? this.over : undefined;
  }

  close(_why: Closing): void {
    this.finish();
  }

  /** Notes the positions that stand before everything in this poll; to be called before `begin`. */
  startsFrom(asked: readonly StreamRequest[] | undefined): void {
    const { streams } = this.connection;
    this.from = asked?.map(positionOf) ?? streams.map(placeOf);
  }

  /** Ends empty, where it began: a newer poll of the device has come, and what is in this one may not arrive. */
  replaced(): void {
    this.ended = true;
    this.finish();
  }

  /** Answers within a time, once there is something. */
  within(ms: number): void {
    this.timer ??= setTimeout(() => this.finish(), ms);
  }

  /** Waits for frames, at most so long. */
  async wait(ms: number, response: ServerResponse): Promise<void> {
    this.begun = true;
    const late = setTimeout(() => this.finish(), ms);
    response.once('close', this.finish);
    try {
      await this.done;
      // A snapshot that has begun comes whole, or the next poll would begin it again, for ever.
      while (this.unsettled && !response.destroyed)
        await new Promise((resolve) => setTimeout(resolve, settleMs));
    } finally {
      response.off('close', this.finish);
      clearTimeout(late);
      clearTimeout(this.timer);
    }
  }

  answer(): string {
    if (this.failure) throw this.failure;
    if (this.ended) return `{"cursor":${JSON.stringify(encodeCursor(this.from))},"frames":[]}`;
    const loose = this.held.take();
    for (const { token } of loose) if (token) this.seen.sent(this.device, token);
    this.checked = loose.some(({ key }) => key === checkKey);
    const list = [...this.frames, ...loose].map(({ payload }) => payload.toString('utf8')).join(',');
    return `{"cursor":${JSON.stringify(encodeCursor(this.connection.streams))},"frames":[${list}]}`;
  }

  private get unsettled(): boolean {
    return !this.failure && !this.ended && this.connection.streams.some((one) => !one.settled);
  }

  private take(frame: Frame): void {
    this.frames.push(frame);
    this.bytes += frame.payload.length;
  }
}

const welcome = (deps: LiveDeps, poll: Poll, streams: readonly WelcomeStream[]): Frame =>
  controlFrame({
    type: 'welcome',
    connection: poll.connection.id,
    user: poll.connection.userId,
    device: poll.deviceId,
    streams,
    authExpiresAt: expiryOf(poll.principal),
    pingMs: deps.tuning.pingMs,
    maxFrame: deps.tuning.maxFrame,
    maxInflight: 0,
    answerMs: deps.tuning.callTimeoutMs,
    serverTime: deps.clock.now(),
  });

/** The handler of `GET /v1/poll`. */
export const pollHandler = (deps: LiveDeps): RequestHandler => {
  const newest = new Map<string, Poll>();
  const seen = new SeenTokens();
  const checked = new Checked(deps.tuning.checkMs);

  const run = async (ask: StreamAsk, response: ServerResponse): Promise<string> => {
    const poll = new Poll(deps, ask, seen);
    const key = `${ask.principal.userId}\0${ask.device.id}`;
    poll.connection.checks = checked.isDue(key, deps.clock.now());
    newest.get(key)?.replaced();
    newest.set(key, poll);
    try {
      deps.people.add(poll);
      const streams = await openStreams(poll.connection, ask);
      poll.startsFrom(ask.streams);
      acknowledge(deps, poll.connection, ask);
      const lost = streams.filter((one) => !('error' in one) && !one.recovered);
      if (!ask.resumed) poll.control(welcome(deps, poll, streams));
      else for (const one of lost) poll.control(controlFrame({ type: 'subscribed', ...one }));
      for (const one of streams) {
        if (ask.resumed && 'error' in one) {
          poll.control(controlFrame({ type: 'unsubscribed', space: one.space, reason: one.error }));
        }
      }
      poll.connection.begin();
      await poll.wait(ask.resumed ? ask.waitMs : 0, response);
      const answer = poll.answer();
      if (poll.checked) checked.told(key, deps.clock.now());
      return answer;
    } finally {
      if (newest.get(key) === poll) newest.delete(key);
      deps.people.remove(poll);
      poll.connection.end(lingerMs);
      poll.release();
    }
  };

  return (request, response, next) => {
    const work = async () => {
      const ask = await readAsk(deps, request, streamQueries.poll);
      deps.limits.unauthenticated.settle(request.socket);
      const body = await run(ask, response);
      if (response.destroyed) return;
      response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
      response.end(body);
    };
    work().catch((error: unknown) => next(toAppError(error)));
  };
};
