import { availableParallelism } from 'node:os';
import { platformConfig } from '@skein/platform';
import { type ConfigOf, integer, live, milliseconds, secret, text } from '@skein/service-kit';

/** The settings of auth: those of every service, and its own. */
export const authConfig = {
  ...platformConfig,
  AUTH_MASTER_KEY: secret(
    'Seals the signing keys and derives refresh tokens; the same for all replicas, kept apart from the database',
  ),
  AUTH_ISSUER: text('The iss claim of tokens', { fallback: 'skein' }),
  AUTH_ACCESS_TTL_MS: milliseconds('Lifetime of an access token', {
    min: 60_000,
    max: 900_000,
    fallback: 600_000,
  }),
  AUTH_LOGINS_PER_MINUTE: live(
    integer('Attempts to sign in to one account, and to register one address', {
      min: 1,
      max: 10_000,
      fallback: 10,
    }),
  ),
  AUTH_REVOCATION_POLL_MS: milliseconds('How soon a revocation on another replica is noticed', {
    min: 50,
    max: 1_000,
    fallback: 500,
  }),
  AUTH_ARGON2_MEMORY_KIB: integer('Memory of one argon2id hash', {
    min: 1_024,
    max: 1_048_576,
    kind: 'KiB',
    fallback: 19_456,
  }),
  AUTH_ARGON2_PASSES: integer('Passes of one argon2id hash', { min: 1, max: 100, fallback: 2 }),
  AUTH_ARGON2_LANES: integer('Lanes of one argon2id hash', { min: 1, max: 16, fallback: 1 }),
  AUTH_HASH_CONCURRENCY: integer('Hashes computed at once; the default is the number of cores', {
    min: 1,
    max: 1_024,
    fallback: availableParallelism(),
  }),
  AUTH_HASH_QUEUE: integer('Hashes that may wait; further attempts are overloaded', {
    min: 0,
    max: 10_000,
    fallback: 50,
  }),
  SKEIN_OPERATOR_EMAIL: text(
    'Address of the account that gets the scope operator, whoever registers it first: register it before others can reach the service; empty for none',
    {
      fallback: '',
    },
  ),
};

/** The values of `authConfig`. */
export type AuthConfig = ConfigOf<typeof authConfig>;
