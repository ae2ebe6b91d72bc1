import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { type WebSocket, WebSocketServer } from 'ws';
import { answers, personas } from './fake-answers.ts';

/**
 * A gateway on the wire, for looking at the page without the mesh: one person, one space, in memory. It speaks
 * the REST calls and frames the console uses, and nothing else of the contract.
 */
export interface FakeGateway {
  readonly url: string;
  /** Cuts every socket with a close code; `refuseMs` also turns new ones away for a while. */
  cut(code: number, reason?: string, refuseMs?: number): void;
  close(): Promise<void>;
}

type Json = Record<string, unknown>;
interface Peer {
  readonly socket: WebSocket;
  readonly device: Json;
}

const policy = "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self'";
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
/** Starts it on a free port (or `port`), serving the built page from `dist` when given. */
export async function fakeGateway(
  options: { port?: number; dist?: string; tokenMs?: number } = {},
): Promise<FakeGateway> {
  const epoch = randomUUID();
  const space = randomUUID();
  const user: Json = {
    id: randomUUID(),
    email: 'mei@example.com',
    displayName: 'Mei Lin',
    createdAt: new Date().toISOString(),
  };
  const log: Json[] = [];
  const conversations = new Map<string, Json>();
  const messages: Json[] = [];
  const running = new Map<
    string,
    { cancelled: boolean; text: string; messageId: string; conversationId: string }
  >();
  const peers = new Set<Peer>();
  const session: Json = { persona: 'cruz', memoryEnabled: true };
  let refuseUntil = 0;

  const broadcast = (frame: Json): void => {
    for (const peer of peers) peer.socket.send(JSON.stringify(frame));
  };
  const append = (type: string, data: Json, platform = 'web'): number => {
    const event = {
      id: randomUUID(),
      type,
      time: new Date().toISOString(),
      actor: { kind: 'user', platform },
      data,
    };
    log.push(event);
    broadcast({ type: 'event', space, epoch, offset: log.length, event });
    return log.length;
  };
  const presence = (): void =>
    broadcast({
      type: 'presence',
      space,
      devices: [
        ...[...peers].map(({ device }) => ({
          user: user['id'],
          device: device['id'],
          platform: device['platform'],
          name: device['name'],
          connected: true,
          lastSeen: Date.now(),
        })),
        {
          user: user['id'],
          device: 'cli',
          platform: 'cli',
          name: 'Terminal, workstation',
          connected: true,
          lastSeen: Date.now(),
        },
        {
          user: user['id'],
          device: 'tg',
          platform: 'telegram',
          name: 'Telegram',
          connected: false,
          lastSeen: Date.now() - 3_600_000,
        },
      ],
    });
  const createConversation = (title: string): string => {
    const id = randomUUID();
    conversations.set(id, { id, title });
    append('conversation.created', { conversationId: id, title });
    return id;
  };
  const put = (message: Json): void => void messages.push({ ...message, time: new Date().toISOString() });

  function answer(conversationId: string, turnId: string, asked: string): void {
    const text = /short|短/.test(asked) ? answers.short : answers.long;
    const turn = { cancelled: false, text: '', messageId: randomUUID(), conversationId };
    const { messageId } = turn;
    running.set(turnId, turn);
    append('turn.started', { turnId, messageId, conversationId, persona: session['persona'] });
    const points = [...text];
    let from = 0;
    const step = (): void => {
      const failed = /fail/.test(asked) && from > 60;
      if (turn.cancelled || failed || from >= points.length) {
        running.delete(turnId);
        const type = turn.cancelled ? 'turn.cancelled' : failed ? 'turn.failed' : 'message.completed';
        const state = turn.cancelled ? 'cancelled' : failed ? 'failed' : 'complete';
        const end = {
          turnId,
          messageId,
          conversationId,
          role: 'assistant',
          text: turn.text,
          persona: session['persona'],
          meta: { offline: /offline/.test(asked) },
        };
        put({ ...end, id: messageId, state });
        append(type, end);
        return;
      }
      const piece = points.slice(from, from + 6).join('');
      broadcast({ type: 'token', space, conversationId, turnId, messageId, from, text: piece });
      turn.text += piece;
      from += [...piece].length;
      setTimeout(step, options.tokenMs ?? 25);
    };
    setTimeout(step, 600);
  }

  function say(frame: Json): Json {
    const known = messages.find((m) => m['clientMessageId'] === frame['clientMessageId']);
    if (known !== undefined)
      return { messageId: known['id'], conversationId: known['conversationId'], duplicate: true };
    const conversationId = String(
      frame['conversationId'] ?? conversations.keys().next().value ?? createConversation(''),
    );
    const message = {
      id: randomUUID(),
      conversationId,
      role: 'user',
      text: frame['text'],
      clientMessageId: frame['clientMessageId'],
      persona: session['persona'],
      platform: 'web',
      turnId: randomUUID(),
    };
    put({ ...message, state: 'complete' });
    const offset = append('message.created', { ...message, messageId: message.id });
    answer(conversationId, message.turnId, String(frame['text']));
    return { messageId: message.id, conversationId, turnId: message.turnId, offset };
  }

  function command(frame: Json): Json | undefined {
    switch (frame['type']) {
      case 'message':
        return say(frame);
      case 'cancel': {
        const turn = running.get(String(frame['turnId']));
        if (turn !== undefined) turn.cancelled = true;
        return { state: 'cancelled' };
      }
      case 'persona_change':
        session['persona'] = frame['persona'];
        return { offset: append('persona.changed', { persona: frame['persona'] }) };
      case 'memory_toggle':
        session['memoryEnabled'] = frame['enabled'];
        return { offset: append('memory.toggled', { enabled: frame['enabled'] }) };
      case 'auth':
        return { authExpiresAt: Date.now() + 900_000 };
      case 'typing':
        broadcast({
          type: 'typing',
          space,
          conversationId: frame['conversationId'],
          user: user['id'],
          device: 'cli',
        });
        return undefined;
      default:
        return undefined;
    }
  }

  function greet(socket: WebSocket, hello: Json): Peer {
    const device = hello['device'] as Json;
    const peer = { socket, device };
    const asked = (hello['streams'] as Json[] | undefined)?.[0] ?? {};
    const after = typeof asked['offset'] === 'number' ? asked['offset'] : -1;
    const recovered = asked['epoch'] === epoch && after >= 0 && after <= log.length;
    const send = (frame: Json): void => socket.send(JSON.stringify(frame));
    send({
      type: 'welcome',
      connection: randomUUID(),
      user: user['id'],
      device: device['id'],
      streams: [{ space, epoch, offset: log.length, recovered, lastSeq: 0 }],
      authExpiresAt: Date.now() + 900_000,
      pingMs: 25_000,
      maxFrame: 1_000_000,
      maxInflight: 64,
      serverTime: Date.now(),
    });
    if (recovered)
      log
        .slice(after)
        .forEach((event, i) => void send({ type: 'event', space, epoch, offset: after + i + 1, event }));
    else {
      const heads = [...conversations.values()].map((c) => {
        const own = messages.filter((m) => m['conversationId'] === c['id']);
        return { ...c, head: own.at(-1)?.['id'] ?? '', count: own.length };
      });
      const documents = [
        { collection: 'session', id: 'current', version: 1, hash: '', value: { ...session } },
      ];
      send({
        type: 'snapshot',
        space,
        epoch,
        offset: log.length,
        part: 1,
        parts: 2,
        documents,
        conversations: [],
      });
      send({
        type: 'snapshot',
        space,
        epoch,
        offset: log.length,
        part: 2,
        parts: 2,
        documents: [],
        conversations: heads.toReversed(),
        stateHash: '1:0',
      });
    }
    for (const [turnId, { messageId, conversationId, text }] of running)
      send({ type: 'token', space, conversationId, turnId, messageId, from: 0, text });
    peers.add(peer);
    presence();
    return peer;
  }

  const tokens = (): Json => ({
    user,
    accessToken: `a.${randomUUID()}`,
    refreshToken: `r.${randomUUID()}`,
    expiresIn: 900,
  });
  const problem = (
    response: ServerResponse,
    status: number,
    code: string,
    detail: string,
    more: Json = {},
  ): void => {
    response.writeHead(status, { 'content-type': 'application/problem+json' });
    response.end(
      JSON.stringify({
        type: `about:blank#${code}`,
        title: detail,
        status,
        code,
        detail,
        retryable: status === 429,
        ...more,
      }),
    );
  };

  async function rest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://x');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = (chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString())) as Json;
    const json = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(value === undefined ? undefined : JSON.stringify(value));
    };
    if (path === '/v1/auth/login' && body['password'] === 'wrong-password')
      return problem(response, 401, 'invalid_credentials', 'The address or the password is wrong');
    if (path === '/v1/auth/register' && String(body['email']).startsWith('taken'))
      return problem(response, 409, 'email_taken', 'This address is taken');
    if (path === '/v1/auth/login' && String(body['email']).startsWith('busy'))
      return problem(response, 429, 'rate_limited', 'Too many requests', { retryAfterMs: 12_000 });
    if (path === '/v1/auth/login' || path === '/v1/auth/refresh') return json(200, tokens());
    if (path === '/v1/auth/register') return json(201, tokens());
    if (path === '/v1/auth/logout') return response.writeHead(204).end() && undefined;
    if (request.headers.authorization === undefined)
      return problem(response, 401, 'unauthenticated', 'Sign in first');
    if (path === '/v1/me') return json(200, user);
    if (path === '/v1/personas') return json(200, { items: personas });
    const turn = /^\/v1\/turns\/([^/]+)$/.exec(path)?.[1];
    if (turn !== undefined) {
      const found = running.get(turn);
      return found === undefined
        ? problem(response, 404, 'not_found', 'Not found')
        : json(200, { id: turn, state: 'streaming', ...found });
    }
    if (/\/conversations$/.test(path) && request.method === 'POST')
      return json(201, conversations.get(createConversation(String(body['title'] ?? ''))));
    const listed = /\/conversations\/([^/]+)\/messages$/.exec(path)?.[1];
    if (listed !== undefined) {
      const own = messages.filter((m) => m['conversationId'] === listed);
      const end = own.length - Number(searchParams.get('cursor') ?? 0);
      const start = Math.max(0, end - Number(searchParams.get('limit') ?? 50));
      return json(200, {
        items: own.slice(start, end),
        ...(start > 0 ? { next: String(own.length - start) } : {}),
      });
    }
    return problem(response, 404, 'not_found', 'Not found');
  }

  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (path.startsWith('/v1/')) return void rest(request, response);
    const file = join(options.dist ?? '/nonexistent', normalize(path === '/' ? 'index.html' : path));
    readFile(file).then(
      (bytes) =>
        response
          .writeHead(200, {
            'content-type': types[extname(file)] ?? 'application/octet-stream',
            'content-security-policy': policy,
          })
          .end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  const sockets = new WebSocketServer({ server, path: '/v1/connect' });
  sockets.on('connection', (socket) => {
    if (Date.now() < refuseUntil) return socket.close(4013, '');
    let peer: Peer | undefined;
    socket.on('message', (raw) => {
      const frame = JSON.parse(String(raw)) as Json;
      if (frame['type'] === 'hello') peer = greet(socket, frame);
      else if (frame['type'] === 'ping')
        socket.send(JSON.stringify({ type: 'pong', serverTime: Date.now() }));
      else {
        const result = command(frame);
        if (frame['id'] !== undefined)
          socket.send(JSON.stringify({ type: 'result', id: frame['id'], ...result }));
      }
    });
    socket.on('close', () => {
      if (peer !== undefined && peers.delete(peer)) presence();
    });
  });
  await new Promise<void>((ready) => server.listen(options.port ?? 0, '127.0.0.1', ready));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: (code, reason = '', refuseMs = 0) => {
      refuseUntil = Date.now() + refuseMs;
      for (const { socket } of peers) socket.close(code, reason);
    },
    close: async () => {
      for (const client of sockets.clients) client.terminate();
      await new Promise((done) => server.close(done));
    },
  };
}
