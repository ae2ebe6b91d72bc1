import { authV1 } from '@skein/contracts';
import { consume } from '@skein/events';
import { eventAdminService, openPlatform, type ServiceServer } from '@skein/platform';
import { pruneIdempotencyKeys } from '@skein/postgres';
import { rootContext } from '@skein/rpc';
import { type Composed, periodic } from '@skein/service-kit';
import { v7 as uuidv7 } from 'uuid';
import { authAccounts } from './adapters/auth-accounts.ts';
import { migrations } from './adapters/migrations.ts';
import { postgresStore, repositoriesOn } from './adapters/postgres-store.ts';
import { followAccounts, followed } from './app/follow-accounts.ts';
import { listNotices } from './app/list-notices.ts';
import { makeAhead } from './app/make-ahead.ts';
import { ensureProfile, getProfile, updateProfile } from './app/profile.ts';
import type { UserConfig } from './config.ts';
import { userService } from './grpc/handlers.ts';

/** What a test may put in the place of the real thing. */
export interface Deps {
  readonly newId: () => string;
}

/** A thousand keys of a day ago go each time. */
const pruneEveryMs = 60_000;

/** How long making a profile ahead of its first use may take. */
const aheadTimeoutMs = 5_000;

/** The user service, ready to run. */
export const compose = async (
  config: UserConfig,
  over: Partial<Deps> = {},
): Promise<Composed & { readonly server: ServiceServer }> => {
  const { newId = () => uuidv7() } = over;
  const platform = await openPlatform('user', config);
  const { log, metrics } = platform;
  const database = platform.database(migrations);
  const { bus } = platform.events();
  const auth = platform.client(authV1.AuthServiceService, 'auth', { retryable: ['getAccount'] });

  const store = postgresStore(database);
  const shared = { store, accounts: authAccounts(auth) };
  const follow = followAccounts(newId);
  const ensure = ensureProfile(shared);
  const ahead = makeAhead({
    make: (userId, correlationId) =>
      ensure(userId, rootContext({ timeoutMs: aheadTimeoutMs, correlationId })),
    onError: (userId, error) => log.warn({ err: error, userId }, 'the profile will be made at first touch'),
  });

  const accountEvents = consume({
    bus,
    database,
    log,
    metrics,
    consumer: 'user-accounts',
    types: followed,
    // No call to another service belongs in its transaction: the profile is made once this has committed.
    handle: (event, tx) => follow(event, repositoriesOn(tx)),
    // No call to another service belongs in the transaction. What is missed here is made at first touch.
    committed: ahead,
  });
  const pruning = periodic('pruning', {
    everyMs: pruneEveryMs,
    work: () => pruneIdempotencyKeys(database),
    failed: (error) => log.warn({ err: error }, 'pruning failed; it will be tried again'),
  });
  const server = platform.server([
    userService({
      getProfile: getProfile(shared),
      updateProfile: updateProfile(shared),
      listNotices: listNotices(shared),
    }),
    eventAdminService({ database, consumers: [accountEvents] }),
  ]);
  return { service: platform.lifecycle([accountEvents, pruning, server]), log, server };
};
