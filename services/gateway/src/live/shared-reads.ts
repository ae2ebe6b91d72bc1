import type { syncV1 } from '@skein/contracts';
import type { CallContext, RpcClient } from '@skein/rpc';
import type { WaitingRoom } from './waiting-room.ts';

/** Events of a space from the log, as a person may read them. The call belongs to nobody alone: it has no signal. */
export type ReadEvents = (
  userId: string,
  request: syncV1.ReadEventsRequest,
  call: CallContext,
) => Promise<syncV1.ReadEventsResponse>;

/**
 * Reads of the log in which those join who want the same at the same time: the devices of a person, which lost their
 * lines together, need one read.
 */
export const sharedReads = (
  sync: Pick<RpcClient<syncV1.SyncServiceService>, 'readEvents'>,
  room: WaitingRoom,
): ReadEvents => {
  const underWay = new Map<string, Promise<syncV1.ReadEventsResponse>>();
  return (userId, request, call) => {
    const { space, epoch, after, limit } = request;
    const key = JSON.stringify([userId, space, epoch, after, limit]);
    let read = underWay.get(key);
    if (read === undefined) {
      read = room(call, () => sync.readEvents(request, call)).finally(() => underWay.delete(key));
      underWay.set(key, read);
    }
    return read;
  };
};
