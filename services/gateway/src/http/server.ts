import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type AppError, type Code, errorTable } from '@skein/contracts';
import type { Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import type { ConnectionGuard } from '../ports.ts';
import { limited, problemOf, retryAfterSeconds } from './problem.ts';

/** What the server is made of. */
export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly handler: RequestListener;
  /** Bounds connections that have not signed in, by the address of the peer; undefined behind a proxy. */
  readonly guard: ConnectionGuard | undefined;
  /** Requests that may outlive a drain because their own part ends them, such as streams. */
  readonly isStream: (request: IncomingMessage) => boolean;
  /** Called when the drain begins. */
  readonly onLeaving: () => void;
  readonly log: Logger;
  readonly timeouts?: { readonly headersMs: number; readonly requestMs: number };
  /** When nobody has asked anything for this long, those who leave their connections open are not waited for. Default 1 s. */
  readonly quietMs?: number;
}

/** The HTTP server as a service. */
export interface HttpServer extends Service {
  readonly server: Server;
  /** The port it listens on, once it runs. */
  readonly port: number;
}

/** Slow headers and slow bodies hold a connection no longer than this. */
const defaultTimeouts = { headersMs: 10_000, requestMs: 30_000 };

/** A whole answer for a connection whose request never became one. */
const bare = (status: number, title: string, body: object, headers: readonly string[] = []): string => {
  const text = JSON.stringify(body);
  return [
    `HTTP/1.1 ${status} ${title}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
    ...headers,
    '',
    text,
  ].join('\r\n');
};

/** How long a refused peer may take to read why. */
const refusedMs = 1_000;

const refuse = (socket: Socket, error: AppError): void => {
  const problem = problemOf(error, '');
  const retry =
    problem.retryAfterMs === undefined ? [] : [`Retry-After: ${retryAfterSeconds(problem.retryAfterMs)}`];
  socket.on('error', () => socket.destroy());
  socket.end(bare(problem.status, 'Too Many Requests', problem, retry));
  // What it sends is thrown away: closing over unread bytes would reset the line before the answer is read.
  socket.resume();
  const late = setTimeout(() => socket.destroy(), refusedMs);
  socket.once('close', () => clearTimeout(late));
};

/** Looks at each connection before the HTTP parser does: a request of a refused one is never acted on. */
const guardConnections = (server: Server, guard: ConnectionGuard): void => {
  const [serve] = server.listeners('connection');
  if (!serve) throw new Error('bug: an HTTP server takes connections');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const verdict = guard.admit(socket, socket.remoteAddress ?? '');
    if (!verdict.ok) return refuse(socket, limited('too_many_connections', verdict.retryAfterMs));
    socket.once('close', () => guard.settle(socket));
    serve.call(server, socket);
  });
};

/** What the parser refuses, as our problems. */
const parserFaults: Readonly<Record<string, readonly [number, string, Code]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'deadline_exceeded'],
};

const answerParserFault = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, title, code] = parserFaults[error.code ?? ''] ?? [400, 'Bad Request', 'invalid_request'];
  const { retryable } = errorTable[code];
  const problem = {
    type: `urn:skein:error:${code}`,
    title,
    status,
    code,
    detail: title,
    retryable,
    traceId: '',
  };
  socket.end(bare(status, title, problem));
};

/**
 * Longer than proxies keep idle connections to what is behind them (nginx and cloud balancers: 60 s): whoever closes first
 * is not surprised by a request on its way, which would cost the client a 502.
 */
const keepAliveMs = 65_000;

/**
 * Connections that may wait to be taken: one that finds no room is dropped by the kernel and tries again after 1, 3 and
 * 7 s, so it is as many as come back at once. Linux takes net.core.somaxconn at most, 4,096 unless it was changed.
 */
const backlog = 16_384;

/** How many times as long clients that go on asking are answered, to learn that their connections end. */
const maxLulls = 5;

/**
 * The public port. Drain: answers say `Connection: close` until it is quiet, because a connection that is closed while
 * its client sends costs that client a request; then no new connections, idle ones closed, requests in hand are
 * finished; streams and sockets are ended by the part that owns them. Stop cuts what is left.
 */
export const httpServer = (options: HttpServerOptions): HttpServer => {
  const { host, port, handler, guard, isStream, onLeaving, log } = options;
  const { timeouts = defaultTimeouts, quietMs = 1_000 } = options;
  const inHand = new Set<IncomingMessage>();
  let draining = false;
  let asked = 0;
  let emptied = () => {};

  const server = createServer(
    {
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      // How often the two are looked at.
      connectionsCheckingInterval: Math.min(1_000, timeouts.headersMs),
      keepAliveTimeout: keepAliveMs,
      maxHeaderSize: 16_384,
    },
    (req, res) => {
      asked += 1;
      if (draining) res.setHeader('Connection', 'close');
      if (!isStream(req)) inHand.add(req);
      res.once('close', () => {
        inHand.delete(req);
        if (inHand.size === 0) emptied();
      });
      handler(req, res);
    },
  );
  server.maxRequestsPerSocket = 1_000;
  server.on('clientError', answerParserFault);
  if (guard) guardConnections(server, guard);
  const address = () => server.address() as AddressInfo | null;
  const connections = promisify(server.getConnections.bind(server));

  return {
    id: 'http',
    server,
    get port() {
      return address()?.port ?? 0;
    },
    run: () =>
      new Promise((resolve, reject) => {
        server.once('error', (error: NodeJS.ErrnoException) => {
          const why = error.code === 'EADDRINUSE' ? ': the port is in use (set PORT)' : '';
          reject(new Error(`Cannot listen on ${host}:${port}${why}`, { cause: error }));
        });
        server.listen({ host, port, backlog }, () => {
          log.info({ host, port: address()?.port }, 'http listens');
          resolve();
        });
      }),
    drain: async () => {
      draining = true;
      onLeaving();
      let lulls = (await connections()) > 0 ? maxLulls : 0;
      for (let before = -1; lulls > 0 && before !== asked; lulls -= 1) {
        before = asked;
        await pause(quietMs);
      }
      server.close();
      server.closeIdleConnections();
      if (inHand.size > 0) {
        await new Promise<void>((resolve) => {
          emptied = resolve;
        });
      }
      server.closeIdleConnections();
    },
    stop: async () => {
      onLeaving();
      if (server.listening) server.close();
      server.closeAllConnections();
    },
  };
};
