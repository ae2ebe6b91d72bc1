import { readConfig } from '@skein/service-kit';
import { expect } from 'vitest';
import { compose, type Gateway, type Overrides } from '../src/compose.ts';
import { config } from '../src/config.ts';
import { apiClaims, type FakeMesh, internalSecret, loginClaims } from './fakes.ts';

/** What a request may be made of. */
export interface Ask {
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A gateway as a client sees it. */
export interface TestGateway {
  readonly gateway: Gateway;
  readonly url: string;
  readonly port: number;
  /** Sends a request; a `body` that is not text or bytes goes as JSON. */
  ask(method: string, path: string, ask?: Ask): Promise<Response>;
  /** Status and decoded body. */
  json(method: string, path: string, ask?: Ask): Promise<{ status: number; body: unknown }>;
  /** A token of a person who signed in. */
  login(userId: string): Promise<string>;
  /** An API token of a person. */
  apiToken(userId: string, scope: string): Promise<string>;
  stop(): Promise<void>;
}

const isRaw = (body: unknown): body is string | Uint8Array<ArrayBuffer> =>
  typeof body === 'string' || body instanceof Uint8Array;

/** Starts a real gateway against the fake services, on a port of the system's choice. */
export const startGateway = async (
  mesh: FakeMesh,
  env: Readonly<Record<string, string>> = {},
  over: Overrides = {},
): Promise<TestGateway> => {
  const gateway = await compose(
    readConfig(config, {
      PORT: '0',
      DISCOVERY_URL: mesh.discoveryUrl,
      INTERNAL_SECRET: internalSecret,
      LOG_LEVEL: 'silent',
      REQUESTS_PER_SECOND: '1000',
      ANONYMOUS_PER_SECOND: '1000',
      CONSOLE_DIR: '/nonexistent',
      ...env,
    }),
    over,
  );
  await gateway.service.run();
  const url = `http://127.0.0.1:${gateway.port}`;
  const ask: TestGateway['ask'] = (method, path, { token, body, headers = {}, signal } = {}) =>
    fetch(`${url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isRaw(body) ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  return {
    gateway,
    url,
    port: gateway.port,
    ask,
    json: async (method, path, given) => {
      const response = await ask(method, path, given);
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
    },
    login: (userId) => mesh.key.sign(loginClaims(userId)),
    apiToken: (userId, scope) => mesh.key.sign(apiClaims(userId, scope), { typ: 'api+jwt' }),
    // Without a drain: it lingers for those who are connected, and has tests of its own.
    stop: () => gateway.service.stop(),
  };
};

/** A problem as a test expects it: everything but the trace. */
export const problem = (status: number, code: string, detail: string, more: object = {}) => ({
  type: `urn:skein:error:${code}`,
  title: expect.any(String),
  status,
  code,
  detail,
  retryable: false,
  traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
  ...more,
});
