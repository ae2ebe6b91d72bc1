import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import type { Store } from './ports.ts';

/** Ids in one question: a gateway asks again for the rest. */
const maxChecked = 500;

/** Which of these logins and API tokens no longer work. One that is not known does not work either. */
export const checkSessions =
  ({ store, clock }: { store: Store; clock: Clock }) =>
  async (
    sessionIds: readonly string[],
    tokenIds: readonly string[],
  ): Promise<{ sessionIds: string[]; tokenIds: string[] }> => {
    if (sessionIds.length + tokenIds.length > maxChecked)
      throw new AppError('invalid_request', `At most ${maxChecked} ids at once`);
    const nowMs = clock.now();
    const sessions = new Set(sessionIds.length === 0 ? [] : await store.sessions.live(sessionIds, nowMs));
    const tokens = tokenIds.length === 0 ? [] : await store.apiTokens.live(tokenIds, nowMs);
    const live = new Set(tokens.map(({ id }) => id));
    return {
      sessionIds: sessionIds.filter((id) => !sessions.has(id)),
      tokenIds: tokenIds.filter((id) => !live.has(id)),
    };
  };
