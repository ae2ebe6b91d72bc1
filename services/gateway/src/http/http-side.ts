import { join } from 'node:path';
import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import type { AuthSide } from '../auth/auth-side.ts';
import type { GatewayConfig } from '../config.ts';
import type {
  Clients,
  ConfigAdmins,
  EventAdmins,
  HealthRecords,
  Identities,
  Limits,
  LiveSide,
  SagaClients,
} from '../ports.ts';
import { classicClientFrames, classicServerFrames } from '../ws/classic-schemas.ts';
import { clientFrames, serverFrames } from '../ws/schemas.ts';
import { addressBehind } from './address.ts';
import { gatewayApp } from './app.ts';
import { asyncApi } from './asyncapi.ts';
import { openApi } from './openapi.ts';
import { originCheck } from './origins.ts';
import type { Route } from './route.ts';
import { adminRoutes } from './routes/admin.ts';
import { authRoutes } from './routes/auth.ts';
import { classicRoutes } from './routes/classic.ts';
import { configRoutes } from './routes/config.ts';
import { conflictRoutes } from './routes/conflicts.ts';
import { conversationRoutes } from './routes/conversations.ts';
import { documentRoutes } from './routes/documents.ts';
import { exportRoutes } from './routes/export.ts';
import { healthRecordRoutes } from './routes/health-records.ts';
import { identityRoutes } from './routes/identities.ts';
import { invitationRoutes } from './routes/invitations.ts';
import { meRoutes } from './routes/me.ts';
import { peopleRoutes } from './routes/people.ts';
import { projectRoutes } from './routes/projects.ts';
import { sagaAdminRoutes, sagaRoutes } from './routes/sagas.ts';
import { serviceRoutes } from './routes/service.ts';
import { spaceRoutes } from './routes/spaces.ts';
import { seenDocuments } from './seen-documents.ts';
import { type HttpServer, httpServer } from './server.ts';

/** What the HTTP side is made of. */
export interface HttpSideOptions {
  readonly config: GatewayConfig;
  readonly clients: Clients;
  readonly eventAdmins: EventAdmins;
  readonly configAdmins: ConfigAdmins;
  /** Names this process among its replicas. */
  readonly instance: string;
  readonly sagas: SagaClients;
  readonly healthRecords: HealthRecords;
  readonly identities: Identities;
  readonly auth: AuthSide;
  readonly limits: Limits;
  readonly live: LiveSide;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** Facts for operators. */
  readonly facts: () => Readonly<Record<string, unknown>>;
}

/** Version of the API documents; the contract only grows, so the major stays. */
const version = '1.0.0';

/** Where the console is built in this repository. */
const builtConsole = join(import.meta.dirname, '../../../../packages/console/dist');

const routesOf = (options: HttpSideOptions, publicUrl: string, leaving: AbortSignal): Route[] => {
  const { config, clients, live, clock, newId, auth, facts } = options;
  return [
    ...authRoutes(clients, () => config.REGISTRATION_OPEN),
    ...meRoutes(clients),
    ...spaceRoutes(clients),
    ...invitationRoutes(clients),
    ...conversationRoutes(clients),
    ...documentRoutes(clients),
    ...conflictRoutes(clients),
    ...adminRoutes(options.eventAdmins),
    ...configRoutes({ config, instance: options.instance, others: options.configAdmins }),
    ...healthRecordRoutes(options.healthRecords),
    ...projectRoutes(clients),
    ...identityRoutes(options.identities),
    ...exportRoutes(clients, options.identities),
    ...sagaRoutes(options.sagas),
    ...sagaAdminRoutes(options.sagas),
    ...peopleRoutes(clients),
    ...classicRoutes({
      ...{ clients, live, clock, newId, seen: seenDocuments() },
      callTimeoutMs: config.CALL_TIMEOUT_MS,
      answerTimeoutMs: config.ANSWER_TIMEOUT_MS,
    }),
    ...serviceRoutes({
      ...{ keys: auth.keys, live, issuer: config.AUTH_ISSUER, publicUrl, leaving, facts },
    }),
  ];
};

const channels = {
  connect: { address: '/v1/connect', title: 'Frames', client: clientFrames, server: serverFrames },
  classic: {
    address: '/ws/{user_id}',
    title: 'Classic frames',
    client: classicClientFrames,
    server: classicServerFrames,
  },
};

/** Table, documents, app and server; the sockets are attached to it. */
export const httpSide = (options: HttpSideOptions): HttpServer => {
  const { config, auth, limits, live, log, metrics } = options;
  const leaving = new AbortController();
  const publicUrl = (config.PUBLIC_URL || `http://${config.HOST}:${config.PORT}`).replace(/\/$/, '');
  const routes = routesOf(options, publicUrl, leaving.signal);
  const app = gatewayApp({
    routes,
    documents: {
      '/openapi.json': openApi(routes, { version, url: publicUrl }),
      '/asyncapi.json': asyncApi(channels, { version, host: new URL(publicUrl).host }),
    },
    originAllowed: originCheck(() => [...config.CORS_ORIGINS, publicUrl]),
    addressOf: addressBehind(config.TRUST_PROXY, () =>
      log.warn(
        'a request came through a proxy (X-Forwarded-For), but TRUST_PROXY is 0: limits count everybody behind it as one address',
      ),
    ),
    tls: config.BEHIND_TLS,
    publicUrl: config.PUBLIC_URL,
    consoleDirectory: config.CONSOLE_DIR || builtConsole,
    ...{ verifier: auth.verifier, limits, log, metrics },
    callTimeoutMs: config.CALL_TIMEOUT_MS,
    // The wait for the answer has its own, exact end; this one is only behind it.
    waitTimeoutMs: config.ANSWER_TIMEOUT_MS + 2 * config.CALL_TIMEOUT_MS,
    leaving: leaving.signal,
  });
  const streams = new Set(['/v1/stream', '/v1/poll']);
  const http = httpServer({
    host: config.HOST,
    port: config.PORT,
    handler: app,
    // Behind a proxy every connection has the proxy's address.
    guard: config.TRUST_PROXY === 0 ? limits.unauthenticated : undefined,
    isStream: (request) => streams.has((request.url ?? '').split('?')[0] ?? ''),
    onLeaving: () =>
      leaving.abort(new AppError('unavailable', 'This gateway is leaving', { retryAfterMs: 500 })),
    log,
  });
  live.attach(http.server);
  return http;
};
