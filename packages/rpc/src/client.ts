import { Client, credentials } from '@grpc/grpc-js';
import { breakers, bulkhead, retryBudget } from '@skein/resilience';
import type { Service } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import type { CallContext } from './call-context.ts';
import type { Carrier, ClientMethod, ClientShared } from './client-call.ts';
import { carrier } from './client-carrier.ts';
import { clientConnection } from './client-connection.ts';
import { bidiStream, serverStream } from './client-stream.ts';
import { unary } from './client-unary.ts';
import { type Definition, namesOf, type RpcMethods } from './definition.ts';
import type { Identity } from './identity.ts';
import { maxMessageBytes } from './limits.ts';
import { methodMetrics } from './method-metrics.ts';

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
  readonly retryable?: readonly (keyof D & string)[] | undefined;
  /** Unary methods whose calls go over a stream while it is open: name → the streaming method that carries them. */
  readonly carried?: Readonly<Partial<Record<keyof D & string, keyof D & string>>> | undefined;
  /** The `:authority` of every call, for a mesh that routes by it. Default: the target. */
  readonly authority?: string | undefined;
  /** How long calls wait for a connection when there is none, within their deadline. Default 5 s. */
  readonly waitMs?: number | undefined;
  /** Unary calls at once; as many again may wait, further ones are `overloaded`. Default 1,000. */
  readonly maxInFlight?: number | undefined;
  /** 0 ≤ n < 1; default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** The methods of a definition as promises and async iterables, and the connection as a service. */
export type RpcClient<D extends Definition> = RpcMethods<D> & Service;

/**
 * A client of one service: one for the life of a process, shared by all calls; balanced over all instances. Every
 * call carries identity, trace, correlation and deadline; unary ones also pass a bulkhead and a breaker per method.
 */
export const rpcClient = <D extends Definition>(
  definition: D,
  options: RpcClientOptions<D>,
): RpcClient<D> => {
  const { service, log, random = Math.random, maxInFlight = 1_000, waitMs = 5_000 } = options;
  const client = new Client(options.target, credentials.createInsecure(), {
    // No retry policy: grpc-js repeats only what was never processed; the rest is decided in client-unary.ts.
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.service_config_disable_resolution': 1,
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    // A restarted instance is found again within a second or two.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    'grpc.enable_http_proxy': 0,
    // Bookkeeping of every call and connection that nobody reads.
    'grpc.enable_channelz': 0,
    ...(options.authority === undefined ? {} : { 'grpc.default_authority': options.authority }),
  });
  const open = options.metrics.gauge(
    'rpc_client_circuit_open',
    '1 while a circuit lets no calls through, from its first opening on.',
  );
  const circuits = breakers({
    random,
    onState: (breaker, state) => {
      open.set(state === 'closed' ? 0 : 1, { circuit: breaker });
      log.warn({ breaker, state }, 'circuit');
    },
  });
  const shared: ClientShared = {
    client,
    channel: client.getChannel(),
    identity: options.identity,
    connection: clientConnection(client.getChannel(), waitMs),
    bulkhead: bulkhead({ name: service, concurrency: maxInFlight, queue: maxInFlight }),
    budget: retryBudget(),
    // Half of it may be used at once: as much as one of two instances can have in hand.
    lossBudget: retryBudget({ maxTokens: maxInFlight }),
    random,
  };
  const duration = options.metrics.histogram(
    'rpc_client_call_duration_seconds',
    'How long unary calls took, retries included.',
  );
  const methodOf = (name: string, one: Definition[string]): ClientMethod => {
    const names = namesOf(one.path);
    return {
      ...shared,
      path: one.path,
      serialize: one.requestSerialize as (value: unknown) => Buffer,
      deserialize: one.responseDeserialize,
      breaker: circuits.breaker(`${service} ${names.method}`),
      retryable: options.retryable?.includes(name) ?? false,
      metrics: methodMetrics(duration, names),
      attributes: { 'rpc.system': 'grpc', 'rpc.service': names.service, 'rpc.method': names.method },
    };
  };
  const carriers: Carrier[] = [];
  const carriedMethod = (name: string, one: Definition[string]): ClientMethod => {
    const method = methodOf(name, one);
    const by = options.carried?.[name];
    const stream = by === undefined ? undefined : definition[by];
    if (by === undefined || !stream) return method;
    const opened = carrier(method, methodOf(by, stream));
    carriers.push(opened);
    return { ...method, carrier: opened };
  };
  const methods = Object.fromEntries(
    Object.entries(definition).map(([name, one]) => [name, callOf(carriedMethod(name, one), one)]),
  );
  const part: Service = {
    id: `client of ${service}`,
    // Connects early, so that the first call does not pay for it; it is not an error if nobody is there yet.
    run: async () => shared.connection.connect(),
    stop: async () => {
      for (const one of carriers) one.close();
      shared.connection.close();
      circuits.stop();
      client.close();
    },
  };
  return Object.assign(part, methods) as RpcClient<D>;
};

const callOf = (method: ClientMethod, { requestStream, responseStream }: Definition[string]) => {
  if (requestStream) {
    return (requests: AsyncIterable<unknown>, ctx: CallContext) => bidiStream(method, requests, ctx);
  }
  return responseStream
    ? (request: unknown, ctx: CallContext) => serverStream(method, request, ctx)
    : (request: unknown, ctx: CallContext) => unary(method, request, ctx);
};
