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

/** Who may call what. */
export interface ImplementationPolicy {
  /** Method name → names of the services that may call it. A method not named is open to every verified service. */
  readonly allow?: Readonly<Record<string, readonly string[]>>;
}

/** A service definition with its handlers. */
export interface Implementation {
  readonly definition: Definition;
  readonly handlers: Readonly<Record<string, UntypedHandler>>;
  readonly policy: ImplementationPolicy;
}

/** A handler once its types have been checked by `implement`. */
export type UntypedHandler = (request: unknown, ctx: CallContext) => unknown;

/** Joins a definition and its handlers; an `allow` for a method that does not exist is a bug and throws. */
export const implement = <D extends Definition>(
  definition: D,
  handlers: Handlers<D>,
  policy: ImplementationPolicy = {},
): Implementation => {
  for (const method of Object.keys(policy.allow ?? {})) {
    if (!Object.hasOwn(definition, method)) throw new Error(`bug: allow names an unknown method ${method}`);
  }
  return { definition, handlers: handlers as unknown as Implementation['handlers'], policy };
};

/** `/skein.auth.v1.AuthService/Login` → its two names. */
export const namesOf = (path: string): { readonly service: string; readonly method: string } => {
  const [, service = '', method = ''] = path.split('/');
  return { service, method };
};
