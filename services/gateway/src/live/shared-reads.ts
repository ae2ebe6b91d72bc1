import { AppError, type syncV1 } from '@skein/contracts';
import type { CallContext, RpcClient } from '@skein/rpc';
import type { WaitingRoom } from './waiting-room.ts';

/** Events of a space from the log, as a person may read them. The call belongs to nobody alone: it has no signal. */
export type ReadEvents = (
  userId: string,
  request: syncV1.ReadEventsRequest,
  call: CallContext,
) => Promise<syncV1.ReadEventsResponse>;

interface UnderWay {
  readonly read: Promise<syncV1.ReadEventsResponse>;
  readonly deadlineMs: number;
}

/** It did not come to an end, or to its turn, in the time that it had. */
const isOutOfTime = (error: unknown): boolean =>
  error instanceof AppError && (error.code === 'deadline_exceeded' || error.code === 'overloaded');

/**
 * Reads of the log in which those join who want the same at the same time: the devices of a person, which lost their
 * lines together, need one read. It has the time of who came first; whoever has more reads again when that is over.
 */
export const sharedReads = (
  sync: Pick<RpcClient<syncV1.SyncServiceService>, 'readEvents'>,
  room: WaitingRoom,
): ReadEvents => {
  const underWay = new Map<string, UnderWay>();
  return async (userId, request, call) => {
    const { space, epoch, after, limit } = request;
    const key = JSON.stringify([userId, space, epoch, after, limit]);
    for (let joined = underWay.get(key); joined; joined = underWay.get(key)) {
      try {
        return await joined.read;
      } catch (error) {
        if (!isOutOfTime(error) || call.deadlineMs <= joined.deadlineMs) throw error;
      }
    }
    const read = room(call, () => sync.readEvents(request, call)).finally(() => underWay.delete(key));
    underWay.set(key, { read, deadlineMs: call.deadlineMs });
    return read;
  };
};
