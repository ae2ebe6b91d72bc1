import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { must } from '@skein/service-kit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { openDevice } from './support/device.ts';
import { newPerson, type TestMesh, testMesh } from './support/mesh.ts';

/** The bus hears of a commit within moments. */
const waiting = { timeout: 20_000, interval: 50 };

/** Everything a person says or shows in this file has one of these in it. */
const canary = `canary-${crypto.randomUUID()}`;
/** What nobody but the person and the service it is shown to may ever see, by what it is. */
const secrets = new Map<string, string>([['what was said', canary]]);

const exported: Buffer[] = [];
let collector: Server;
let on: TestMesh | undefined;
let logged: readonly string[] = [];
let told = '';

/** Takes what is exported, and keeps every byte of it. */
const startCollector = async (): Promise<string> => {
  collector = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    exported.push(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body);
    response.end();
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
};

/** Opens a classic socket and waits until it answers or is closed. */
const knock = (url: string): Promise<void> =>
  new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.once('open', () => socket.send('{"type":"ping"}'));
    socket.once('message', () => socket.close());
    socket.once('close', () => resolve());
    socket.on('error', () => {});
  });

/** Rows of everything that other services may read of each other: the bus, and what waits to get onto it. */
const eventRows = async (databaseUrl: string): Promise<string> => {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows: tables } = await client.query<{ schema: string; name: string }>(
      `select table_schema as schema, table_name as name from information_schema.tables
       where table_name in ('outbox', 'dead_letter') or table_schema = 'skein_bus'`,
    );
    const all: string[] = [];
    for (const { schema, name } of tables) {
      const { rows } = await client.query<{ row: string }>(
        `select row_to_json(t)::text as row from ${client.escapeIdentifier(schema)}.${client.escapeIdentifier(name)} t`,
      );
      all.push(...rows.map(({ row }) => row));
    }
    return all.join('\n');
  } finally {
    await client.end();
  }
};

/** A day in the life of a person, with everything that is secret in it, good and bad. */
const live = async (url: string): Promise<void> => {
  const person = await newPerson(url);
  secrets.set('the password', person.password);
  secrets.set('the access token', person.accessToken);
  secrets.set('the refresh token', person.refreshToken);
  const ask = async (method: string, path: string, body?: unknown, token = person.accessToken) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: (text.startsWith('{') ? JSON.parse(text) : {}) as Record<string, string>,
    };
  };
  const ws = url.replace('http', 'ws');
  const ticket = async (): Promise<string> => {
    const { body } = await ask('POST', '/v1/auth/tickets');
    const made = body['ticket'] ?? '';
    secrets.set(`ticket ${secrets.size}`, made);
    return made;
  };

  const device = { id: 'd', platform: 'web' };
  const login = await ask('POST', '/v1/auth/login', {
    email: person.email,
    password: person.password,
    device,
  });
  secrets.set('the access token of a login', login.body['accessToken'] ?? '');
  await ask('POST', '/v1/auth/login', { email: person.email, password: `${canary} wrong` });
  await ask('POST', '/v1/auth/refresh', { refreshToken: login.body['refreshToken'] });
  await ask('POST', '/v1/auth/refresh', { refreshToken: canary });
  const made = await ask('POST', '/v1/auth/tokens', { name: 'ci', scopes: ['session'] });
  secrets.set('the API token', made.body['token'] ?? '');

  const phone = await openDevice(url, 'phone', () => person.accessToken);
  const { turnId } = await phone.say(`hello ${canary}`);
  await phone.until('the end of the answer', (frame) => {
    const event = frame['event'] as { type: string; data: { turnId?: string } } | undefined;
    return event?.type === 'message.completed' && event.data.turnId === turnId;
  });
  phone.close();

  await knock(`${ws}/ws/${person.id}?token=${person.accessToken}`);
  await knock(`${ws}/ws/${person.id}?token=${await ticket()}`);
  await knock(`${ws}/ws/${person.id}?token=${canary}`);
  await fetch(`${url}/v1/poll?device=p&ticket=${await ticket()}`);
  await fetch(`${url}/v1/poll?device=p&ticket=${canary}`);
  await fetch(`${url}/v1/nothing?token=${person.accessToken}&q=${canary}`);
  await ask('GET', '/v1/me', undefined, canary);
  await ask('POST', '/v1/spaces/personal/messages', `{"text": "${canary}`);
  await ask('POST', '/v1/spaces/personal/messages', { clientMessageId: 'k', text: { [canary]: canary } });
  await ask('PATCH', '/v1/me', { displayName: canary });
  await ask('PUT', '/v1/me/preferences', { note: canary });
  await ask('POST', '/sync/event', {
    ...{ user_id: person.id, platform: 'web', event_type: 'data_update' },
    data: { id: 'doc', type: 'task', data: { note: canary }, timestamp: 1, version: 1 },
  });
  await ask('POST', '/v1/auth/logout', {});
};

beforeAll(async () => {
  const endpoint = await startCollector();
  on = await testMesh({
    env: { LOG_LEVEL: 'trace', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, AGENT_OFFLINE_PACE_MS: '1' },
  });
  await live(on.url);
  const { url } = must(on.mesh.postgres, 'the mesh has a database of its own');
  await vi.waitFor(async () => {
    told = await eventRows(url);
    expect(told).toContain('message.completed');
  }, waiting);
  for (const [service, text] of Object.entries(on.mesh.secrets))
    if (typeof text === 'string') secrets.set(`the deployment’s ${service}`, text);
  logged = on.lines;
  // Stopping writes the last line and exports the last span.
  await on[Symbol.asyncDispose]();
}, 180_000);

afterAll(async () => {
  await on?.[Symbol.asyncDispose]();
  collector?.close();
}, 90_000);

/** Which secrets stand in a text, by what they are; a token also counts by its signature alone. */
const found = (text: string): string[] =>
  [...secrets]
    .filter(([, secret]) => text.includes(secret.split('.').at(-1) ?? secret))
    .map(([what]) => what);

describe('what services write down about people', () => {
  it('begins with secrets worth looking for', () => {
    expect(secrets.size).toBeGreaterThan(9);
    expect([...secrets].filter(([, secret]) => secret.length < 16)).toEqual([]);
    expect(found(`a text with ${canary} in it`)).toEqual(['what was said']);
  });

  it('has no token, ticket, password or text of theirs in any log, at the most talkative level', () => {
    expect(logged.length).toBeLessThan(20_000);
    expect(logged.some((line) => line.includes('/v1/auth/login'))).toBe(true);
    expect(found(logged.join('\n'))).toEqual([]);
  });

  it('has none in any span', () => {
    const spans = Buffer.concat(exported).toString('latin1');
    expect(spans).toContain('POST /v1/auth/login');
    expect(found(spans)).toEqual([]);
  });

  it('has none in any event that services tell each other', () => {
    expect(told).toContain('user.login');
    expect(found(told)).toEqual([]);
  });
});
