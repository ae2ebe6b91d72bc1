import type { ServerResponse } from 'node:http';
import { AppError, toAppError } from '@skein/contracts';
import type { RequestHandler } from 'express';
import { type Closing, closeCodes, closing, closingFor } from '../live/close.ts';
import { Connection } from '../live/connection.ts';
import type { LiveDeps } from '../live/deps.ts';
import { type Batch, controlFrame, type Frame } from '../live/frame.ts';
import type { Guest } from '../live/people.ts';
import { expiryOf } from '../live/sign-in.ts';
import { Held, type Sink, type StreamPosition } from '../live/sink.ts';
import type { Swept } from '../live/sweeper.ts';
import { encodeCursor, type Position } from './cursor.ts';
import { acknowledge, openStreams, readAsk, type StreamAsk, streamQueries } from './open.ts';

const lineBreak = /\r\n|\r|\n/;

/** One frame as a server-sent event (WHATWG HTML, 9.2): `id:` only when the frame moves a position. */
export const sseEvent = (payload: Buffer, id?: string): string => {
  const json = payload.toString('utf8');
  // JSON that somebody else wrote may have line breaks between its tokens; to a parser they are spaces.
  const data = lineBreak.test(json) ? json.split(lineBreak).join('\ndata: ') : json;
  return `${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`;
};

/**
 * One `GET /v1/stream`: the frames of a WebSocket, one way. Closing is a frame `{type: "close", code,
 * retryAfterMs?}` and the end of the body.
 */
class SseStream implements Guest, Sink, Swept {
  readonly fences = false;
  readonly connection: Connection;
  private readonly deps: LiveDeps;
  private readonly response: ServerResponse;
  private readonly held = new Held();
  private waiters: (() => void)[] = [];
  private open = true;
  private beatAt: number;
  private movedAt = 0;
  private written = 0;

  constructor(deps: LiveDeps, response: ServerResponse, ask: StreamAsk) {
    this.deps = deps;
    this.response = response;
    this.connection = new Connection(deps.connection, ask.principal, ask.device, this);
    this.connection.fixed = ask.fixed;
    this.connection.onFault = (fault) => this.close(closingFor(fault));
    this.beatAt = deps.clock.now() + deps.tuning.heartbeatMs;
    response.on('drain', () => this.drained());
    response.on('close', () => this.gone());
  }

  get principal() {
    return this.connection.principal;
  }

  get queued(): number {
    return this.response.writableLength;
  }

  get deviceId(): string {
    return this.connection.device.id;
  }

  /** Sends the head of the answer, `welcome` and then everything else. */
  async run(ask: StreamAsk): Promise<void> {
    this.deps.people.add(this);
    try {
      const streams = await openStreams(this.connection, ask);
      acknowledge(this.deps, this.connection, ask);
      // Fails as a plain answer when the positions do not fit into a cursor.
      encodeCursor(this.connection.streams);
      const reconnect = await this.reconnect();
      if (!this.open) return;
      this.response.writeHead(200, {
        'Content-Type': 'text/event-stream; charset=utf-8',
        'Cache-Control': 'no-store, no-transform',
        'X-Accel-Buffering': 'no',
      });
      this.control(this.welcome(streams, reconnect));
      this.deps.sweeper.add(this);
      this.connection.begin();
    } catch (error) {
      this.gone();
      throw error;
    }
  }

  control(frame: Frame): void {
    this.write(sseEvent(frame.payload, this.cursor()));
  }

  batch(batch: Batch, stream: StreamPosition): void {
    for (const frame of batch.frames) {
      if (frame.kind === 'event') {
        const { space, epoch } = stream;
        const at = { space, epoch, position: frame.offset, lastId: frame.id, settled: true };
        this.write(sseEvent(frame.payload, this.cursor(at)));
      } else if (this.response.writableNeedDrain) this.held.add(frame, stream);
      else this.write(sseEvent(frame.payload));
    }
  }

  ready(): Promise<void> | undefined {
    // Nothing would say `drain` for what is below the response's own mark.
    const full = this.response.writableNeedDrain && this.response.writableLength > this.deps.tuning.lowBytes;
    if (!this.open || !full) return undefined;
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  close({ code, retryAfterMs }: Closing): void {
    if (!this.open) return;
    this.write(
      sseEvent(controlFrame({ type: 'close', code, ...(retryAfterMs ? { retryAfterMs } : {}) }).payload),
    );
    this.gone();
    this.response.end();
    // A reader that does not read would hold the socket for as long as it likes.
    setTimeout(() => this.response.destroy(), this.deps.tuning.stallMs).unref();
  }

  sweep(nowMs: number): void {
    if (nowMs > this.principal.expiresAtMs + this.deps.tuning.graceMs) {
      this.close(closing(closeCodes.signInAgain));
      return;
    }
    const waiting = this.response.writableLength;
    if (waiting === 0 || waiting !== this.written || this.movedAt === 0) {
      this.written = waiting;
      this.movedAt = nowMs;
    } else if (nowMs - this.movedAt > this.deps.tuning.stallMs) {
      this.gone();
      this.response.destroy();
      return;
    }
    if (nowMs < this.beatAt) return;
    this.beatAt = nowMs + this.deps.tuning.heartbeatMs;
    if (waiting === 0) this.write(':\n\n');
  }

  /**
   * The positions of all streams, that of one as it is behind a frame of a batch. Without an id, when they have
   * become too many for one, a client comes back to the id before: it gets some frames again, and misses none.
   */
  private cursor(at?: Position): string | undefined {
    const streams = this.connection.streams.map((one) => (one.space === at?.space ? at : one));
    try {
      return encodeCursor(streams);
    } catch {
      return undefined;
    }
  }

  private welcome(streams: readonly unknown[], ticket: string | undefined): Frame {
    const { tuning, clock } = this.deps;
    return controlFrame({
      type: 'welcome',
      connection: this.connection.id,
      user: this.connection.userId,
      device: this.deviceId,
      streams,
      authExpiresAt: expiryOf(this.principal),
      pingMs: tuning.heartbeatMs,
      maxFrame: tuning.maxFrame,
      maxInflight: 0,
      answerMs: tuning.callTimeoutMs,
      serverTime: clock.now(),
      ...(ticket === undefined ? {} : { reconnect: { ticket } }),
    });
  }

  /** A ticket for the next request of an EventSource, which cannot send a header. */
  private async reconnect(): Promise<string | undefined> {
    try {
      return (await this.deps.clients.auth.createTicket({}, this.connection.call())).ticket;
    } catch (error) {
      // Without it the stream works all the same; who has a header does not need it.
      this.deps.log.debug({ err: error }, 'no ticket for reconnecting');
      return undefined;
    }
  }

  private write(text: string): void {
    if (!this.open || this.response.destroyed) return;
    if (this.response.writableLength > this.deps.tuning.budgetBytes) {
      // Too slow: the next request resumes from the last id.
      this.gone();
      this.response.destroy();
      return;
    }
    this.response.write(text);
  }

  private drained(): void {
    for (const frame of this.held.take()) this.write(sseEvent(frame.payload));
    this.release();
  }

  private release(): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const resolve of waiters) resolve();
  }

  private gone(): void {
    if (!this.open) return;
    this.open = false;
    this.release();
    this.deps.sweeper.remove(this);
    this.deps.people.remove(this);
    this.connection.end();
  }
}

/** The handler of `GET /v1/stream`. */
export const sseHandler =
  (deps: LiveDeps): RequestHandler =>
  (request, response, next) => {
    const work = async () => {
      const ask = await readAsk(deps, request, streamQueries.stream);
      deps.limits.unauthenticated.settle(request.socket);
      if (response.destroyed) throw new AppError('cancelled');
      await new SseStream(deps, response, ask).run(ask);
    };
    work().catch((error: unknown) => next(toAppError(error)));
  };
