import { platformConfig } from '@skein/platform';
import { type ConfigOf, flag, integer, list, live, milliseconds, port, text, url } from '@skein/service-kit';

/** Everything the gateway can be told. */
export const config = {
  ...platformConfig,
  // The gateway keeps nothing of its own.
  DATABASE_URL: url('not used by the gateway', { schemes: ['postgres:', 'postgresql:'], fallback: '' }),
  HOST: text('address the public port listens on', { fallback: '127.0.0.1' }),
  PORT: port('public HTTP and WebSocket port', { fallback: 8002 }),
  PUBLIC_URL: url('how clients reach this gateway; empty: http://HOST:PORT', {
    schemes: ['http://', 'https://'],
    fallback: '',
  }),
  AUTH_ISSUER: text('`iss` of the tokens that auth signs', { fallback: 'skein' }),
  CORS_ORIGINS: live(
    list('origins besides our own whose pages may call us, such as https://app.example.org', {
      fallback: [],
    }),
  ),
  TRUST_PROXY: integer('proxies in front of us that set X-Forwarded-For, exactly', {
    min: 0,
    max: 8,
    fallback: 0,
    kind: 'hops',
  }),
  BEHIND_TLS: flag('clients reach us by https: send Strict-Transport-Security', { fallback: false }),
  CONSOLE_DIR: text('built web console; empty: packages/console/dist of this repository', { fallback: '' }),
  CALL_TIMEOUT_MS: milliseconds('deadline of a request to the services behind', {
    min: 100,
    max: 60_000,
    fallback: 10_000,
  }),
  ANSWER_TIMEOUT_MS: milliseconds('how long POST /message/unified waits for the answer', {
    min: 1_000,
    max: 600_000,
    fallback: 120_000,
  }),
  MESSAGES_PER_SECOND: live(
    integer('messages and mutations a person may send', {
      min: 1,
      max: 100_000,
      fallback: 20,
      kind: 'per second',
    }),
  ),
  MESSAGES_BURST: live(
    integer('messages and mutations a person may send at once', {
      min: 1,
      max: 100_000,
      fallback: 40,
    }),
  ),
  REQUESTS_PER_SECOND: live(
    integer('REST requests of a person', {
      min: 1,
      max: 100_000,
      fallback: 50,
      kind: 'per second',
    }),
  ),
  ANONYMOUS_PER_SECOND: live(
    integer('requests of an address that has not signed in', {
      min: 1,
      max: 100_000,
      fallback: 50,
      kind: 'per second',
    }),
  ),
  LOGINS_PER_MINUTE: live(
    integer('attempts to sign in per address and per account', {
      min: 1,
      max: 100_000,
      fallback: 10,
      kind: 'per minute',
    }),
  ),
  REGISTRATIONS_PER_HOUR: live(
    integer('new accounts per address', {
      min: 1,
      max: 100_000,
      fallback: 30,
      kind: 'per hour',
    }),
  ),
  REGISTRATION_OPEN: live(flag('people may make accounts', { fallback: true })),
  CLIENT_FEATURES: live(
    list('names of features that clients are to show, at GET /v1/config/client', { fallback: [] }),
  ),
  SOCKETS_PER_PERSON: live(
    integer('sockets and streams of one person', { min: 1, max: 10_000, fallback: 20 }),
  ),
  UNAUTHENTICATED_PER_ADDRESS: live(
    integer('connections of one address that have not signed in', {
      min: 1,
      max: 100_000,
      fallback: 50,
    }),
  ),
  PING_MS: milliseconds('how often a socket is pinged', { min: 100, max: 120_000, fallback: 25_000 }),
};

/** The values of `config`. */
export type GatewayConfig = ConfigOf<typeof config>;
