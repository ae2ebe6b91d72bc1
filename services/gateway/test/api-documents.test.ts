import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { streamQueries } from '../src/stream/open.ts';
import { type FakeMesh, fakeMesh } from './fakes.ts';
import { startGateway, type TestGateway } from './gateway.ts';

let mesh: FakeMesh;
let gateway: TestGateway;

beforeAll(async () => {
  mesh = await fakeMesh();
  gateway = await startGateway(mesh);
});
afterAll(async () => {
  await gateway?.stop();
  await mesh?.stop();
});

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly responses: Readonly<Record<string, unknown>>;
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: unknown;
  }[];
  readonly security: readonly Readonly<Record<string, unknown>>[];
}

const openApi = async () => (await gateway.json('GET', '/openapi.json')).body as OpenApi;

/** Every `$ref` in a document. */
const refs = (value: unknown): string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([key, inner]) => (key === '$ref' ? [String(inner)] : refs(inner)));

const resolve = (document: unknown, ref: string): unknown =>
  ref
    .replace('#/', '')
    .split('/')
    .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], document);

it('describes every call of the contract that is served', async () => {
  const { paths, openapi } = await openApi();
  expect(openapi).toBe('3.1.1');
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(calls.toSorted()).toEqual(
    [
      'GET /v1/admin/config',
      'GET /v1/admin/dead-letters',
      'POST /v1/admin/dead-letters/{id}/retry',
      'POST /v1/admin/dead-letters/{id}/drop',
      'POST /v1/admin/replays',
      'DELETE /v1/admin/users/{user}',
      'GET /v1/admin/sagas',
      'GET /v1/admin/sagas/{id}',
      'POST /v1/admin/sagas/{id}/{verb}',
      'GET /v1/sagas/{id}',
      'POST /v1/spaces/{space}/health-records',
      'GET /v1/spaces/{space}/health-records/ledger',
      'POST /v1/spaces/{space}/projects',
      'POST /v1/spaces/{space}/projects/{project}/cancel',
      'POST /v1/auth/register',
      'POST /v1/auth/login',
      'POST /v1/auth/refresh',
      'POST /v1/auth/logout',
      'POST /v1/auth/tickets',
      'POST /v1/auth/tokens',
      'GET /v1/auth/tokens',
      'DELETE /v1/auth/tokens/{id}',
      'GET /.well-known/jwks.json',
      'GET /.well-known/openid-configuration',
      'GET /v1/me',
      'PATCH /v1/me',
      'GET /v1/me/preferences',
      'PUT /v1/me/preferences',
      'PUT /v1/me/persona',
      'PUT /v1/me/memory',
      'GET /v1/me/notices',
      'GET /v1/me/devices',
      'DELETE /v1/me',
      'DELETE /v1/me/devices/{id}',
      'GET /v1/me/export',
      'GET /v1/me/identities',
      'POST /v1/me/identities',
      'POST /v1/me/identities/link-code',
      'DELETE /v1/me/identities/{platform}',
      'POST /v1/channels/link-codes',
      'POST /v1/channels/identities',
      'GET /v1/spaces',
      'POST /v1/spaces',
      'GET /v1/spaces/{space}',
      'GET /v1/spaces/{space}/members',
      'PUT /v1/spaces/{space}/members/{user}',
      'DELETE /v1/spaces/{space}/members/{user}',
      'GET /v1/spaces/{space}/invitations',
      'POST /v1/spaces/{space}/invitations',
      'DELETE /v1/spaces/{space}/invitations/{invitation}',
      'POST /v1/invitations/preview',
      'POST /v1/invitations/accept',
      'GET /v1/invitations',
      'POST /v1/invitations/decline',
      'GET /v1/spaces/{space}/events',
      'GET /v1/spaces/{space}/documents',
      'GET /v1/spaces/{space}/documents/{collection}',
      'GET /v1/spaces/{space}/documents/{collection}/{id}',
      'POST /v1/spaces/{space}/mutations',
      'GET /v1/spaces/{space}/conflicts',
      'POST /v1/spaces/{space}/conflicts/{conflict}/resolve',
      'POST /v1/spaces/{space}/conflicts/{conflict}/undo',
      'GET /v1/spaces/{space}/conversations',
      'POST /v1/spaces/{space}/conversations',
      'PATCH /v1/spaces/{space}/conversations/{conversation}',
      'POST /v1/spaces/{space}/conversations/{conversation}/fork',
      'GET /v1/spaces/{space}/conversations/{conversation}/messages',
      'GET /v1/spaces/{space}/state',
      'POST /v1/spaces/{space}/messages',
      'GET /v1/turns/{turn}',
      'POST /v1/turns/{turn}/cancel',
      'GET /v1/personas',
      'GET /v1/config/client',
      'GET /v1/stream',
      'GET /v1/poll',
      'GET /healthz',
      'GET /readyz',
      'GET /v1/health',
      'POST /message/unified',
      'GET /user/{id}/session',
      'POST /sync/event',
    ].toSorted(),
  );
});

it('writes an OpenAPI document whose references lead somewhere and whose parameters are those of the path', async () => {
  const document = await openApi();
  const found = refs(document);
  expect(found.length).toBeGreaterThan(20);
  expect(found.filter((ref) => resolve(document, ref) === undefined)).toEqual([]);
  const ids = new Set<string>();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const operation of Object.values(methods)) {
      const inPath = operation.parameters.filter((one) => one.in === 'path').map((one) => `{${one.name}}`);
      expect(inPath, path).toEqual(path.match(/\{[^}]+\}/g) ?? []);
      expect(operation.responses).toHaveProperty('default');
      ids.add(operation.operationId);
    }
  }
  expect(ids.size).toBe(Object.values(document.paths).flatMap((methods) => Object.keys(methods)).length);
});

it('writes numbers of a query as numbers', async () => {
  const { paths } = await openApi();
  const limit = paths['/v1/spaces']?.['get']?.parameters.find((one) => one.name === 'limit');
  expect(limit?.schema).toEqual({ type: 'integer', minimum: 1, maximum: 200 });
});

it.each(['stream', 'poll'] as const)('describes the query of /v1/%s as it is read', async (name) => {
  const path = `/v1/${name}`;
  const operation = (await openApi()).paths[path]?.['get'];
  const query = (operation?.parameters ?? []).filter((one) => one.in === 'query');
  expect(query.map((one) => one.name)).toEqual(Object.keys(streamQueries[name].shape));
  expect(query.filter((one) => one.required).map((one) => one.name)).toEqual(['device']);
  expect(operation?.security).toEqual([{ bearer: [] }, { ticket: [] }]);
  const token = await gateway.login('u1');
  const faults = async (asked: string) =>
    ((await gateway.json('GET', `${path}?${asked}`, { token })).body as { errors?: unknown }).errors;
  expect(await faults('cursor=x')).toMatchObject([{ path: 'query.device' }]);
  for (const { name: parameter } of query) {
    const given = parameter === 'device' ? '' : 'device=d&';
    // A line break is in no id, number, cursor, name or list of ids; only a ticket may be any text.
    if (parameter === 'ticket') continue;
    expect((await gateway.ask('GET', `${path}?${given}${parameter}=%0A`, { token })).status, parameter).toBe(
      400,
    );
  }
});

it('describes every frame in an AsyncAPI document whose references lead somewhere', async () => {
  const { body } = await gateway.json('GET', '/asyncapi.json');
  const document = body as { channels: Record<string, { address: string; messages: object }> };
  expect(Object.values(document.channels).map(({ address }) => address)).toEqual([
    '/v1/connect',
    '/ws/{user_id}',
  ]);
  const messages = Object.keys(document.channels['connect']?.messages ?? {});
  expect(messages).toEqual(expect.arrayContaining(['connectClientHello', 'connectServerWelcome']));
  expect(refs(document).filter((ref) => resolve(document, ref) === undefined)).toEqual([]);
});

it('renders the documents without markup from anywhere else', () => {
  const page = readFileSync(join(import.meta.dirname, '../src/http/docs/index.html'), 'utf8');
  const script = readFileSync(join(import.meta.dirname, '../src/http/docs/docs.js'), 'utf8');
  expect(page).not.toMatch(/https?:\/\//);
  expect(script).not.toMatch(/innerHTML|https?:\/\//);
});
