import { authV1 } from '@skein/contracts';
import { consume, outbox, relay } from '@skein/events';
import { configAdminService, eventAdminService, openPlatform, type ServiceServer } from '@skein/platform';
import { pruneIdempotencyKeys } from '@skein/postgres';
import { participant, sagaService, sagas } from '@skein/saga';
import { type Composed, periodic } from '@skein/service-kit';
import { v7 as uuidv7 } from 'uuid';
import { authAccounts } from './adapters/auth-accounts.ts';
import { migrations } from './adapters/migrations.ts';
import { postgresStore, repositoriesOn } from './adapters/postgres-store.ts';
import { followAccounts, followed } from './app/follow-accounts.ts';
import { listNotices } from './app/list-notices.ts';
import { ensureProfile, getProfile, updateProfile } from './app/profile.ts';
import { erasingParts } from './compose/erasing.ts';
import { linkingParts } from './compose/linking.ts';
import { mailParts } from './compose/mail.ts';
import type { UserConfig } from './config.ts';
import { userService } from './grpc/handlers.ts';
import { identityService } from './grpc/identities.ts';

/** What a test may put in the place of the real thing. */
export interface Deps {
  readonly newId: () => string;
  readonly mailBackoffMs: readonly number[];
}

/** A thousand keys of a day ago go each time. */
const pruneEveryMs = 60_000;

/** Events are kept for longer than any bus keeps them, so that a lost bus can be refilled. */
const outboxMs = 8 * 24 * 3_600_000;

/** The user service, ready to run. */
export const compose = async (
  config: UserConfig,
  over: Partial<Deps> = {},
): Promise<Composed & { readonly server: ServiceServer }> => {
  const { newId = () => uuidv7() } = over;
  const platform = await openPlatform('user', config);
  const { log, metrics, instance } = platform;
  const database = platform.database(migrations);
  const { bus, live } = platform.events();
  const auth = platform.client(authV1.AuthServiceService, 'auth', {
    retryable: ['getAccount', 'closeAccount'],
  });

  const store = postgresStore(database);
  const accounts = authAccounts(auth);
  const shared = { store, accounts };
  const erasing = erasingParts({ platform, database, auth, accounts, orchestrator: () => orchestrator });
  const outboxRelay = relay({ database, bus, live, name: 'user', instance, log, metrics });
  const linking = linkingParts({
    ...{ database, newId, orchestrator: () => orchestrator, published: outboxRelay.wake },
  });
  const follow = followAccounts(newId);
  const ensure = ensureProfile(shared);

  const accountEvents = consume({
    bus,
    database,
    log,
    metrics,
    consumer: 'user-accounts',
    types: followed,
    handle: (event, tx) => follow(event, repositoriesOn(tx)),
  });

  const mail = await mailParts({ platform, database, bus, config, ensure, backoffMs: over.mailBackoffMs });
  const pruning = periodic('pruning', {
    everyMs: pruneEveryMs,
    work: async () => {
      await pruneIdempotencyKeys(database);
      await participant.prune(database);
      await outbox.prune(database, outboxMs);
      await linking.prune();
    },
    failed: (error) => log.warn({ err: error }, 'pruning failed; it will be tried again'),
  });
  const orchestrator = sagas({
    database,
    definitions: [erasing.definition, linking.definition],
    instance,
    log,
    metrics,
  });
  const server = platform.server([
    userService({
      eraseMe: erasing.eraseMe,
      eraseSomebody: erasing.eraseSomebody,
      getProfile: getProfile(shared),
      updateProfile: updateProfile(shared),
      listNotices: listNotices(shared),
    }),
    identityService(linking.app),
    sagaService(orchestrator),
    eventAdminService({ database, consumers: [accountEvents, ...mail.consumers], relay: 'user' }),
    configAdminService(platform.instance, config),
  ]);
  return {
    service: platform.lifecycle([orchestrator, outboxRelay, accountEvents, ...mail.parts, pruning, server]),
    log,
    server,
  };
};
