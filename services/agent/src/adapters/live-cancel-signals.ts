import type { LiveBus } from '@skein/events';
import type { CancelSignals } from '../app/ports.ts';

const subject = 'skein.agent.cancel';

/** Cancels over the live bus and within this process; a lost one is found in the store a moment later. */
export const liveCancelSignals = (live: LiveBus): CancelSignals => {
  const listeners = new Set<(turnId: string) => void>();
  const tell = (turnId: string) => {
    for (const heard of listeners) heard(turnId);
  };
  return {
    send: (turnId) => {
      tell(turnId);
      live.publish(subject, Buffer.from(turnId));
    },
    listen: (heard) => {
      listeners.add(heard);
      const unsubscribe = live.subscribe(subject, (payload) => heard(Buffer.from(payload).toString()));
      return () => {
        listeners.delete(heard);
        unsubscribe();
      };
    },
  };
};
