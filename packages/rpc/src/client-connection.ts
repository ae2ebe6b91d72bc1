import { type ChannelInterface, connectivityState } from '@grpc/grpc-js';

/**
 * What the client knows of its channel, so that calls wait for a service which restarts (a second or two) but not for
 * one that is gone: while there is a connection, or has been one within `waitMs`, calls wait for readiness; after
 * that they fail at once until one is back.
 */
export interface ClientConnection {
  readonly ready: boolean;
  /** Whether a call may wait for a connection now. */
  readonly waits: boolean;
  /** Calls that wait: each is told once when waiting is over. Who gets its answer takes itself out. */
  readonly waiting: Set<() => void>;
  /** Connects without waiting for it. */
  connect(): void;
  close(): void;
}

/** Watches a channel until it is closed. */
export const clientConnection = (channel: ChannelInterface, waitMs: number): ClientConnection => {
  const waiting = new Set<() => void>();
  let state = channel.getConnectivityState(false);
  let waits = true;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const giveUp = () => {
    waits = false;
    for (const stop of [...waiting]) stop();
    waiting.clear();
  };
  const watch = () => {
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => {
      if (error || closed) return;
      state = channel.getConnectivityState(false);
      // An idle channel has no connection because nobody needed one: that is not a fault.
      if (state === connectivityState.READY || state === connectivityState.IDLE) {
        clearTimeout(timer);
        timer = undefined;
        waits = true;
      } else if (waits) {
        timer ??= setTimeout(giveUp, waitMs).unref();
      }
      if (state !== connectivityState.SHUTDOWN) watch();
    });
  };
  watch();
  return {
    get ready() {
      return state === connectivityState.READY;
    },
    get waits() {
      return waits;
    },
    waiting,
    connect: () => {
      channel.getConnectivityState(true);
    },
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
};
