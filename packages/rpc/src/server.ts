import {
  type MethodDefinition as GrpcMethod,
  Server,
  ServerCredentials,
  type ServerInterceptingCall,
} from '@grpc/grpc-js';
import type { Service } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import {
  type Implementation,
  type ImplementationPolicy,
  type MethodDefinition,
  namesOf,
  type UntypedHandler,
} from './definition.ts';
import { addHealth } from './health.ts';
import type { Identity } from './identity.ts';
import { maxMessageBytes, maxUnaryMs } from './limits.ts';
import { methodMetrics } from './method-metrics.ts';
import { addReflection } from './reflection.ts';
import type { CallTaker, ServedMethod } from './server-call.ts';
import { carrierOf } from './server-carrier.ts';
import { admitEarly, type StreamLimits, serveStream, streamRegistry } from './server-stream.ts';
import { takeUnary } from './server-unary.ts';

/** What a server is made of. */
export interface RpcServerOptions {
  /** Name of the service, for logs. */
  readonly service: string;
  /** Address to bind; loopback unless the mesh protects the port. */
  readonly host: string;
  /** 0 lets the system choose; `port` of the server tells which. */
  readonly port: number;
  readonly implementations: readonly Implementation[];
  readonly identity: Identity;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** Mean age at which streams and connections are renewed, so that load spreads to new instances. Default 5 min. */
  readonly maxAgeMs?: number;
  /**
   * How long a stream may take to end after its signal, also when draining. Default 1 s; what carries unary calls has
   * as long as one of them may take.
   */
  readonly streamGraceMs?: number;
  /** Calls in flight on one connection; more wait at the client. Default 1,000. */
  readonly maxConcurrentStreams?: number;
  /** 0 ≤ n < 1; default `Math.random`. */
  readonly random?: () => number;
}

/** A gRPC server as a service. */
export interface RpcServer extends Service {
  /** The port it listens on, once it runs. */
  readonly port: number;
  /** Answers NOT_SERVING to health checks from now on; calls still work. The first step of `drain`. */
  notServing(): void;
}

/** Unary calls never come as far as their registered handler: the interceptor has them. */
const takenEarlier = (): never => {
  throw new Error('bug: a unary call passed the interceptor');
};

const callersOf = (allow: ImplementationPolicy['allow'], method: string): ServedMethod['allow'] => {
  const callers = allow === 'any' ? allow : allow[method];
  if (callers === undefined) throw new Error(`bug: nobody has said who may call ${method}`);
  return callers === 'any' ? callers : new Set(callers);
};

/**
 * A gRPC server: health (`grpc.health.v1`) and reflection (v1) beside the given implementations; every call of
 * these needs a valid service identity. `drain` reports NOT_SERVING, signals the streams, lets calls in flight
 * finish and takes no new ones; `stop` cuts what is left.
 */
export const rpcServer = (options: RpcServerOptions): RpcServer => {
  const { maxAgeMs = 5 * 60_000, streamGraceMs = 1_000, random = Math.random } = options;
  const takers = new Map<string, CallTaker>();
  const server = new Server({
    // Passing on unchanged is allowed; only the type asks for the class.
    interceptors: [({ path }, next) => takers.get(path)?.(next) ?? (next as ServerInterceptingCall)],
    // Channelz stays on: without it grpc-js 1.14 forgets its sessions, and shutting down leaves them open.
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? 1_000,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    // grpc-js adds its own 10 % of jitter. From then on nothing new comes over the connection; what was opened just
    // before ends by its own age, not with the connection.
    'grpc.max_connection_age_ms': Math.round(maxAgeMs * 1.2),
    'grpc.max_connection_age_grace_ms': Math.round(maxAgeMs * 1.1) + maxUnaryMs,
  });
  const duration = options.metrics.histogram(
    'rpc_server_call_duration_seconds',
    'How long calls took on the server; streams count until their end.',
  );
  const limits: StreamLimits = { maxAgeMs, graceMs: streamGraceMs, random, registry: streamRegistry() };
  /** Calls under way on it are not cut sooner than calls of their own would be. */
  const carrying: StreamLimits = { ...limits, graceMs: maxUnaryMs };
  const services: string[] = [];

  for (const { definition, handlers, policy } of options.implementations) {
    const servedOf = (name: string, { path }: MethodDefinition): ServedMethod => {
      const names = namesOf(path);
      return {
        path,
        identity: options.identity,
        log: options.log,
        metrics: methodMetrics(duration, names),
        allow: callersOf(policy.allow, name),
        attributes: { 'rpc.system': 'grpc', 'rpc.service': names.service, 'rpc.method': names.method },
      };
    };
    const handlerOf = (name: string, { path }: MethodDefinition): UntypedHandler => {
      const carried = policy.carries?.[name];
      const other = carried === undefined ? undefined : definition[carried];
      if (carried !== undefined && other) {
        const unary = { method: servedOf(carried, other), handler: handlerOf(carried, other) };
        return carrierOf(
          unary,
          other.requestDeserialize,
          other.responseSerialize as (value: unknown) => Buffer,
        );
      }
      const handler = handlers[name];
      if (!handler) throw new Error(`bug: ${path} has no handler`);
      return handler;
    };
    for (const [name, method] of Object.entries(definition)) {
      const names = namesOf(method.path);
      if (!services.includes(names.service)) services.push(names.service);
      const served = servedOf(name, method);
      const handler = handlerOf(name, method);
      const grpcMethod = method as unknown as GrpcMethod<unknown, unknown>;
      const kind = method.requestStream ? 'bidi' : method.responseStream ? 'serverStream' : 'unary';
      const registered = server.register(
        method.path,
        kind === 'unary'
          ? takenEarlier
          : serveStream(served, handler, method.requestStream, policy.carries?.[name] ? carrying : limits),
        grpcMethod.responseSerialize,
        grpcMethod.requestDeserialize,
        kind,
      );
      if (kind === 'unary') takers.set(method.path, takeUnary({ method: served, handler }));
      // A bidirectional one reaches its handler with nothing read, and is looked at there.
      if (kind === 'serverStream') takers.set(method.path, admitEarly(served));
      if (!registered) throw new Error(`bug: ${method.path} is implemented twice`);
    }
  }
  const health = addHealth(server, services);
  addReflection(server, [...services, 'grpc.health.v1.Health']);

  let port = 0;
  let stopped = false;
  return {
    id: `rpc ${options.service}`,
    get port() {
      return port;
    },
    notServing: health.notServing,
    run: () =>
      new Promise((resolve, reject) => {
        const host = options.host.includes(':') ? `[${options.host}]` : options.host;
        server.bindAsync(`${host}:${options.port}`, ServerCredentials.createInsecure(), (error, bound) => {
          if (error) {
            reject(new Error(`Cannot listen on ${host}:${options.port}`, { cause: error }));
            return;
          }
          port = bound;
          options.log.info({ host, port }, 'grpc listens');
          resolve();
        });
      }),
    drain: () =>
      new Promise((resolve) => {
        health.notServing();
        health.end();
        limits.registry.drain();
        // An error here means it never ran: nothing to wait for.
        server.tryShutdown(() => resolve());
      }),
    stop: async () => {
      if (stopped) return;
      stopped = true;
      server.forceShutdown();
    },
  };
};
