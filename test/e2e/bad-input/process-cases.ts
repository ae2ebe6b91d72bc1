/** A service started with a wrong environment, and all it says before it ends. */
export interface ConfigurationCase {
  readonly what: string;
  readonly service: 'gateway' | 'auth' | 'user' | 'session-sync' | 'agent';
  readonly env: Readonly<Record<string, string>>;
  readonly exitCode: 78;
  readonly says: string;
}

const secret = '0123456789abcdef0123456789abcdef';
const good = {
  DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
  DISCOVERY_URL: 'static:auth=127.0.0.1:1,user=127.0.0.1:1,session-sync=127.0.0.1:1,agent=127.0.0.1:1',
  INTERNAL_SECRET: secret,
  AUTH_MASTER_KEY: secret,
};

const faults = (...lines: readonly string[]): string =>
  `The configuration has ${lines.length} fault(s):\n${lines.map((line) => `  ${line}\n`).join('')}`;

/** Wrong configurations: every fault is listed, no port is opened. Values of secrets and URLs are not shown. */
export const configurationCases: readonly ConfigurationCase[] = [
  {
    what: 'nothing set',
    service: 'auth',
    env: {},
    exitCode: 78,
    says: faults(
      'DATABASE_URL is required (url (postgres:, postgresql:)): The Postgres database all services share, each in a schema of its own',
      'DISCOVERY_URL is required (url (static:, consul:)): How services are found: static:auth=host:port;host:port,user=… or consul://host:port[/name]',
      'INTERNAL_SECRET is required (secret): Signs calls between services; the same for all of them',
      'AUTH_MASTER_KEY is required (secret): Seals the signing keys and derives refresh tokens; the same for all replicas, kept apart from the database',
    ),
  },
  {
    what: 'one fault of every kind',
    service: 'gateway',
    env: {
      ...good,
      EVENTS_URL: 'kafka://elsewhere',
      INTERNAL_SECRET: 'short',
      LOG_LEVEL: 'loud',
      PORT: '65536',
      TRUST_PROXY: '1.5',
      BEHIND_TLS: 'yes',
      CALL_TIMEOUT_MS: '99',
    },
    exitCode: 78,
    says: faults(
      'EVENTS_URL must start with postgres: or nats: or tls:',
      'LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, not "loud"',
      'INTERNAL_SECRET must be at least 32 characters long',
      'PORT must be a whole number from 0 to 65535, not "65536"',
      'TRUST_PROXY must be a whole number from 0 to 8, not "1.5"',
      'BEHIND_TLS must be true or false, not "yes"',
      'CALL_TIMEOUT_MS must be a whole number from 100 to 60000, not "99"',
    ),
  },
  ...(['user', 'session-sync', 'agent'] as const).map((service) => ({
    what: `ports and sizes that are none (${service})`,
    service,
    env: { ...good, GRPC_PORT: '-1', DATABASE_POOL_SIZE: '0' },
    exitCode: 78 as const,
    says: faults(
      'DATABASE_POOL_SIZE must be a whole number from 1 to 100, not "0"',
      'GRPC_PORT must be a whole number from 0 to 65535, not "-1"',
    ),
  })),
  {
    what: 'an address for Consul that nobody can reach',
    service: 'user',
    env: { ...good, DISCOVERY_URL: 'consul://127.0.0.1:1', GRPC_HOST: '0.0.0.0' },
    exitCode: 78,
    says: faults(
      'DISCOVERY_ADDRESS must be an address other services reach this one at: Consul would be told "0.0.0.0"',
    ),
  },
  {
    what: 'a list of NATS servers that is none',
    service: 'agent',
    env: { ...good, EVENTS_URL: 'nats://user:password@one:4222,tls://two:4222' },
    exitCode: 78,
    says: faults('EVENTS_URL: the servers must all be nats: or all be tls:'),
  },
  {
    what: 'a list of services that is none',
    service: 'gateway',
    env: { ...good, DISCOVERY_URL: 'static:auth' },
    exitCode: 78,
    says: faults('DISCOVERY_URL "auth" is not service=host:port'),
  },
  {
    what: 'a list that lacks a service',
    service: 'gateway',
    env: { ...good, DISCOVERY_URL: 'static:auth=127.0.0.1:1' },
    exitCode: 78,
    says: faults('DISCOVERY_URL: names no address of user'),
  },
];

/** A good environment for one service alone; tests put addresses that answer, or do not, into it. */
export const goodEnvironment: Readonly<Record<string, string>> = good;

/** The database away. `{target}` is where it should be. */
export const databaseCases = {
  atStart: {
    what: 'the database is away when a service starts',
    waits: 'waiting for the database',
    exitCode: 69,
    gaveUp:
      '[unavailable] PostgreSQL at {target} did not answer within 30 s (connect ECONNREFUSED {target}): start it, or set DATABASE_URL to where it runs',
    answer:
      'waits, says `waiting for the database` every 5 s, and goes on as soon as it is there; after 30 s gives up with exit code 69 and the sentence `PostgreSQL at {target} did not answer within 30 s (connect ECONNREFUSED {target}): start it, or set DATABASE_URL to where it runs`',
  },
  later: {
    what: 'the database goes away later',
    detail: 'The database is away',
    answer:
      '503 `unavailable` (“The database is away”) for what needs it, 4013 for new sockets, `error unavailable` for requests of open ones, which stay; tokens are still checked, `/readyz` stays 200; goes on by itself when the database is back',
  },
} as const;
