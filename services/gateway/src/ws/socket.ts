import type { Socket } from 'node:net';
import type { Counter } from '@skein/telemetry';
import { WebSocket } from 'ws';
import { type Closing, closeCodes, closing, reasonOf } from '../live/close.ts';
import { Outbox, type OutboxLimits } from '../live/outbox.ts';

/** Times and sizes of a socket. */
export interface SocketLimits extends OutboxLimits {
  readonly pingMs: number;
  /** How long a socket may wait before its first frame. */
  readonly helloMs: number;
  /** Largest first frame, in bytes. */
  readonly maxFirstFrame: number;
}

/** What the protocol on top does with a socket. */
export interface SocketHandler {
  /** One text frame. */
  frame(bytes: Buffer): void;
  /** The socket is gone or going; called once. */
  closed(): void;
  /** Called about every second while the socket is open. */
  sweep(nowMs: number): void;
}

/** A fault of the peer or of the line; `close` follows and says all there is to say. */
const ignoreError = (): void => {};

/** Frames have a header of at most 14 bytes from a client. */
const headerBytes = 14;

/** `ws` answers a frame above its limit with 1009; our table calls that 4009. */
export class GatewayWebSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    if (code === 1009) super.close(closeCodes.frameTooBig, reasonOf(closing(closeCodes.frameTooBig)));
    else super.close(code, reason);
  }
}

/**
 * One WebSocket with what both protocols need: the outbox, the server's pings, the end of silent, stalled or
 * late ones. Binary frames are a protocol error.
 */
export class LiveSocket {
  readonly ws: WebSocket;
  readonly outbox: Outbox;
  private readonly limits: SocketLimits;
  private readonly closes: Counter;
  private readonly openedAt: number;
  private handler: SocketHandler | undefined;
  private heard = false;
  private lastSeen: number;
  private pingAt: number;
  private open = true;
  private greeted = false;

  constructor(ws: WebSocket, socket: Socket, limits: SocketLimits, now: () => number, closes: Counter) {
    this.closes = closes;
    this.ws = ws;
    this.limits = limits;
    this.openedAt = now();
    this.lastSeen = this.openedAt;
    this.pingAt = this.openedAt + limits.pingMs;
    this.outbox = new Outbox(socket, limits, () => this.close(closing(closeCodes.tooSlow)));
    this.watchFirstFrame(socket);
    ws.on('message', (data, binary) => {
      const first = !this.heard;
      this.lastSeen = now();
      this.heard = true;
      if (!this.open) return;
      if (binary || !Buffer.isBuffer(data)) this.close(closing(closeCodes.protocolError));
      else if (first && data.length > limits.maxFirstFrame) this.close(closing(closeCodes.frameTooBig));
      else this.handler?.frame(data);
    });
    const seen = () => {
      this.lastSeen = now();
    };
    ws.on('pong', seen);
    ws.on('ping', seen);
    ws.on('error', ignoreError);
    ws.on('close', () => this.gone());
  }

  /** Who gets the frames. */
  handle(handler: SocketHandler): void {
    this.handler = handler;
  }

  /** The first frame was good: from now on only silence ends the socket. */
  greet(): void {
    this.greeted = true;
  }

  /** Says goodbye and lets go; later calls do nothing. */
  close(why: Closing): void {
    if (!this.open) return;
    this.closes.add(1, { code: String(why.code) });
    this.gone();
    this.ws.close(why.code, reasonOf(why));
    // Reading again: the peer's answer to the close is behind what it sent before.
    this.ws.resume();
  }

  /** Keeps the times of this socket. */
  sweep(nowMs: number): void {
    if (!this.open) return;
    if (!this.greeted) {
      if (nowMs - this.openedAt >= this.limits.helloMs && !this.heard)
        this.close(closing(closeCodes.tooLate));
      return;
    }
    if (nowMs - this.lastSeen > 2 * this.limits.pingMs + 5_000 || this.outbox.stalled(nowMs)) {
      this.closes.add(1, { code: 'cut' });
      this.gone();
      this.ws.terminate();
      return;
    }
    if (nowMs >= this.pingAt) {
      this.pingAt = nowMs + this.limits.pingMs;
      this.ws.ping();
    }
    this.handler?.sweep(nowMs);
  }

  private gone(): void {
    if (!this.open) return;
    this.open = false;
    this.outbox.close();
    this.handler?.closed();
  }

  /** `ws` has one limit for the life of a socket; before the first frame ours is lower. */
  private watchFirstFrame(socket: Socket): void {
    let bytes = 0;
    const count = (chunk: Buffer) => {
      bytes += chunk.length;
      if (this.heard || !this.open) socket.off('data', count);
      else if (bytes > this.limits.maxFirstFrame + headerBytes) {
        socket.off('data', count);
        this.close(closing(closeCodes.frameTooBig));
      }
    };
    socket.on('data', count);
  }
}
