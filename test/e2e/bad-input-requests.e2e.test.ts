import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsedAnswer, rawAnswer } from './bad-input/answered.ts';
import { bytesOf } from './bad-input/bytes.ts';
import {
  foreignRequests,
  misshapenRequests,
  type RequestCase,
  unreadableRequests,
} from './bad-input/request-cases.ts';
import { wireCases } from './bad-input/wire-cases.ts';
import { newPerson, type Person, type TestMesh, testMesh } from './support/mesh.ts';

let on: TestMesh;
let me: Person;
let names: Record<string, string>;
let gatewayPid: number | undefined;

beforeAll(async () => {
  on = await testMesh({ env: { LOGINS_PER_MINUTE: '1000', ANONYMOUS_PER_SECOND: '1000' } });
  me = await newPerson(on.url);
  const other = await newPerson(on.url);
  const space = await fetch(`${on.url}/v1/spaces/personal`, {
    headers: { authorization: `Bearer ${other.accessToken}` },
  });
  const { id: otherSpace } = (await space.json()) as { id: string };
  names = { me: me.id, other: other.id, otherEmail: other.email, otherSpace };
  gatewayPid = on.mesh.processes.get('gateway')?.pid;
}, 120_000);

afterAll(async () => {
  await on?.[Symbol.asyncDispose]();
}, 60_000);

/** The path goes as it is: `fetch` would tidy it up. */
const send = (one: RequestCase): Promise<{ status: number; type: string; body: Record<string, unknown> }> =>
  new Promise((resolve, reject) => {
    const asked = request(
      on.url + bytesOf(one.path, names).toString(),
      {
        method: one.method ?? 'POST',
        headers: {
          ...(one.anonymous ? {} : { authorization: `Bearer ${me.accessToken}` }),
          ...(one.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...one.headers,
        },
        signal: AbortSignal.timeout(10_000),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            type: response.headers['content-type'] ?? '',
            body: JSON.parse(text) as Record<string, unknown>,
          }),
        );
      },
    );
    asked.on('error', reject);
    asked.end(one.body === undefined ? undefined : bytesOf(one.body, names));
  });

describe.each([
  ['a request that cannot be read', unreadableRequests],
  ['a request of the wrong shape', misshapenRequests],
  ['a request for what is somebody else’s', foreignRequests],
])('%s gets an exact problem', (_, rows) => {
  it.each(rows)('$what', async (row) => {
    const { status, type, body } = await send(row);
    const { traceId, ...problem } = body;
    expect(problem).toEqual(row.answer);
    expect(traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(status).toBe(row.answer.status);
    expect(type).toBe('application/problem+json');
  });
});

describe('what is no request gets an exact answer and the end of the connection', () => {
  it.each(wireCases)('$what', async ({ bytes, answer }) => {
    const key = randomBytes(16).toString('base64');
    const { status, body } = parsedAnswer(
      await rawAnswer(Number(new URL(on.url).port), bytesOf(bytes, { key })),
    );
    const { status: said, code, detail } = body;
    expect({ status: said, code, detail }).toEqual(answer);
    expect(status).toBe(answer.status);
  });
});

describe('other ways to ask for a stream', () => {
  it.each(['/v1/stream', '/v1/poll'])('answers HEAD %s with 405 instead of holding it open', async (path) => {
    const response = await fetch(`${on.url}${path}?device=d`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${me.accessToken}` },
      signal: AbortSignal.timeout(5_000),
    });
    expect(response.status).toBe(405);
  });

  it.each(['/v1/stream', '/v1/poll'])(
    'answers someone else’s space with its error in the welcome of %s',
    async (path) => {
      const response = await fetch(`${on.url}${path}?device=d&spaces=${names['otherSpace']}`, {
        headers: { authorization: `Bearer ${me.accessToken}` },
        signal: AbortSignal.timeout(5_000),
      });
      expect(response.status).toBe(200);
      const { value } = (await response.body?.getReader().read()) ?? {};
      expect(Buffer.from(value ?? []).toString()).toContain(
        `"streams":[{"space":"${names['otherSpace']}","error":"forbidden"}]`,
      );
    },
  );
});

describe('what people write is as long as it may be in characters, whatever they take in bytes', () => {
  let author: Person;
  beforeAll(async () => {
    author = await newPerson(on.url);
  });
  const long = (characters: number) => '海'.repeat(characters);
  const post = async (path: string, body: object, method = 'POST') => {
    const response = await fetch(on.url + path, {
      method,
      headers: {
        authorization: `Bearer ${author.accessToken}`,
        'content-type': 'application/json',
        'idempotency-key': crypto.randomUUID(),
      },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const tasks = [{ text: long(1_000) }];

  it.each([
    ['a space', '/v1/spaces', (n: number) => ({ title: long(n) }), 'title', 200],
    [
      'a conversation',
      '/v1/spaces/personal/conversations',
      (n: number) => ({ title: long(n) }),
      'title',
      200,
    ],
    ['a project', '/v1/spaces/personal/projects', (n: number) => ({ title: long(n), tasks }), 'title', 200],
    [
      'a question',
      '/v1/spaces/personal/health-records',
      (n: number) => ({ value: { pulse: 60 }, question: long(n) }),
      'question',
      4_096,
    ],
    ['an API token', '/v1/auth/tokens', (n: number) => ({ name: long(n), scopes: ['session'] }), 'name', 100],
    ['a person', '/v1/me', (n: number) => ({ displayName: long(n) }), 'displayName', 100],
  ])('of %s', async (_, path, body, field, most) => {
    const method = path === '/v1/me' ? 'PATCH' : 'POST';
    const taken = await post(path, body(most), method);
    expect(taken.status, JSON.stringify(taken.body)).toBeLessThan(300);
    expect(await post(path, body(most + 1), method)).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', errors: [{ path: field }] },
    });
  });

  it('of why somebody renames a conversation, and of a device', async () => {
    const { body } = await post('/v1/spaces/personal/conversations', {});
    const device = { id: 'd', platform: 'web', name: long(100) };
    const change = { title: long(200), reason: long(500), device };
    const renamed = await post(`/v1/spaces/personal/conversations/${body['id']}`, change, 'PATCH');
    expect(renamed).toMatchObject({ status: 200, body: { title: long(200) } });
  });
});

it('has lost nothing by all of this', async () => {
  expect(on.mesh.processes.get('gateway')?.pid).toBe(gatewayPid);
  const { events } = (await (
    await fetch(`${on.url}/v1/spaces/personal/events`, {
      headers: { authorization: `Bearer ${me.accessToken}` },
    })
  ).json()) as { events: unknown[] };
  expect(events.filter((event) => JSON.stringify(event).includes('message.created'))).toEqual([]);
  expect(on.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});
