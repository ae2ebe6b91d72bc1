import { createHash } from 'node:crypto';
import { type Database, idempotent, type Queryable, type Tx } from '@skein/postgres';
import type { Repositories, Store } from '../app/ports.ts';
import type { RegistrationInput } from '../app/register-user.ts';
import { postgresAccounts, postgresPlaces } from './postgres-accounts.ts';
import { postgresKeys, postgresKeysIn } from './postgres-keys.ts';
import { postgresOutbox } from './postgres-outbox.ts';
import { postgresRefreshTokens, postgresSessions } from './postgres-sessions.ts';
import { postgresApiTokens, postgresRevocations, postgresTickets } from './postgres-tokens.ts';

/** What the store needs of others. */
export interface StoreOptions {
  readonly newId: () => string;
  /** Told after each transaction. */
  readonly changed: () => void;
  /** Told after each that began a saga. */
  readonly registered: () => void;
  /** Begins the saga of a registration if the transaction commits. */
  readonly register: (
    tx: Tx,
    input: RegistrationInput,
    options: { readonly subject: string; readonly correlationId: string },
  ) => Promise<unknown>;
}

/** Everything the service stores. */
export const postgresStore = (
  database: Database,
  { newId, changed, registered, register }: StoreOptions,
): Store => {
  const repositories = (db: Queryable, began = () => {}): Repositories => ({
    accounts: postgresAccounts(db),
    sessions: postgresSessions(db),
    refreshTokens: postgresRefreshTokens(db),
    places: postgresPlaces(db),
    tickets: postgresTickets(db),
    apiTokens: postgresApiTokens(db),
    revocations: postgresRevocations(db),
    keys: { ...postgresKeys(database), ...postgresKeysIn(db) },
    outbox: postgresOutbox(db, newId),
    registrations: {
      begin: async (user, registeredAtMs, { correlationId }) => {
        await register(db, { user, registeredAtMs }, { subject: user, correlationId });
        began();
      },
    },
    once: ({ userId, method, key, body }, work) => {
      if (key === undefined) return work();
      const bodyHash = createHash('sha256').update(JSON.stringify(body)).digest('hex');
      return idempotent(db, { scope: userId, method, key, bodyHash }, work);
    },
  });
  return {
    ...repositories(database),
    transaction: async (work, signal) => {
      let begun = false;
      const began = () => {
        begun = true;
      };
      const result = await database.transaction((tx) => work(repositories(tx, began)), { signal });
      changed();
      if (begun) registered();
      return result;
    },
  };
};
