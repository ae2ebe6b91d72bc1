import { createHash } from 'node:crypto';
import { type Database, idempotent, type Queryable } from '@skein/postgres';
import type { Repositories, Store } from '../app/ports.ts';
import { postgresAccounts, postgresPlaces } from './postgres-accounts.ts';
import { postgresKeys, postgresKeysIn } from './postgres-keys.ts';
import { postgresOutbox } from './postgres-outbox.ts';
import { postgresRefreshTokens, postgresSessions } from './postgres-sessions.ts';
import { postgresApiTokens, postgresRevocations, postgresTickets } from './postgres-tokens.ts';

/** Everything the service stores. `changed` is told after each transaction that wrote facts. */
export const postgresStore = (
  database: Database,
  { newId, changed }: { newId: () => string; changed: () => void },
): Store => {
  const repositories = (db: Queryable): Repositories => ({
    accounts: postgresAccounts(db),
    sessions: postgresSessions(db),
    refreshTokens: postgresRefreshTokens(db),
    places: postgresPlaces(db),
    tickets: postgresTickets(db),
    apiTokens: postgresApiTokens(db),
    revocations: postgresRevocations(db),
    keys: { ...postgresKeys(database), ...postgresKeysIn(db) },
    outbox: postgresOutbox(db, newId),
    once: ({ userId, method, key, body }, work) => {
      if (key === undefined) return work();
      const bodyHash = createHash('sha256').update(JSON.stringify(body)).digest('hex');
      return idempotent(db, { scope: userId, method, key, bodyHash }, work);
    },
  });
  return {
    ...repositories(database),
    transaction: async (work, signal) => {
      const result = await database.transaction((tx) => work(repositories(tx)), { signal });
      changed();
      return result;
    },
  };
};
