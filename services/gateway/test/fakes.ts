import {
  AppError,
  agentV1,
  authV1,
  configV1,
  eventsV1,
  healthRecordV1,
  identityV1,
  sagaV1,
  syncV1,
  userV1,
} from '@skein/contracts';
import { type CallContext, type Definition, type Handlers, identity, implement, rpcServer } from '@skein/rpc';
import { createLogger, createMetrics } from '@skein/telemetry';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

/** Peers of the gateway on the wire: real gRPC servers of the real protos, with answers written by the test. */

/** The secret that tests share between services. */
export const internalSecret = 'a secret of the test mesh, long enough';

/** Handlers a test writes; a method without one answers `not_implemented`. */
export type Script<D extends Definition> = { -readonly [K in keyof D]?: Handlers<D>[K] };

/** One call as a peer saw it. */
export interface SeenCall {
  readonly method: string;
  readonly request: unknown;
  readonly ctx: CallContext;
}

const scripted = <D extends Definition>(definition: D, script: Script<D>, calls: SeenCall[]) => {
  const handlers = Object.fromEntries(
    Object.keys(definition).map((method) => [
      method,
      (request: unknown, ctx: CallContext) => {
        calls.push({ method, request, ctx });
        const written = script[method] as ((request: unknown, ctx: CallContext) => unknown) | undefined;
        if (!written) throw new AppError('not_implemented', `the test wrote no ${method}`);
        return written(request, ctx);
      },
    ]),
  );
  return implement(definition, handlers as unknown as Handlers<D>, { allow: 'any' });
};

const fakeService = async <D extends Definition>(service: string, definition: D, script: Script<D>) => {
  const calls: SeenCall[] = [];
  const config: Script<configV1.ConfigAdminServiceService> = {};
  const events: Script<eventsV1.EventAdminServiceService> = {};
  const sagas: Script<sagaV1.SagaServiceService> = {};
  const healthRecords: Script<healthRecordV1.HealthRecordServiceService> = {};
  const identities: Script<identityV1.IdentityServiceService> = {};
  const server = rpcServer({
    service,
    host: '127.0.0.1',
    port: 0,
    implementations: [
      scripted(definition, script, calls),
      scripted(configV1.ConfigAdminServiceService, config, calls),
      scripted(eventsV1.EventAdminServiceService, events, calls),
      scripted(sagaV1.SagaServiceService, sagas, calls),
      scripted(healthRecordV1.HealthRecordServiceService, healthRecords, calls),
      scripted(identityV1.IdentityServiceService, identities, calls),
    ],
    identity: identity({ service, secret: internalSecret }),
    log: createLogger({ service, instance: service, level: 'silent' }),
    metrics: createMetrics(),
  });
  await server.run();
  return { script, config, events, sagas, healthRecords, identities, calls, server };
};

/** A feed a test pushes into; ends when its reader leaves. */
export const pushable = <T>() => {
  const readers = new Set<(value: T) => void>();
  const sent: T[] = [];
  return {
    push: (value: T) => {
      sent.push(value);
      for (const reader of readers) reader(value);
    },
    /** Everything sent so far, then what comes. */
    read: async function* (signal: AbortSignal): AsyncGenerator<T> {
      const pending = [...sent];
      let wake = () => {};
      const reader = (value: T) => {
        pending.push(value);
        wake();
      };
      readers.add(reader);
      signal.addEventListener('abort', () => wake(), { once: true });
      try {
        while (!signal.aborted) {
          const next = pending.shift();
          if (next !== undefined) yield next;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
      } finally {
        readers.delete(reader);
      }
    },
  };
};

/** A key of the fake auth: signs tokens as the real one does. */
export const signingKey = async (kid: string) => {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
  return {
    jwk: { ...(await exportJWK(publicKey)), kid, alg: 'EdDSA', use: 'sig' },
    privateKey,
    sign: (claims: JWTPayload, header: Record<string, unknown> = {}) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid, ...header })
        .sign(privateKey),
  };
};

/** Claims of a login that is good for ten minutes. */
export const loginClaims = (userId: string, sid = `sid-${userId}`): JWTPayload => {
  const now = Math.floor(Date.now() / 1_000);
  return {
    ...{ iss: 'skein', aud: 'skein', sub: userId, sid, scope: 'session' },
    ...{ iat: now, nbf: now, exp: now + 600, auth_time: now },
  };
};

/** Claims of an API token that does not end. */
export const apiClaims = (userId: string, scope: string, jti = `jti-${userId}`): JWTPayload => {
  const now = Math.floor(Date.now() / 1_000);
  return { iss: 'skein', aud: 'skein', sub: userId, jti, scope, iat: now, nbf: now };
};

/** The four services behind a gateway. */
export interface FakeMesh {
  readonly auth: Script<authV1.AuthServiceService>;
  readonly user: Script<userV1.UserServiceService>;
  readonly sync: Script<syncV1.SyncServiceService>;
  readonly agent: Script<agentV1.AgentServiceService>;
  /** The settings of each of them, by its name. */
  readonly configs: Readonly<Record<string, Script<configV1.ConfigAdminServiceService>>>;
  /** The care of domain events in each of them, by its name. */
  readonly events: Readonly<Record<string, Script<eventsV1.EventAdminServiceService>>>;
  /** Sagas of each of them, by its name. */
  readonly sagas: Readonly<Record<string, Script<sagaV1.SagaServiceService>>>;
  readonly healthRecords: Script<healthRecordV1.HealthRecordServiceService>;
  readonly identities: Script<identityV1.IdentityServiceService>;
  /** Every unary call of all four, in order of arrival. */
  calls(method: string): readonly SeenCall[];
  /** What auth signs with. */
  readonly key: Awaited<ReturnType<typeof signingKey>>;
  /** Tells every gateway that something was revoked. */
  revoke(what: Partial<authV1.WatchRevocationsResponse>): void;
  readonly discoveryUrl: string;
  stop(): Promise<void>;
}

/** Starts the four with answers for what every gateway asks: keys, revocations, API tokens that are good. */
export const fakeMesh = async (): Promise<FakeMesh> => {
  const key = await signingKey('key-1');
  const revoked = pushable<authV1.WatchRevocationsResponse>();
  const auth = await fakeService<authV1.AuthServiceService>('auth', authV1.AuthServiceService, {
    getJwks: async () => ({ jwksJson: JSON.stringify({ keys: [key.jwk] }) }),
    checkSessions: async () => ({ revokedSessionIds: [], revokedTokenIds: [] }),
    watchRevocations: (_request, ctx) => revoked.read(ctx.signal),
  });
  const user = await fakeService<userV1.UserServiceService>('user', userV1.UserServiceService, {});
  const sync = await fakeService<syncV1.SyncServiceService>('session-sync', syncV1.SyncServiceService, {});
  const agent = await fakeService<agentV1.AgentServiceService>('agent', agentV1.AgentServiceService, {});
  const all = { auth, user, 'session-sync': sync, agent };
  const addresses = Object.entries(all).map(([name, { server }]) => `${name}=127.0.0.1:${server.port}`);
  return {
    auth: auth.script,
    user: user.script,
    sync: sync.script,
    agent: agent.script,
    configs: Object.fromEntries(Object.entries(all).map(([name, { config }]) => [name, config])),
    events: Object.fromEntries(Object.entries(all).map(([name, { events }]) => [name, events])),
    sagas: Object.fromEntries(Object.entries(all).map(([name, { sagas }]) => [name, sagas])),
    healthRecords: sync.healthRecords,
    identities: user.identities,
    calls: (method) =>
      Object.values(all).flatMap(({ calls }) => calls.filter((one) => one.method === method)),
    key,
    revoke: (what) => revoked.push({ sessionId: '', tokenId: '', userId: '', beforeMs: 0, ...what }),
    discoveryUrl: `static:${addresses.join(',')}`,
    stop: async () => {
      await Promise.all(Object.values(all).map(({ server }) => server.stop()));
    },
  };
};
