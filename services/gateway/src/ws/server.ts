import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Code, errorTable } from '@skein/contracts';
import { type WebSocket, WebSocketServer } from 'ws';
import type { LiveDeps } from '../live/deps.ts';
import type { Limits } from '../ports.ts';
import { type ClassicAddress, ClassicSocket } from './classic.ts';
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

// Closures that live as long as a socket are made here, where they cannot hold the request.

const settleOf = (limits: Limits, socket: object) => () => limits.unauthenticated.settle(socket);

const destroyOnError = (stream: Duplex): void => {
  stream.on('error', () => stream.destroy());
};

/** Whose socket a path names; undefined for other paths. */
const classicUser = (path: string): string | undefined => {
  const [, user] = /^\/ws\/([A-Za-z0-9._~%:-]{1,200})$/.exec(path) ?? [];
  try {
    return user && decodeURIComponent(user);
  } catch {
    // A broken escape names nobody.
    return undefined;
  }
};

const adopt = (
  deps: LiveDeps,
  ws: WebSocket,
  tcp: Socket,
  settle: () => void,
  classic?: ClassicAddress,
): void => {
  const { clock, sweeper, tuning } = deps;
  const socket = new LiveSocket(ws, tcp, tuning, () => clock.now(), deps.closes);
  sweeper.add(socket);
  ws.once('close', () => sweeper.remove(socket));
  if (!classic) {
    socket.handle(new ConnectSocket(deps, socket, settle));
    return;
  }
  const handler = new ClassicSocket(deps, socket, settle, classic);
  socket.handle(handler);
  handler.open();
};

/** The door for WebSockets. */
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
  const { tuning, limits, addressOf } = deps;
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
  // A handshake that is none (no key, another version): `ws` would answer with a page.
  server.on('wsClientError', (_error, stream) => refuse(stream, { status: 400, code: 'invalid_request' }));
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
    destroyOnError(stream);
    const url = URL.parse(request.url ?? '/', 'http://gateway');
    const userId = classicUser(url?.pathname ?? '');
    const refusal = refusalFor(request, stream, url?.pathname === '/v1/connect' || userId !== undefined);
    if (refusal) {
      refuse(stream, refusal);
      return;
    }
    const settle = settleOf(limits, request.socket);
    stream.once('close', settle);
    const query = url?.searchParams ?? new URLSearchParams();
    const classic = userId === undefined ? undefined : { userId, query };
    server.handleUpgrade(request, stream, head, (ws) => adopt(deps, ws, request.socket, settle, classic));
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
