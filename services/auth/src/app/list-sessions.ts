import type { Clock } from '@skein/service-kit';
import { maxSessions } from './open-session.ts';
import type { LoginPrincipal, OpenLogin, Store } from './ports.ts';

/** The caller's logins that work, last used first: all of them, as nobody has more than a hundred. */
export const listSessions =
  ({ store, clock }: { store: Store; clock: Clock }) =>
  ({ userId }: LoginPrincipal): Promise<OpenLogin[]> =>
    store.sessions.list(userId, maxSessions, clock.now());
