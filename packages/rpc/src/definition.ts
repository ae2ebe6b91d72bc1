import type { CallContext } from './call-context.ts';

/** One method as ts-proto describes it for grpc-js. */
export interface MethodDefinition {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  requestSerialize(value: never): Buffer;
  requestDeserialize(bytes: Buffer): unknown;
  responseSerialize(value: never): Buffer;
  responseDeserialize(bytes: Buffer): unknown;
}

/** A service definition of ts-proto (`outputServices=grpc-js`): method name → method. */
export type Definition = Readonly<Record<string, MethodDefinition>>;

type Request<M extends MethodDefinition> = ReturnType<M['requestDeserialize']>;
type Response<M extends MethodDefinition> = ReturnType<M['responseDeserialize']>;

type Call<M extends MethodDefinition> = M['requestStream'] extends true
  ? (requests: AsyncIterable<Request<M>>, ctx: CallContext) => AsyncIterable<Response<M>>
  : M['responseStream'] extends true
    ? (request: Request<M>, ctx: CallContext) => AsyncIterable<Response<M>>
    : (request: Request<M>, ctx: CallContext) => Promise<Response<M>>;

/**
 * The server's side: unary methods answer a promise; streaming ones an async iterable, pulled only as fast as the
 * reader reads. A handler stops when `ctx.signal` aborts. What it throws reaches the caller as an `AppError`.
 */
export type Handlers<D extends Definition> = { readonly [K in keyof D]: Call<D[K]> };

/**
 * The client's side. A stream opens at the first `next()`, never retries by itself, and leaving the loop cancels it.
 * Everything rejects with an `AppError`.
 */
export type RpcMethods<D extends Definition> = { readonly [K in keyof D]: Call<D[K]> };

/** The services that may call a method, by name; `any`: every one with a valid identity. */
export type Callers = readonly string[] | 'any';

/** Who may call what: an entry for every method, so that none is open because nobody thought of it. */
export interface ImplementationPolicy<D extends Definition = Definition, K extends keyof D = keyof D> {
  readonly allow: { readonly [K in keyof D]: Callers } | 'any';
  /** Streaming methods that carry the calls of a unary one: name → name. */
  readonly carries?: { readonly [P in K]?: keyof D & string };
}

/** A service definition with its handlers. */
export interface Implementation {
  readonly definition: Definition;
  readonly handlers: Readonly<Record<string, UntypedHandler>>;
  readonly policy: ImplementationPolicy;
}

/** A handler once its types have been checked by `implement`. */
export type UntypedHandler = (request: unknown, ctx: CallContext) => unknown;

/** Joins a definition, its handlers and their callers. A method that carries another has no handler of its own. */
export const implement = <D extends Definition, K extends keyof D = never>(
  definition: D,
  handlers: { readonly [P in Exclude<keyof D, K>]: Call<D[P]> },
  policy: ImplementationPolicy<D, K>,
): Implementation => ({
  definition,
  handlers: handlers as unknown as Implementation['handlers'],
  policy: policy as Implementation['policy'],
});

/** `/skein.auth.v1.AuthService/Login` → its two names. */
export const namesOf = (path: string): { readonly service: string; readonly method: string } => {
  const [, service = '', method = ''] = path.split('/');
  return { service, method };
};
