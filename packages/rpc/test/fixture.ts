import { PassThrough } from 'node:stream';
import { createLogger, createMetrics } from '@skein/telemetry';
import { afterEach } from 'vitest';
import {
  type CallContext,
  type Handlers,
  type Identity,
  type ImplementationPolicy,
  identity,
  implement,
  type RpcClient,
  type RpcClientOptions,
  type RpcServer,
  type RpcServerOptions,
  rootContext,
  rpcClient,
  rpcServer,
} from '../src/index.ts';
import { probeService, secret } from './probe-service.ts';

export { probeService, secret };

/** Handlers that answer what they were asked; a test replaces the one it looks at. */
export const handlers: Handlers<typeof probeService> = {
  say: async ({ text }) => ({ text: `you said ${text}` }),
  count: async function* ({ text }) {
    for (let n = 1; n <= Number(text); n += 1) yield { text: String(n) };
  },
  echo: async function* (requests) {
    for await (const { text } of requests) yield { text };
  },
};

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Runs after the test, last registered first. */
export const afterTest = (cleanup: () => Promise<void>): void => {
  cleanups.push(cleanup);
};

/** A logger whose lines a test can read. */
export const readableLog = () => {
  const lines: Record<string, unknown>[] = [];
  const destination = new PassThrough();
  destination.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n')) {
      if (line !== '') lines.push(JSON.parse(line) as Record<string, unknown>);
    }
  });
  return { lines, log: createLogger({ service: 'test', instance: 'test-1', level: 'info', destination }) };
};

/** A server of the probe service on a free port of the loopback, stopped after the test. */
export const startServer = async (
  own: Partial<Handlers<typeof probeService>> = {},
  options: Partial<RpcServerOptions> & { policy?: ImplementationPolicy<typeof probeService> } = {},
): Promise<RpcServer> => {
  const { policy = { allow: 'any' }, ...rest } = options;
  const server = rpcServer({
    service: 'probe',
    host: '127.0.0.1',
    port: 0,
    identity: identity({ service: 'probe', secret }),
    log: readableLog().log,
    metrics: createMetrics(),
    implementations: [implement(probeService, { ...handlers, ...own }, policy)],
    streamGraceMs: 50,
    ...rest,
  });
  await server.run();
  afterTest(() => server.stop());
  return server;
};

/** A client of the probe service, calling as `tester`. */
export const startClient = (
  target: { readonly port: number } | string,
  options: Partial<RpcClientOptions<typeof probeService>> & { identity?: Identity } = {},
): RpcClient<typeof probeService> => {
  const client = rpcClient(probeService, {
    service: 'probe',
    target: typeof target === 'string' ? target : `ipv4:127.0.0.1:${target.port}`,
    identity: identity({ service: 'tester', secret }),
    log: readableLog().log,
    metrics: createMetrics(),
    ...options,
  });
  afterTest(() => client.stop());
  return client;
};

/** A root context with a generous deadline. */
export const ctx = (options: Partial<Parameters<typeof rootContext>[0]> = {}): CallContext =>
  rootContext({ timeoutMs: 5_000, ...options });

/** Every value of a stream. */
export const collect = async <T>(values: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
};
