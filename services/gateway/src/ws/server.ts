import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Code, errorTable } from '@skein/contracts';
import { WebSocketServer } from 'ws';
import type { LiveDeps } from '../live/deps.ts';
import { ClassicSocket } from './classic.ts';
import { ConnectSocket } from './connect.ts';
import { GatewayWebSocket, LiveSocket } from './socket.ts';

const statusText: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

interface Refusal {
  readonly status: number;
  readonly code: Code;
  readonly retryAfterMs?: number;
}

/** Refuses an upgrade before there is a WebSocket: a plain HTTP answer with an RFC 9457 body, then the end. */
const refuse = (socket: Duplex, { status, code, retryAfterMs }: Refusal): void => {
  const body = JSON.stringify({
    type: `urn:skein:error:${code}`,
    title: errorTable[code].title,
    status,
    code,
    detail: errorTable[code].title,
    retryable: errorTable[code].retryable,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  const retry =
    retryAfterMs === undefined ? '' : `Retry-After: ${Math.max(1, Math.ceil(retryAfterMs / 1_000))}\r\n`;
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${statusText[status]}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n${retry}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
};

/** How long a peer may take to answer our close before the line is cut; a slow one reads its last bytes in it. */
const closeTimeoutMs = 15_000;

/** Options of the upgrade. */
export interface WebSocketSide {
  /** Takes the `upgrade` of a server. */
  attach(server: Server): void;
  /** Refuses new sockets from now on. */
  leave(): void;
}

/**
 * The door for WebSockets: path, origin and the number of unknown guests of an address are looked at before
 * the handshake is answered.
 */
export const webSocketSide = (
  deps: LiveDeps,
  originAllowed: (request: IncomingMessage) => boolean,
): WebSocketSide => {
  const { tuning, limits, clock, addressOf } = deps;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: tuning.maxFrame,
    // A frame of many tiny fragments costs more than its bytes.
    maxFragments: 1_024,
    closeTimeout: closeTimeoutMs,
    WebSocket: GatewayWebSocket,
  } as ConstructorParameters<typeof WebSocketServer>[0]);
  let leaving = false;

  const refusalFor = (request: IncomingMessage, stream: Duplex, known: boolean): Refusal | undefined => {
    if (!known) return { status: 404, code: 'not_found' };
    if (!originAllowed(request)) return { status: 403, code: 'origin_not_allowed' };
    if (leaving) return { status: 503, code: 'unavailable', retryAfterMs: 1_000 };
    // Frames go straight to the TCP socket.
    if (stream !== request.socket) return { status: 400, code: 'invalid_request' };
    const verdict = limits.unauthenticated.admit(request.socket, addressOf(request));
    return verdict.ok
      ? undefined
      : { status: 429, code: 'too_many_connections', retryAfterMs: verdict.retryAfterMs };
  };

  const upgrade = (request: IncomingMessage, stream: Duplex, head: Buffer): void => {
    stream.on('error', () => stream.destroy());
    const url = URL.parse(request.url ?? '/', 'http://gateway');
    const classic = /^\/ws\/([A-Za-z0-9._~%-]{1,200})$/.exec(url?.pathname ?? '');
    const refusal = refusalFor(request, stream, url?.pathname === '/v1/connect' || classic !== null);
    if (refusal) {
      refuse(stream, refusal);
      return;
    }
    const settle = () => limits.unauthenticated.settle(request.socket);
    stream.once('close', settle);
    server.handleUpgrade(request, stream, head, (ws) => {
      const socket = new LiveSocket(ws, request.socket, tuning, () => clock.now());
      const handler = classic
        ? new ClassicSocket(deps, socket, settle, {
            userId: classic[1] ?? '',
            query: url?.searchParams ?? new URLSearchParams(),
          })
        : new ConnectSocket(deps, socket, settle);
      socket.handle(handler);
      deps.sweeper.add(socket);
      ws.once('close', () => deps.sweeper.remove(socket));
      if (handler instanceof ClassicSocket) handler.open();
    });
  };

  return {
    attach: (http) => {
      http.on('upgrade', upgrade);
    },
    leave: () => {
      leaving = true;
    },
  };
};
