import { randomUUID } from 'node:crypto';
import { AppError, authV1, syncV1, userV1 } from '@skein/contracts';
import { type Database, openDatabase } from '@skein/postgres';
import { type TestDatabase, testDatabase } from '@skein/postgres/testing';
import {
  type Actor,
  type CallContext,
  type Definition,
  type Handlers,
  identity,
  implement,
  type RpcClient,
  rootContext,
  rpcClient,
  rpcServer,
} from '@skein/rpc';
import { type Clock, liveConfig, must, readConfig } from '@skein/service-kit';
import { createLogger, createMetrics } from '@skein/telemetry';
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose';
import { onTestFinished } from 'vitest';
import { migrations } from '../src/adapters/migrations.ts';
import type { PasswordHasher } from '../src/app/ports.ts';
import type { Deps } from '../src/compose.ts';
import { authConfig, compose } from '../src/index.ts';

export type AuthClient = RpcClient<typeof authV1.AuthServiceService>;

/** A clock that a test moves. It starts at the real time, because the database's own clock cannot be moved. */
export interface FakeClock extends Clock {
  advance(ms: number): void;
}

export const fakeClock = (): FakeClock => {
  let nowMs = Date.now();
  return {
    now: () => nowMs,
    advance: (ms) => {
      nowMs += ms;
    },
  };
};

export const secret = 'a secret for tests, long enough to be one';

/** A client that calls as one of the services. */
export const clientFor = (port: number, service = 'gateway'): AuthClient =>
  rpcClient(authV1.AuthServiceService, {
    service: 'auth',
    target: `ipv4:127.0.0.1:${port}`,
    identity: identity({ service, secret }),
    log: createLogger({ service: 'test', instance: 'test', level: 'silent' }),
    metrics: createMetrics(),
  });

/** Services that registrations make things in, as far as auth calls them, over the real wire. */
export interface Peers {
  /** The people whose profile or space was asked for, by the method, in order. */
  readonly asked: [method: string, userId: string][];
  /** `static:` list of both. */
  readonly discoveryUrl: string;
  stop(): Promise<void>;
}

/** Starts them; `refuse` may throw what one of them refuses with. */
export const startPeers = async (
  refuse: (method: string, userId: string) => void = () => {},
): Promise<Peers> => {
  const asked: [string, string][] = [];
  const start = async <D extends Definition>(
    service: string,
    definition: D,
    answers: Partial<Handlers<D>>,
  ) => {
    const handlers = Object.fromEntries(
      Object.keys(definition).map((name) => [
        name,
        async (request: unknown, ctx: CallContext) => {
          const userId = ctx.actor?.userId ?? '';
          refuse(name, userId);
          asked.push([name, userId]);
          const answer = answers[name as keyof D] as ((...of: unknown[]) => unknown) | undefined;
          if (!answer) throw new AppError('not_implemented');
          return answer(request, ctx);
        },
      ]),
    );
    const server = rpcServer({
      ...{ service, host: '127.0.0.1', port: 0, metrics: createMetrics() },
      implementations: [implement(definition, handlers as unknown as Handlers<D>, { allow: 'any' })],
      identity: identity({ service, secret }),
      log: createLogger({ service: 'test', instance: 'test', level: 'silent' }),
    });
    await server.run();
    return server;
  };
  const user = await start('user', userV1.UserServiceService, { getProfile: async () => ({}) });
  const sync = await start('session-sync', syncV1.SyncServiceService, { getSpace: async () => ({}) });
  return {
    asked,
    discoveryUrl: `static:user=127.0.0.1:${user.port},session-sync=127.0.0.1:${sync.port}`,
    stop: async () => {
      await Promise.all([user.stop(), sync.stop()]);
    },
  };
};

export interface StartOptions {
  readonly database?: Pick<TestDatabase, 'url'>;
  readonly over?: Partial<Deps>;
  readonly env?: Readonly<Record<string, string>>;
}

/** The real service on a real database, with a real client; stopped when the test ends. */
export const startAuth = async ({ database, over = {}, env = {} }: StartOptions = {}) => {
  const db = database ?? (await testDatabase());
  const config = readConfig(authConfig, {
    DATABASE_URL: db.url,
    // Registrations go on in the background; where nobody is, they wait.
    DISCOVERY_URL: 'static:user=127.0.0.1:1,session-sync=127.0.0.1:1',
    INTERNAL_SECRET: secret,
    AUTH_MASTER_KEY: 'a master key for tests, not used elsewhere',
    // Cheap on purpose: what a hash costs is not what these tests are about.
    AUTH_ARGON2_MEMORY_KIB: '1024',
    AUTH_ARGON2_PASSES: '1',
    LOG_LEVEL: 'silent',
    ...env,
  });
  // Not in the environment, which no test could change.
  if (!('AUTH_LOGINS_PER_MINUTE' in env))
    liveConfig(config).take([{ scope: 'auth', settings: { AUTH_LOGINS_PER_MINUTE: 1_000 } }]);
  const { service, keyring, server } = await compose(config, over);
  await service.run();
  const { port } = server;
  const client = clientFor(port);
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    await client.stop();
    await service.drain?.();
    await service.stop();
  };
  onTestFinished(stop);
  /** Says something in the config centre. */
  const change = (settings: Readonly<Record<string, unknown>>) =>
    liveConfig(config).take([{ scope: 'auth', settings }]);
  return { client, keyring, port, database: db, stop, change };
};

/** The context of one call. */
export const call = (
  options: { actor?: Actor; idempotencyKey?: string; signal?: AbortSignal } = {},
): CallContext => rootContext({ timeoutMs: 10_000, ...options });

/** The person that an access token speaks for, as the gateway would pass it on. */
export const actorOf = (claims: JWTPayload): Actor => ({
  userId: must(claims.sub, 'a token without sub'),
  ...(typeof claims['sid'] === 'string'
    ? { sessionId: claims['sid'] }
    : { tokenId: must(claims.jti, 'no jti') }),
  scopes: String(claims['scope']).split(' '),
});

/** Verifies a token as every service does: with the published keys and nothing else. */
export const verifyToken = async (client: AuthClient, token: string, atMs = Date.now(), typ = 'at+jwt') => {
  const { jwksJson } = await client.getJwks({}, call());
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(JSON.parse(jwksJson)), {
    algorithms: ['EdDSA'],
    issuer: 'skein',
    audience: 'skein',
    typ,
    currentDate: new Date(atMs),
  });
  return { claims: payload, header: protectedHeader };
};

export const device = (id: string, platform = 'web') => ({ id, platform, name: '' });

/** A hasher that costs nothing, for tests of what comes after the password. */
export const plainHasher: PasswordHasher = {
  hash: async (text) => `hash of ${text}`,
  verify: async (stored, text) => stored === `hash of ${text}`,
  outdated: () => false,
};

/** A connection of the test's own to what the service has stored. */
export const openedDatabase = async (url: string, poolSize = 1): Promise<Database> => {
  const database = openDatabase(
    { url, schema: 'auth', migrations, applicationName: 'test', poolSize },
    { log: createLogger({ service: 'test', instance: 'test', level: 'silent' }) },
  );
  await database.run();
  onTestFinished(() => database.stop());
  return database;
};

/** Every row the service has stored, as text. */
export const dumpOf = async (url: string): Promise<string> => {
  const database = await openedDatabase(url);
  const tables = await database.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'auth'`,
  );
  const rows = await Promise.all(
    tables.map(({ name }) => database.query(`select to_jsonb(t)::text as row from auth.${name} t`)),
  );
  return JSON.stringify(rows);
};

/** An address nobody has yet. */
export const newEmail = (): string => `${randomUUID()}@example.org`;

export const password = 'correct horse battery staple';

/** Registers somebody and returns what they hold. */
export const registered = async (
  client: AuthClient,
  options: { from?: authV1.DeviceInfo; atMs?: number } = {},
) => {
  const email = newEmail();
  const answer = await client.register(
    { email, password, displayName: 'Ada', device: options.from, remoteAddress: '192.0.2.1' },
    call(),
  );
  const account = must(answer.account, 'no account');
  const tokens = must(answer.tokens, 'no tokens');
  const { claims } = await verifyToken(client, tokens.accessToken, options.atMs);
  return { email, account, tokens, claims, actor: actorOf(claims) };
};

/** Signs in and returns what they hold. */
export const loggedIn = async (
  client: AuthClient,
  email: string,
  from?: authV1.DeviceInfo,
  atMs?: number,
) => {
  const answer = await client.login({ email, password, device: from, remoteAddress: '192.0.2.1' }, call());
  const tokens = must(answer.tokens, 'no tokens');
  const { claims } = await verifyToken(client, tokens.accessToken, atMs);
  return { tokens, claims, actor: actorOf(claims) };
};

/** A refresh and its new pair. */
export const refreshed = async (client: AuthClient, refreshToken: string, idempotencyKey = '') => {
  const { tokens } = await client.refresh({ refreshToken, idempotencyKey }, call());
  return must(tokens, 'no tokens');
};

/** The code a call is refused with; 'ok' when it is not. */
export const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (error as { code: string }).code,
  );
