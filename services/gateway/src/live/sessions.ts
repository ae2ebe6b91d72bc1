import type { syncV1 } from '@skein/contracts';
import { bulkhead } from '@skein/resilience';
import type { CallContext, RpcClient } from '@skein/rpc';
import type { DeviceName } from './actor.ts';

/** The spaces of the person a call is made for, with how far the device has got. */
export type OpenSession = (device: DeviceName, call: CallContext) => Promise<readonly syncV1.Space[]>;

/** Sessions that are opened at the same time: session-sync reads so many with a few queries. */
const atOnce = 256;
/**
 * Sockets that may wait for their session. More than a session-sync on one core opens within the deadline of a call
 * (about 2,000 a second, measured): whoever comes after these would wait in vain.
 */
const mostWaiting = 20_000;
/** Of the time a call has, the part that may be spent waiting: the rest is for the call. */
const waitShare = 0.7;

/**
 * Opens sessions in the order in which the sockets came. When thousands come back at once they wait here, as long as
 * their time allows, and not in the client of session-sync, where they would crowd out what open sockets write. AppError
 * `overloaded` when the time was too short; a socket that goes leaves the queue.
 */
export const sessions = (
  sync: Pick<RpcClient<syncV1.SyncServiceService>, 'openSession'>,
  limits: { readonly atOnce: number; readonly mostWaiting: number } = { atOnce, mostWaiting },
): OpenSession => {
  const places = bulkhead({
    name: 'openSession',
    concurrency: limits.atOnce,
    queue: limits.mostWaiting,
  });
  return async (device, call) => {
    await places.enter(call.signal, (call.deadlineMs - Date.now()) * waitShare);
    try {
      return (await sync.openSession({ device: { ...device } }, call)).spaces;
    } finally {
      places.leave();
    }
  };
};
