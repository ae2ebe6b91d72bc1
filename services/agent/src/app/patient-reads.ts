import { toAppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import type { Session } from './ports.ts';

/** Between tries. */
const retryMs = { first: 100, most: 2_000 };
/** Half a minute: a database that is restarted is back by then, and somebody is waiting for an answer. */
const maxTries = 18;

/**
 * The session as a model reads it: what an answer is made from is asked for again while the session or its database is
 * away for a moment, or the answer would fail for good because of it. Writes are passed on as they are.
 */
export const patientReads = (session: Session, delay: (ms: number) => Promise<void>): Session => {
  const patiently = async <T>({ signal }: CallContext, read: () => Promise<T>): Promise<T> => {
    for (let tries = 1, waitMs = retryMs.first; ; tries += 1, waitMs = Math.min(waitMs * 2, retryMs.most)) {
      try {
        return await read();
      } catch (error) {
        if (signal.aborted || tries >= maxTries || !toAppError(error).row.retryable) throw error;
        await delay(waitMs);
      }
    }
  };
  return {
    ...session,
    history: (turn, limit, ctx) => patiently(ctx, () => session.history(turn, limit, ctx)),
    memoryEnabled: (turn, ctx) => patiently(ctx, () => session.memoryEnabled(turn, ctx)),
    search: (turn, query, limit, ctx) => patiently(ctx, () => session.search(turn, query, limit, ctx)),
    notes: (turn, limit, ctx) => patiently(ctx, () => session.notes(turn, limit, ctx)),
  };
};
