import { randomBytes as systemRandomBytes } from 'node:crypto';
import { relay } from '@skein/events';
import { configAdminService, eventAdminService, openPlatform, type ServiceServer } from '@skein/platform';
import { sagaService } from '@skein/saga';
import { type Clock, type Composed, periodic, systemClock } from '@skein/service-kit';
import { v7 as uuidv7 } from 'uuid';
import { argon2Hasher } from './adapters/argon2-hasher.ts';
import { bell } from './adapters/bell.ts';
import { boundedHasher } from './adapters/bounded-hasher.ts';
import { ed25519Keys } from './adapters/ed25519-keys.ts';
import { type RandomBytes, sealerFrom, secretsFrom } from './adapters/master-key.ts';
import { migrations } from './adapters/migrations.ts';
import { postgresErasures } from './adapters/postgres-erasures.ts';
import { postgresKeys } from './adapters/postgres-keys.ts';
import { postgresLimiter } from './adapters/postgres-limiter.ts';
import { pruneExpired } from './adapters/postgres-prune.ts';
import { postgresStore } from './adapters/postgres-store.ts';
import { reuseAlarm } from './adapters/reuse-alarm.ts';
import { authApp } from './app/auth-app.ts';
import { dummyHash } from './app/dummy-hash.ts';
import { type Keyring, keyring } from './app/keyring.ts';
import type { PasswordHasher } from './app/ports.ts';
import { registrationParts } from './compose/registration.ts';
import type { AuthConfig } from './config.ts';
import { normaliseEmail } from './domain/credentials.ts';
import { erasureService } from './grpc/erasure.ts';
import { authService } from './grpc/handlers.ts';

/** What a test may put in the place of the real thing. */
export interface Deps {
  readonly clock: Clock;
  readonly newId: () => string;
  readonly randomBytes: RandomBytes;
  readonly hasher: PasswordHasher;
}

const keysEveryMs = 60_000;
const pruneEveryMs = 600_000;

/** The auth service, ready to run. */
export const compose = async (
  config: AuthConfig,
  over: Partial<Deps> = {},
): Promise<Composed & { readonly keyring: Keyring; readonly server: ServiceServer }> => {
  const { clock = systemClock, newId = () => uuidv7(), randomBytes = systemRandomBytes } = over;
  const platform = await openPlatform('auth', config);
  const { log, metrics, instance } = platform;
  const database = platform.database(migrations);
  const { bus, live } = platform.events();
  const outboxRelay = relay({ database, bus, live, name: 'auth', instance, log, metrics });
  const revocations = bell(config.AUTH_REVOCATION_POLL_MS);

  const changed = () => outboxRelay.wake();
  const { orchestrator, register, forgetRegistration } = registrationParts({
    platform,
    database,
    clock,
    newId,
    changed,
  });
  const registered = () => orchestrator.wake();
  const store = postgresStore(database, { newId, changed, registered, register });
  const secrets = secretsFrom(config.AUTH_MASTER_KEY, randomBytes);
  const keys = keyring({
    keys: postgresKeys(database),
    craft: ed25519Keys(sealerFrom(config.AUTH_MASTER_KEY, randomBytes)),
    clock,
    log,
  });
  const hasher = boundedHasher(
    over.hasher ??
      argon2Hasher({
        memoryKib: config.AUTH_ARGON2_MEMORY_KIB,
        passes: config.AUTH_ARGON2_PASSES,
        lanes: config.AUTH_ARGON2_LANES,
      }),
    { concurrency: config.AUTH_HASH_CONCURRENCY, queue: config.AUTH_HASH_QUEUE, metrics },
  );
  const dummy = dummyHash(hasher, secrets.newToken());

  const app = authApp({
    store,
    secrets,
    keyring: keys,
    hasher,
    dummyHash: dummy,
    clock,
    newId,
    issuer: config.AUTH_ISSUER,
    accessTtlMs: config.AUTH_ACCESS_TTL_MS,
    operatorEmail: normaliseEmail(config.SKEIN_OPERATOR_EMAIL) ?? '',
    limiter: postgresLimiter(database, () => config.AUTH_LOGINS_PER_MINUTE),
    revoked: revocations.ring,
    heard: revocations.heard,
    reused: reuseAlarm({ log, metrics }),
  });
  const failed = (what: string) => (error: unknown) =>
    log.warn({ err: error }, `${what} failed; it will be tried again`);
  const server = platform.server([
    authService(app),
    erasureService(postgresErasures(database, bus, forgetRegistration)),
    sagaService(orchestrator),
    eventAdminService({ database, consumers: [], relay: 'auth' }),
    configAdminService(instance, config),
  ]);
  const service = platform.lifecycle([
    keys,
    dummy,
    outboxRelay,
    orchestrator,
    periodic('signing-keys', { everyMs: keysEveryMs, work: keys.renew, failed: failed('renewing the keys') }),
    periodic('pruning', {
      everyMs: pruneEveryMs,
      work: () => pruneExpired(database, clock.now()),
      failed: failed('pruning'),
    }),
    server,
  ]);
  return { service, log, keyring: keys, server };
};
