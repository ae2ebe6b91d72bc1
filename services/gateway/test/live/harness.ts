import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { AppError, agentV1, authV1, syncV1, toAppError, userV1 } from '@skein/contracts';
import { type Definition, identity, rpcClient } from '@skein/rpc';
import { systemClock } from '@skein/service-kit';
import { createLogger, createMetrics } from '@skein/telemetry';
import type { NextFunction, Request, Response } from 'express';
import { localLimits } from '../../src/limits/limits.ts';
import { type Live, liveSide, type Tuning } from '../../src/live/index.ts';
import type { Principal, TokenVerifier } from '../../src/ports.ts';
import { type FakeMesh, fakeMesh, internalSecret } from '../fakes.ts';
import { SpaceLog } from './space-log.ts';
import { TestSocket } from './test-socket.ts';

/** Limits high enough to be out of the way. */
const config = {
  ...{ SOCKETS_PER_PERSON: 20, PING_MS: 25_000, CALL_TIMEOUT_MS: 5_000, TRUST_PROXY: 0 },
  ...{ CORS_ORIGINS: ['https://app.example.org'], MESSAGES_PER_SECOND: 1_000, MESSAGES_BURST: 1_000 },
  ...{ REQUESTS_PER_SECOND: 1_000, ANONYMOUS_PER_SECOND: 1_000, LOGINS_PER_MINUTE: 1_000 },
  ...{ REGISTRATIONS_PER_HOUR: 1_000, UNAUTHENTICATED_PER_ADDRESS: 50 },
};

/** A verifier that believes `user` or `user/sid`, with times and scopes a test may set. */
export class FakeVerifier implements TokenVerifier {
  private readonly listeners = new Set<(match: (principal: Principal) => boolean) => void>();
  readonly revoked = new Set<string>();
  scopes: readonly string[] = ['session', 'messages:write', 'documents:read', 'documents:write'];
  expiresAtMs = Number.MAX_SAFE_INTEGER;
  away = false;

  async verify(token: string): Promise<Principal> {
    if (this.away) throw new AppError('unavailable');
    if (token === 'expired') throw new AppError('token_expired');
    if (!token.startsWith('jwt.')) throw new AppError('unauthenticated');
    const [, userId = '', sessionId = ''] = token.split('.');
    const { scopes, expiresAtMs } = this;
    return { userId, sessionId, scopes, expiresAtMs, issuedAtMs: 0, kind: 'login' };
  }

  isRevoked({ sessionId }: Principal): boolean {
    return sessionId !== undefined && this.revoked.has(sessionId);
  }

  onRevoked(listener: (match: (principal: Principal) => boolean) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  revoke(sessionId: string): void {
    this.revoked.add(sessionId);
    for (const listener of this.listeners) listener((principal) => principal.sessionId === sessionId);
  }
}

/** A token of a person for `FakeVerifier`. */
export const tokenOf = (user: string, session = `sid-${user}`): string => `jwt.${user}.${session}`;

/** The socket side over fake services, with a client for every transport. */
export interface Harness {
  readonly sync: SpaceLog;
  readonly mesh: FakeMesh;
  readonly verifier: FakeVerifier;
  readonly live: Live;
  readonly port: number;
  readonly url: string;
  /** The page that a scraper reads. */
  metrics(): string;
  /** TCP connections that are open. */
  connections(): Promise<number>;
  /** New connections take one write in a turn of the event loop: the kernel takes megabytes at once. */
  slowLines(): void;
  /** Moves the clock of the socket side. */
  pass(ms: number): void;
  /** Opens a WebSocket and says nothing. */
  socket(path?: string, options?: { origin?: string }): TestSocket;
  /** Opens `/v1/connect` and says hello. */
  hello(user: string, hello?: Readonly<Record<string, unknown>>): TestSocket;
  stop(): Promise<void>;
}

const serve = (live: Live): Server => {
  const http = createServer((request, response) => {
    const next = (error?: unknown) => {
      const fault = toAppError(error ?? new AppError('not_found'));
      if (!response.headersSent) response.writeHead(fault.row.http, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ code: fault.code, detail: fault.detail }));
    };
    const path = URL.parse(request.url ?? '/', 'http://test')?.pathname;
    const handler = { '/v1/stream': live.stream, '/v1/poll': live.poll }[path ?? ''];
    if (handler) handler(request as Request, response as Response, next as NextFunction);
    else next();
  });
  live.attach(http);
  return http;
};

/** Starts the socket side on a port of the system's choice. */
export const startLive = async (
  tuning: Partial<Tuning> = {},
  over: Partial<typeof config> = {},
): Promise<Harness> => {
  const mesh = await fakeMesh();
  const sync = new SpaceLog();
  Object.assign(mesh.sync, sync.script());
  mesh.auth.createTicket = async () => ({ ticket: 'next-ticket', expiresInS: 60 });
  const log = createLogger({
    service: 'gateway',
    instance: 'test',
    level: process.env['LIVE_LOG'] ?? 'silent',
  });
  const metrics = createMetrics();
  const addresses = new Map(
    mesh.discoveryUrl
      .slice('static:'.length)
      .split(',')
      .map((one) => one.split('=') as [string, string]),
  );
  const client = <D extends Definition>(definition: D, service: string) =>
    rpcClient(definition, {
      service,
      target: addresses.get(service) ?? '',
      identity: identity({ service: 'gateway', secret: internalSecret }),
      log,
      metrics,
    });
  const clients = {
    auth: client(authV1.AuthServiceService, 'auth'),
    user: client(userV1.UserServiceService, 'user'),
    sync: client(syncV1.SyncServiceService, 'session-sync'),
    agent: client(agentV1.AgentServiceService, 'agent'),
  };
  const verifier = new FakeVerifier();
  const time = { passedMs: 0 };
  const settings = { ...config, ...over };
  const live = liveSide({
    ...{ clients, verifier, config: settings, log, metrics },
    clock: { now: () => systemClock.now() + time.passedMs },
    limits: localLimits(settings, systemClock),
    tuning: { sweepMs: 20, drainMs: 50, retryBaseMs: 5, retryCapMs: 20, ...tuning },
  });
  const all = Object.values(clients);
  await Promise.all(all.map((one) => one.run()));
  await live.service.run();
  const http = serve(live);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const sockets: TestSocket[] = [];
  const socket: Harness['socket'] = (path = '/v1/connect', options = {}) => {
    const opened = new TestSocket(`ws://127.0.0.1:${port}${path}`, options);
    sockets.push(opened);
    return opened;
  };
  return {
    ...{ sync, mesh, verifier, live, port, socket },
    metrics: () => metrics.print(),
    connections: promisify(http.getConnections.bind(http)),
    slowLines: () => {
      http.on('connection', (line: Socket) => {
        const write = line._write.bind(line);
        line._write = (chunk: Buffer, encoding, done) => {
          setImmediate(() => write(chunk, encoding, done));
        };
        Object.assign(line, { _writev: null });
      });
    },
    pass: (ms) => {
      time.passedMs += ms;
    },
    url: `http://127.0.0.1:${port}`,
    hello: (user, hello = {}) => {
      const opened = socket();
      const device = { id: `device-${user}`, platform: 'web' };
      opened.send({ type: 'hello', v: 1, token: tokenOf(user), device, ...hello });
      return opened;
    },
    stop: async () => {
      for (const one of sockets) one.cut();
      http.closeAllConnections();
      http.close();
      await live.service.stop();
      await Promise.all(all.map((one) => one.stop()));
      await mesh.stop();
    },
  };
};
