export {
  type Actor,
  type CallContext,
  type DeriveOptions,
  deriveContext,
  isIdempotencyKey,
  maxIdempotencyKeyLength,
  type RootContextOptions,
  rootContext,
} from './call-context.ts';
export { type RpcClient, type RpcClientOptions, rpcClient } from './client.ts';
export {
  type Callers,
  type Definition,
  type Handlers,
  type Implementation,
  type ImplementationPolicy,
  implement,
  type RpcMethods,
} from './definition.ts';
export { type Identity, type IdentityOptions, identity, type Verified } from './identity.ts';
export { type RpcServer, type RpcServerOptions, rpcServer } from './server.ts';
