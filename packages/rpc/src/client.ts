import { Client, credentials } from '@grpc/grpc-js';
import { toAppError } from '@skein/contracts';
import type { Service } from '@skein/service-kit';
import { type Logger, type MetricRegistry, SpanKind, withSpan } from '@skein/telemetry';
import type { CallContext } from './call-context.ts';
import type { ClientMethod } from './client-call.ts';
import { bidiStream, serverStream } from './client-stream.ts';
import { attempt } from './client-unary.ts';
import { type Definition, namesOf, type RpcMethods } from './definition.ts';
import type { Identity } from './identity.ts';

/** What a client is made of. */
export interface RpcClientOptions<D extends Definition = Definition> {
  /** Name of the service it calls. */
  readonly service: string;
  /** A gRPC target, such as a `Discovery` gives. */
  readonly target: string;
  readonly identity: Identity;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** Methods that have the same effect when they run twice: only these are sent again after `unavailable`. */
  readonly retryable?: readonly (keyof D & string)[];
  /** The `:authority` of every call; for a mesh that routes by it. */
  readonly authority?: string | undefined;
}

/** The methods of a definition as promises and async iterables, and the connection as a service. */
export type RpcClient<D extends Definition> = RpcMethods<D> & Service;

/** A client of one service: one for the life of a process, shared by all calls. */
export const rpcClient = <D extends Definition>(
  definition: D,
  options: RpcClientOptions<D>,
): RpcClient<D> => {
  const client = new Client(options.target, credentials.createInsecure(), {
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.max_receive_message_length': 4 * 1024 * 1024,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    'grpc.enable_http_proxy': 0,
    ...(options.authority === undefined ? {} : { 'grpc.default_authority': options.authority }),
  });
  const duration = options.metrics.histogram(
    'rpc_client_call_duration_seconds',
    'How long unary calls took, retries included.',
  );
  const methods: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(definition)) {
    const names = namesOf(one.path);
    const method: ClientMethod = {
      client,
      path: one.path,
      serialize: one.requestSerialize as (value: unknown) => Buffer,
      deserialize: one.responseDeserialize,
      identity: options.identity,
      duration,
      attributes: { 'rpc.system': 'grpc', 'rpc.service': names.service, 'rpc.method': names.method },
      waitForReady: () => true,
    };
    if (one.requestStream) {
      methods[name] = (requests: AsyncIterable<unknown>, ctx: CallContext) =>
        bidiStream(method, requests, ctx);
    } else if (one.responseStream) {
      methods[name] = (request: unknown, ctx: CallContext) => serverStream(method, request, ctx);
    } else {
      methods[name] = (request: unknown, ctx: CallContext) => unary(method, request, ctx);
    }
  }
  const service: Service = {
    id: `client ${options.service}`,
    run: async () => {},
    stop: async () => client.close(),
  };
  return Object.assign(service, methods) as RpcClient<D>;
};

const unary = async (method: ClientMethod, request: unknown, ctx: CallContext): Promise<unknown> => {
  const started = performance.now();
  let code = 'ok';
  try {
    return await withSpan(method.path, { kind: SpanKind.CLIENT, attributes: method.attributes }, () =>
      attempt(method, request, ctx),
    );
  } catch (error) {
    code = toAppError(error).code;
    throw error;
  } finally {
    method.duration.observe((performance.now() - started) / 1000, { ...method.attributes, code });
  }
};
