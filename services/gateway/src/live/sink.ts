import type { Batch, EphemeralFrame, Frame } from './frame.ts';

/** Where in a space a connection is; asked by sinks that have to name positions or catch up with a turn. */
export interface StreamPosition {
  readonly space: string;
  readonly epoch: string;
  /** Everything up to here was given to the sink. */
  readonly position: number;
  /** Id of the event at `position`; empty when it is not known. */
  readonly lastId: string;
  /** False while a snapshot is on its way: then there is no position to come back to. */
  readonly settled: boolean;
  /** It is followed no more: nothing of it may be sent, whatever was held back. */
  readonly over: boolean;
  /** A running turn's text from a code point on; undefined when it has ended. */
  tokenSince(turnId: string, from: number): EphemeralFrame | undefined;
}

/** Where the frames of one connection go. Calls keep their order. */
export interface Sink {
  /** A frame of this connection alone. */
  control(frame: Frame): void;
  /** Frames of a space, the position of which has been moved past the batch. */
  batch(batch: Batch, stream: StreamPosition): void;
  /**
   * Undefined while there is room for more of a replay or a snapshot; otherwise resolves when there is again, or
   * when the connection ended.
   */
  ready(what: 'replay' | 'snapshot'): Promise<void> | undefined;
}

/** Frames held back from a slow reader. */
const maxHeld = 256;

interface HeldFrame {
  readonly frame: EphemeralFrame;
  readonly stream: StreamPosition;
}

/**
 * Ephemeral frames that a slow reader has not got: the newest of each key. A turn's tokens come out as one,
 * from the first that was held.
 */
export class Held {
  private readonly frames = new Map<string, HeldFrame>();

  get empty(): boolean {
    return this.frames.size === 0;
  }

  /** Keeps a frame; past the bound the oldest is dropped. */
  add(frame: EphemeralFrame, stream: StreamPosition): void {
    const key = `${stream.space}\0${frame.key}`;
    const known = this.frames.get(key);
    if (frame.token && known?.frame.token && known.frame.token.from <= frame.token.from) return;
    this.frames.delete(key);
    this.frames.set(key, { frame, stream });
    if (this.frames.size <= maxHeld) return;
    const oldest = this.frames.keys().next();
    if (!oldest.done) this.frames.delete(oldest.value);
  }

  /** Takes everything out, caught up to now, but for what belongs to spaces that were left meanwhile. */
  take(): EphemeralFrame[] {
    const out: EphemeralFrame[] = [];
    for (const { frame, stream } of this.frames.values()) {
      if (stream.over) continue;
      const { token } = frame;
      const now = token ? stream.tokenSince(token.turnId, token.from) : frame;
      if (now) out.push(now);
    }
    this.frames.clear();
    return out;
  }
}
