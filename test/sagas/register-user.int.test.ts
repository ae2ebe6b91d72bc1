import { syncV1, userV1 } from '@skein/contracts';
import { type Database, type Migration, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { type Definition, identity, rpcClient } from '@skein/rpc';
import type { SagaDefinition } from '@skein/saga';
import { crashEverywhere } from '@skein/saga/testing';
import { createMetrics } from '@skein/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compose as agent } from '../../services/agent/src/compose.ts';
import { config as agentConfig } from '../../services/agent/src/config.ts';
import { migrations as authMigrations } from '../../services/auth/src/adapters/migrations.ts';
import { postgresAccounts } from '../../services/auth/src/adapters/postgres-accounts.ts';
import { postgresOutbox } from '../../services/auth/src/adapters/postgres-outbox.ts';
import { registrationSteps } from '../../services/auth/src/adapters/registration-steps.ts';
import { type RegistrationInput, registerUser } from '../../services/auth/src/app/register-user.ts';
import { compose as auth } from '../../services/auth/src/compose.ts';
import { authConfig } from '../../services/auth/src/config.ts';
import { migrations as syncMigrations } from '../../services/session-sync/src/adapters/schema.ts';
import { compose as sync } from '../../services/session-sync/src/compose.ts';
import { config as syncConfig } from '../../services/session-sync/src/config.ts';
import { migrations as userMigrations } from '../../services/user/src/adapters/migrations.ts';
import { compose as user } from '../../services/user/src/compose.ts';
import { userConfig } from '../../services/user/src/config.ts';
import { log, member, secret, startServices } from './services.ts';

let services: Awaited<ReturnType<typeof startServices>>;
let ofAuth: Database;
let ofUser: Database;
let ofSync: Database;
const closing: { stop(): Promise<void> }[] = [];

/** A client that calls as auth. */
const clientOf = <D extends Definition>(definition: D, service: string) => {
  const client = rpcClient(definition, {
    ...{ service, target: services.target(service), identity: identity({ service: 'auth', secret }), log },
    metrics: createMetrics(),
  });
  closing.push(client);
  return client;
};

beforeAll(async () => {
  const { url } = await testDatabase();
  services = await startServices(
    url,
    [
      member('session-sync', syncConfig, sync),
      member('agent', agentConfig, agent),
      member('user', userConfig, user),
      member('auth', authConfig, auth, { AUTH_MASTER_KEY: secret }),
    ],
    [],
  );
  const opened = async (schema: string, migrations: readonly Migration[]) => {
    const database = openDatabase({ url, schema, migrations, applicationName: 'test', poolSize: 4 }, { log });
    closing.push(database);
    await database.run();
    return database;
  };
  ofAuth = await opened('auth', authMigrations);
  ofUser = await opened('user', userMigrations);
  ofSync = await opened('session_sync', syncMigrations);
}, 60_000);
afterAll(async () => {
  for (const one of closing.reverse()) await one.stop();
  await services?.stop();
});

/** Somebody whose credentials have just been committed: the crash test begins the saga. */
const registered = async (): Promise<RegistrationInput> => {
  const id = crypto.randomUUID();
  const account = { id, email: `${id}@example.org`, displayName: 'Ada', createdAtMs: Date.now() };
  await postgresAccounts(ofAuth).add({ ...account, passwordHash: 'none', registrationKey: undefined });
  return { user: id, registeredAtMs: account.createdAtMs };
};

const count = async (database: Database, sql: string, of: string): Promise<number> =>
  (await database.query(sql, [of])).length;

describe('register-user', () => {
  it('ends done or with nothing left of the person, whichever write it is killed at', async () => {
    const steps = registrationSteps({
      database: ofAuth,
      outbox: (tx) => postgresOutbox(tx, () => crypto.randomUUID()),
      changed: () => {},
      user: clientOf(userV1.UserServiceService, 'user'),
      sync: clientOf(syncV1.SyncServiceService, 'session-sync'),
      clock: { now: () => Date.now() },
    });
    // Under a name that the auth beside them does not know.
    const definition: SagaDefinition<RegistrationInput> = {
      ...registerUser(steps),
      name: 'register-user-of-test',
    };
    const report = await crashEverywhere({
      database: ofAuth,
      definition,
      input: registered,
      observe: async ({ user: id }) => ({
        accounts: await count(ofAuth, 'select 1 from accounts where id = $1', id),
        profiles: await count(ofUser, 'select 1 from profiles where user_id = $1', id),
        spaces: await count(
          ofSync,
          `select 1 from space s join member m on m.space = s.id where m.user_id = $1 and s.kind = 'personal'`,
          id,
        ),
        told: await count(
          ofAuth,
          `select 1 from outbox where event::jsonb ->> 'type' = 'user.registered' and event::jsonb ->> 'subject' = $1`,
          id,
        ),
      }),
    });
    expect(report.done).toEqual({ accounts: 1, profiles: 1, spaces: 1, told: 1 });
    const nothing = { accounts: 0, profiles: 0, spaces: 0, told: 0 };
    expect(report.compensated).toEqual({
      'given up at account': nothing,
      'refused at profile': nothing,
      'given up at profile': nothing,
      'refused at space': nothing,
      'given up at space': nothing,
    });
    expect(report.crashes).toBeGreaterThan(80);
  }, 300_000);
});
