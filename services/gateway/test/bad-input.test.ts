import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { type Ask, problem, startGateway, type TestGateway } from './gateway.ts';
import { openRaw, rawRequest } from './raw-request.ts';

let mesh: FakeMesh;
let gateway: TestGateway;
let token: string;

beforeAll(async () => {
  mesh = await fakeMesh();
  gateway = await startGateway(mesh, { CORS_ORIGINS: 'https://app.example.org' });
  token = await gateway.login('u1');
});
afterAll(async () => {
  await gateway?.stop();
  await mesh?.stop();
});

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const message = (more: string): string => `{"clientMessageId":"k","text":"hi"${more}}`;

interface Row {
  readonly what: string;
  readonly method?: string;
  readonly path?: string;
  readonly ask: Ask;
  readonly anonymous?: boolean;
  readonly answer: ReturnType<typeof problem>;
}

const wrong = (errors: readonly { path: string; message: string }[]) =>
  problem(400, 'invalid_request', 'The request is not valid', { errors });

const rows: readonly Row[] = [
  {
    what: 'malformed JSON',
    ask: { body: '{"text": ' },
    answer: problem(400, 'malformed_json', 'The body is not valid JSON'),
  },
  {
    what: 'JSON with something behind it',
    ask: { body: `${message('')} x` },
    answer: problem(400, 'malformed_json', 'The body is not valid JSON'),
  },
  {
    what: 'invalid UTF-8',
    ask: { body: Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]) },
    answer: problem(400, 'malformed_json', 'The body is not valid UTF-8'),
  },
  {
    what: '33 levels of nesting',
    ask: { body: message(`,"attachments":${nested(32)}`) },
    answer: problem(400, 'invalid_request', 'The body is nested deeper than 32 levels'),
  },
  {
    what: '400,000 levels of nesting',
    ask: { body: nested(400_000) },
    answer: problem(400, 'invalid_request', 'The body is nested deeper than 32 levels'),
  },
  {
    what: 'a __proto__ key',
    ask: { body: message(',"__proto__":{"admin":true}') },
    answer: problem(400, 'invalid_request', 'The key __proto__ is not allowed'),
  },
  {
    what: 'a __proto__ key deep inside, written with an escape',
    ask: { body: message(',"attachments":[{"a":{"\\u005f_proto__":1}}]') },
    answer: problem(400, 'invalid_request', 'The key __proto__ is not allowed'),
  },
  {
    what: 'half of a surrogate pair, which has no UTF-8',
    ask: { body: '{"clientMessageId":"k","text":"hi \\ud83d"}' },
    answer: problem(400, 'invalid_request', 'The body holds half of a surrogate pair'),
  },
  {
    what: 'half of a surrogate pair in a key',
    ask: { body: message(',"\\udc00":1') },
    answer: problem(400, 'invalid_request', 'The body holds half of a surrogate pair'),
  },
  {
    what: 'a number that is no double',
    ask: { body: message(',"attachments":[1e400]') },
    answer: problem(400, 'invalid_request', 'The body holds a number that is too large'),
  },
  {
    what: 'wrong types, each with its path',
    ask: { body: { clientMessageId: 7, text: ['hi'], reply: 'yes' } },
    answer: wrong([
      { path: 'clientMessageId', message: 'Invalid input: expected string, received number' },
      { path: 'text', message: 'Invalid input: expected string, received array' },
      { path: 'reply', message: 'Invalid input: expected boolean, received string' },
    ]),
  },
  {
    what: 'an array where an object belongs',
    ask: { body: [] },
    answer: wrong([{ path: '', message: 'Invalid input: expected object, received array' }]),
  },
  {
    what: 'no body',
    ask: {},
    answer: wrong([{ path: '', message: 'Invalid input: expected object, received undefined' }]),
  },
  {
    what: 'text above 64 KB',
    ask: { body: { clientMessageId: 'k', text: 'ä'.repeat(32_769) } },
    answer: wrong([{ path: 'text', message: 'must be at most 65536 bytes' }]),
  },
  {
    what: 'an id that is a path',
    path: '/v1/spaces/..%2Fadmin/messages',
    ask: { body: message('') },
    answer: wrong([{ path: 'params.space', message: 'must be an id' }]),
  },
  {
    what: 'a path that is not valid percent-encoding',
    path: '/v1/spaces/%E0%A4%A/messages',
    ask: { body: message('') },
    answer: problem(400, 'invalid_request', 'The path is not valid'),
  },
  {
    what: 'another content type',
    ask: { body: 'clientMessageId=k', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    answer: problem(415, 'unsupported_media_type', 'Send application/json'),
  },
  {
    what: 'a compressed body',
    ask: { body: message(''), headers: { 'content-encoding': 'gzip' } },
    answer: problem(415, 'unsupported_media_type', 'Send the body without a content encoding'),
  },
  {
    what: 'a message body above 1 MB',
    ask: { body: message(`,"pad":"${'x'.repeat(1_000_000)}"`) },
    answer: problem(413, 'too_large', 'The body is larger than 1000000 bytes'),
  },
  {
    what: 'an ordinary body above 100 KB',
    method: 'PATCH',
    path: '/v1/me',
    ask: { body: { displayName: 'x'.repeat(100_001) } },
    answer: problem(413, 'too_large', 'The body is larger than 100000 bytes'),
  },
  {
    what: 'a query parameter given twice',
    method: 'GET',
    path: '/v1/spaces?limit=1&limit=2',
    ask: {},
    answer: wrong([{ path: 'query.limit', message: 'must be given once' }]),
  },
  {
    what: 'a limit that is no whole number',
    method: 'GET',
    path: '/v1/spaces?limit=1e3',
    ask: {},
    answer: wrong([{ path: 'query.limit', message: 'must be a whole number' }]),
  },
  {
    what: 'a limit above the bound',
    method: 'GET',
    path: '/v1/spaces?limit=201',
    ask: {},
    answer: wrong([{ path: 'query.limit', message: 'Too big: expected number to be <=200' }]),
  },
  {
    what: 'an idempotency key that is too long',
    ask: { body: message(''), headers: { 'idempotency-key': 'k'.repeat(256) } },
    answer: wrong([{ path: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' }]),
  },
  {
    what: 'an unknown route',
    path: '/v1/nothing',
    ask: { body: {} },
    answer: problem(404, 'not_found', 'There is nothing at this path'),
  },
  {
    what: 'a wrong method',
    method: 'PUT',
    path: '/v1/spaces/s1/messages',
    ask: {},
    answer: problem(405, 'method_not_allowed', 'Allowed here: POST'),
  },
  {
    what: 'a classic timestamp that is no whole number of ours',
    path: '/sync/event',
    ask: {
      body: {
        user_id: 'u1',
        platform: 'web',
        event_type: 'data_update',
        data: { id: 'x', type: 'task', data: 1, timestamp: 1e308, version: 1 },
      },
    },
    answer: wrong([
      { path: 'data.timestamp', message: `Too big: expected number to be <=${Number.MAX_SAFE_INTEGER}` },
    ]),
  },
  {
    what: 'a part of the API that is reserved',
    method: 'GET',
    path: '/v1/spaces/s1/files/f1',
    ask: {},
    answer: problem(501, 'not_implemented', 'This part of the API is not available yet'),
  },
  {
    what: 'nobody signed in',
    anonymous: true,
    ask: { body: message('') },
    answer: problem(401, 'unauthenticated', 'Sign in first'),
  },
  {
    what: 'another scheme of authorization',
    anonymous: true,
    ask: { body: message(''), headers: { authorization: 'Basic dTpw' } },
    answer: problem(401, 'unauthenticated', 'Send Authorization: Bearer <token>'),
  },
  {
    what: 'someone else’s user_id in a path',
    method: 'GET',
    path: '/user/u2/session',
    ask: {},
    answer: problem(403, 'forbidden', 'user_id is not yours'),
  },
  {
    what: 'someone else’s user_id in a message',
    path: '/message/unified',
    ask: { body: { user_id: 'u2', platform: 'web', content: 'hi' } },
    answer: problem(403, 'forbidden', 'user_id is not yours'),
  },
  {
    what: 'someone else’s user_id in an event',
    path: '/sync/event',
    ask: { body: { user_id: 'u2', platform: 'web', event_type: 'memory_toggle', data: { enabled: true } } },
    answer: problem(403, 'forbidden', 'user_id is not yours'),
  },
  {
    what: 'an origin that is not on the list',
    ask: { body: message(''), headers: { origin: 'https://evil.example' } },
    answer: problem(403, 'origin_not_allowed', 'This origin is not on the allowlist'),
  },
  {
    what: 'a preflight from an origin that is not on the list',
    method: 'OPTIONS',
    ask: { headers: { origin: 'null', 'access-control-request-method': 'POST' } },
    answer: problem(403, 'origin_not_allowed', 'This origin is not on the allowlist'),
  },
];

describe('bad input gets an exact answer', () => {
  it.each(rows)('$what', async ({ method = 'POST', path = '/v1/spaces/personal/messages', ...row }) => {
    const before = mesh.calls('appendMessage').length;
    const ask = row.anonymous ? row.ask : { token, ...row.ask };
    const response = await gateway.ask(method, path, ask);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toEqual(row.answer);
    expect(response.status).toBe(row.answer.status);
    expect(response.headers.has('access-control-allow-origin')).toBe(false);
    expect(mesh.calls('appendMessage').length, 'nothing reached the services').toBe(before);
  });

  it('names the allowed methods and how to sign in', async () => {
    const put = await gateway.ask('PUT', '/v1/me/devices/d1', { token });
    expect(put.headers.get('allow')).toBe('DELETE');
    expect((await gateway.ask('GET', '/v1/me')).headers.get('www-authenticate')).toBe('Bearer');
  });

  it('refuses a chunked body as soon as it grows above the limit', async () => {
    const head = [
      'PATCH /v1/me HTTP/1.1',
      `Host: 127.0.0.1:${gateway.port}`,
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
      '',
      '',
    ].join('\r\n');
    const size = 100_001;
    // The last chunk never comes.
    const socket = openRaw(gateway.port, `${head}${size.toString(16)}\r\n${' '.repeat(size)}\r\n`);
    await expect.poll(() => socket.received()).toContain('The body is larger than 100000 bytes');
    expect(socket.received()).toMatch(/^HTTP\/1.1 413 /);
    socket.destroy();
  });

  it('lets pages of listed origins and its own pages call', async () => {
    for (const origin of ['https://app.example.org', gateway.url]) {
      const preflight = await gateway.ask('OPTIONS', '/v1/me', {
        headers: { origin, 'access-control-request-method': 'PATCH' },
      });
      expect(preflight.status).toBe(204);
      expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
      expect(preflight.headers.get('access-control-allow-methods')).toContain('PATCH');
      expect(preflight.headers.has('access-control-allow-credentials')).toBe(false);
    }
  });

  it.each([
    ['a request line that is none', 'NONSENSE\r\n\r\n', 400],
    [
      'length and chunks at once',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    ['headers above 16 KB', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ])('answers %s and closes', async (_what, bytes, status) => {
    const answer = await rawRequest(gateway.port, bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain('application/problem+json');
  });
});
