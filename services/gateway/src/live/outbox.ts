import type { Socket } from 'node:net';
import type { Batch, EphemeralFrame, Frame } from './frame.ts';
import { Held, type Sink, type StreamPosition } from './sink.ts';

/** What one socket may cost. */
export interface OutboxLimits {
  /** Bytes that may wait to be sent; more: the reader is too slow. */
  readonly budgetBytes: number;
  /** Replays go on below this many waiting bytes. */
  readonly lowBytes: number;
  /** How long waiting bytes may stand still. */
  readonly stallMs: number;
}

// One for all: an answer needs no closure of its own.
const flush = (outbox: Outbox): void => outbox.flush();

/**
 * The way out of one WebSocket: frames that are encoded already go straight to the TCP socket (`ws` writes
 * its own frames there at once, so the order of calls is the order on the wire). A slow reader is first spared
 * the ephemeral frames, then, past the budget, told to go and resume. Memory per socket is bounded by the
 * budget and one frame.
 */
export class Outbox implements Sink {
  private readonly socket: Socket;
  private readonly limits: OutboxLimits;
  private readonly tooSlow: () => void;
  private held: Held | undefined;
  private waiters: (() => void)[] | undefined;
  private listening = false;
  private pending: Buffer[] | undefined;
  private closed = false;
  private sent = 0;
  private movedAt = 0;

  constructor(socket: Socket, limits: OutboxLimits, tooSlow: () => void) {
    this.socket = socket;
    this.limits = limits;
    this.tooSlow = tooSlow;
  }

  /** Bytes that wait to be sent. */
  get queued(): number {
    return this.socket.writableLength;
  }

  control(frame: Frame): void {
    this.write(frame.wire);
  }

  /**
   * A frame that may wait until the end of this turn: an answer mostly comes with the event that it is about, and a
   * write to a socket costs more than all else that is done for either.
   */
  soon(frame: Frame): void {
    if (this.pending) this.pending.push(frame.wire);
    else {
      this.pending = [frame.wire];
      setImmediate(flush, this);
    }
  }

  /** Writes what waits for the end of the turn. */
  flush(): void {
    const { pending } = this;
    this.pending = undefined;
    if (pending) this.write(Buffer.concat(pending));
  }

  batch(batch: Batch, stream: StreamPosition): void {
    if (!this.socket.writableNeedDrain) {
      this.write(batch.wire);
      return;
    }
    for (const frame of batch.frames) {
      if (frame.kind === 'event') this.write(frame.wire);
      else this.spare(frame, stream);
    }
  }

  ready(): Promise<void> | undefined {
    // Nothing would say `drain` for what is below the socket's own mark.
    const full = this.socket.writableNeedDrain && this.socket.writableLength > this.limits.lowBytes;
    if (this.closed || !full) return undefined;
    return new Promise((resolve) => {
      this.waiters ??= [];
      this.waiters.push(resolve);
      this.listen();
    });
  }

  /** Whether waiting bytes stood still for too long at `now`. To be asked every second or so. */
  stalled(now: number): boolean {
    const sent = this.socket.bytesWritten - this.socket.writableLength;
    if (this.socket.writableLength === 0 || sent !== this.sent || this.movedAt === 0) {
      this.sent = sent;
      this.movedAt = now;
      return false;
    }
    return now - this.movedAt > this.limits.stallMs;
  }

  /** Takes no more frames; who waits for room goes on and finds the connection ended. */
  close(): void {
    this.flush();
    this.closed = true;
    this.release();
  }

  private write(wire: Buffer): void {
    if (this.closed || this.socket.destroyed) return;
    if (this.socket.writableLength > this.limits.budgetBytes) {
      this.closed = true;
      this.tooSlow();
      return;
    }
    const { pending } = this;
    this.pending = undefined;
    this.socket.write(pending ? Buffer.concat([...pending, wire]) : wire);
  }

  private spare(frame: EphemeralFrame, stream: StreamPosition): void {
    if (this.closed) return;
    this.held ??= new Held();
    this.held.add(frame, stream);
    this.listen();
  }

  private listen(): void {
    if (this.listening) return;
    this.listening = true;
    this.socket.once('drain', () => {
      this.listening = false;
      this.release();
      for (const frame of this.held?.take() ?? []) this.write(frame.wire);
    });
  }

  private release(): void {
    const waiters = this.waiters ?? [];
    this.waiters = undefined;
    for (const resolve of waiters) resolve();
  }
}
