import type { Outage } from './history.ts';

/** What carries frames to a device. */
export type Carrier = 'WebSocket' | 'SSE' | 'poll';

/** A frame of the public protocol. */
export type Frame = Record<string, unknown> & { readonly type: string };

/** A request has no answer, because the connection ended or the time did: whether it was done is not known. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** What a receiver is made of. */
export interface ReceiverOptions {
  /** Where the next connection goes to; `http://host:port`. */
  readonly address: () => string;
  readonly device: string;
  readonly token: () => string | Promise<string>;
  /** Every frame, once the position is past it. */
  readonly frame: (frame: Frame) => void;
}

/** The way of one device to its person's own space, made again whenever it breaks. */
export interface Receiver {
  /** Whether frames can come now. */
  readonly live: boolean;
  /** The followed space; empty before the first `welcome`. */
  readonly space: string;
  /** The head at the first `welcome`: every event after it comes. */
  readonly from: number;
  /** How far it is. */
  readonly position: { readonly offset: number } | undefined;
  readonly outages: readonly Outage[];
  /** Why it does not come back: a close code that forbids it. */
  readonly ended: number | undefined;
  /** Resolves once it is live; rejects when the time or the receiver ended. */
  untilLive(timeoutMs: number): Promise<void>;
  close(): void;
}

/** Codes of the protocol after which the same credentials are no use. */
export const finalCodes: ReadonlySet<number> = new Set([4000, 4001, 4003, 4010]);

/** A connection is given up when it is not there by then. */
export const connectTimeoutMs = 10_000;

/** Where the server names no time to wait: full jitter from the first value to the last. */
const backoffMs = { first: 200, most: 5_000 };

/** How long until the next attempt: what the server named, or longer with every failure. */
export const pauseBefore = (window: readonly [number, number] | undefined, failures: number): number => {
  const [least, most] = window ?? [0, Math.min(backoffMs.most, backoffMs.first * 2 ** failures)];
  return least + Math.random() * (most - least);
};

/** Those who wait for a receiver to be live. */
export class Arrivals {
  private readonly waiting = new Set<() => void>();

  /** It is live now, or ended. */
  tell(): void {
    for (const one of this.waiting) one();
  }

  /** As `Receiver.untilLive`. */
  async until(receiver: Pick<Receiver, 'live' | 'ended'>, timeoutMs: number): Promise<void> {
    if (receiver.live) return;
    await new Promise<void>((resolve, reject) => {
      const settled = () => {
        const { live, ended } = receiver;
        clearTimeout(late);
        this.waiting.delete(settled);
        if (live) resolve();
        else reject(new NoAnswer(ended === undefined ? 'no connection in time' : `ended with ${ended}`));
      };
      const late = setTimeout(settled, timeoutMs);
      this.waiting.add(settled);
      if (receiver.ended !== undefined) settled();
    });
  }
}
