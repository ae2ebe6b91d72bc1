import { bulkhead } from '@skein/resilience';
import type { CallContext } from '@skein/rpc';

/** Makes a call when it is its turn. */
export type WaitingRoom = <T>(call: CallContext, work: () => Promise<T>) => Promise<T>;

/** Calls of a room at the same time: session-sync reads for so many with a few queries. */
const atOnce = 256;
/**
 * Calls that may wait. More than a session-sync on one core answers within the deadline of a call (some 2,000 a second,
 * measured): whoever comes after these would wait in vain.
 */
const mostWaiting = 20_000;
/** Of the time a call has, the part that may be spent waiting: the rest is for the call. */
const waitShare = 0.7;

/**
 * Where the sockets wait that come back at the same moment by thousands, in the order in which they came and as long as
 * their time allows. In the client of session-sync, which gives up soon, they would crowd out what open sockets write.
 * AppError `overloaded` when the time was too short; a call whose signal aborts leaves.
 */
export const waitingRoom = (name: string, limits = { atOnce, mostWaiting }): WaitingRoom => {
  const places = bulkhead({ name, concurrency: limits.atOnce, queue: limits.mostWaiting });
  return async (call, work) => {
    await places.enter(call.signal, (call.deadlineMs - Date.now()) * waitShare);
    try {
      return await work();
    } finally {
      places.leave();
    }
  };
};
