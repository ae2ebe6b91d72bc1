import { randomUUID } from 'node:crypto';
import { AppError, authV1, type DomainEvent, eventsV1, syncV1, userV1 } from '@skein/contracts';
import { type EventBus, postgresBus } from '@skein/events';
import { openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import {
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
import { lifecycle, liveConfig, readConfig } from '@skein/service-kit';
import { createLogger, createMetrics } from '@skein/telemetry';
import { onTestFinished } from 'vitest';
import { compose, userConfig } from '../src/index.ts';

const secret = 'a secret for tests, long enough to be one';
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

/** Another service as far as the user service calls it, over the real wire. */
const neighbour = <D extends Definition>(service: string, definition: D, answers: Partial<Handlers<D>>) => {
  const methods = Object.keys(definition).map((name) => [
    name,
    () => Promise.reject(new AppError('not_implemented')),
  ]);
  const handlers = { ...Object.fromEntries(methods), ...answers } as Handlers<D>;
  return rpcServer({
    service,
    host: '127.0.0.1',
    port: 0,
    implementations: [implement(definition, handlers, { allow: 'any' })],
    identity: identity({ service, secret }),
    log,
    metrics: createMetrics(),
  });
};

const authServer = (asked: string[]) => {
  const known = new Map<string, authV1.Account>();
  const getAccount = async ({ userId }: authV1.GetAccountRequest) => {
    asked.push(userId);
    const account = known.get(userId);
    if (!account) throw new AppError('not_found');
    return { account };
  };
  return { server: neighbour('auth', authV1.AuthServiceService, { getAccount }), known };
};

const spacesServer = () => {
  const invitations = new Map<string, syncV1.ReceivedInvitation | AppError>();
  const lookUpInvitation = async ({ invitationId }: syncV1.LookUpInvitationRequest) => {
    const found = invitations.get(invitationId);
    if (!found) throw new AppError('not_found');
    if (found instanceof AppError) throw found;
    return { found };
  };
  return {
    server: neighbour('session-sync', syncV1.SyncServiceService, { lookUpInvitation }),
    invitations,
  };
};

export interface Person {
  readonly id: string;
  readonly account: authV1.Account;
  call(options?: { idempotencyKey?: string }): CallContext;
}

/** The real service on a real database and bus, with auth on the wire; stopped when the test ends. */
export const startUser = async (
  env: Readonly<Record<string, string>> = {},
  over: Parameters<typeof compose>[1] = {},
) => {
  const { url } = await testDatabase();
  const asked: string[] = [];
  const { server: auth, known } = authServer(asked);
  const { server: spaces, invitations } = spacesServer();
  await auth.run();
  await spaces.run();
  const config = readConfig(userConfig, {
    DATABASE_URL: url,
    DISCOVERY_URL: `static:auth=127.0.0.1:${auth.port},session-sync=127.0.0.1:${spaces.port},agent=127.0.0.1:1`,
    INTERNAL_SECRET: secret,
    LOG_LEVEL: 'silent',
    ...env,
  });
  const { service, server } = await compose(config, over);
  await service.run();
  // The publisher's side of the bus, in a schema of its own.
  const database = openDatabase(
    { url, schema: 'publisher', migrations: [], applicationName: 'test' },
    { log },
  );
  const bus: EventBus = postgresBus({ database, instance: 'test', log });
  const clients: RpcClient<Definition>[] = [];
  /** Any service of it, called as the gateway. */
  const clientOf = <D extends Definition>(definition: D): RpcClient<D> => {
    const one = rpcClient(definition, {
      service: 'user',
      target: `ipv4:127.0.0.1:${server.port}`,
      identity: identity({ service: 'gateway', secret }),
      log,
      metrics: createMetrics(),
    });
    clients.push(one);
    return one;
  };
  const client = clientOf(userV1.UserServiceService);
  const events = clientOf(eventsV1.EventAdminServiceService);
  const all = lifecycle('test', [database, bus]);
  onTestFinished(async () => {
    for (const one of clients) await one.stop();
    await all.stop();
    await service.drain?.();
    await service.stop();
    await auth.stop();
    await spaces.stop();
  });
  await all.run();

  const person = (): Person => {
    const id = randomUUID();
    const account = { id, email: `${id}@example.org`, displayName: 'Ada', createdAtMs: 1_700_000_000_000 };
    known.set(id, account);
    const actor = { userId: id, sessionId: randomUUID(), scopes: ['session'] };
    return { id, account, call: (options) => rootContext({ actor, timeoutMs: 10_000, ...options }) };
  };
  /** Says something in the config centre. */
  const change = (settings: Readonly<Record<string, unknown>>) =>
    liveConfig(config).take([{ scope: 'user', settings }]);
  return { client, clientOf, events, bus, database, auth, asked, invitations, person, change };
};

const envelope = (userId: string) => ({
  id: randomUUID(),
  source: 'auth',
  time: Date.now(),
  subject: userId,
  correlationId: 'test',
  schemaVersion: 1 as const,
});

export const registration = (userId: string, registeredAt = Date.now()): DomainEvent => ({
  ...envelope(userId),
  type: 'user.registered',
  data: { userId, registeredAt },
});

/** Somebody is invited to a space. */
export const invitationEvent = (invitationId: string): DomainEvent => ({
  ...envelope('space-1'),
  source: 'session-sync',
  type: 'member.invited',
  data: { space: 'space-1', offset: 1, invitationId },
});

export const loginEvent = (
  userId: string,
  login: { at: number; platform?: string; unusual?: boolean; deviceId?: string },
): DomainEvent => ({
  ...envelope(userId),
  type: 'user.login',
  data: { userId, sessionId: 'session-1', platform: 'web', unusual: false, ...login },
});

/** Every notice of a person, newest first. */
export const noticesOf = async (
  client: Awaited<ReturnType<typeof startUser>>['client'],
  { call }: Person,
): Promise<userV1.Notice[]> => (await client.listNotices({ limit: 0, cursor: '' }, call())).items;
