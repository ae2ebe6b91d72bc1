import { Metadata } from '@grpc/grpc-js';
import { currentTraceparent } from '@skein/telemetry';
import type { CallContext } from './call-context.ts';
import type { Identity } from './identity.ts';

/** Names of the metadata of every internal call. */
export const metadataKeys = {
  authorization: 'authorization',
  traceparent: 'traceparent',
  correlationId: 'x-correlation-id',
  idempotencyKey: 'idempotency-key',
} as const;

/** Metadata of an outgoing call. It waits for a connection: `client-connection.ts` bounds that wait. */
export const outgoing = (ctx: CallContext, identity: Identity, waitForReady: boolean): Metadata => {
  const metadata = new Metadata({ waitForReady });
  metadata.set(metadataKeys.authorization, identity.sign(ctx.actor));
  metadata.set(metadataKeys.correlationId, ctx.correlationId);
  if (ctx.idempotencyKey !== undefined) metadata.set(metadataKeys.idempotencyKey, ctx.idempotencyKey);
  const traceparent = currentTraceparent();
  if (traceparent !== undefined) metadata.set(metadataKeys.traceparent, traceparent);
  return metadata;
};

/** The first value under a key. */
export const textOf = (metadata: Metadata, key: string): string | undefined => {
  const [value] = metadata.get(key);
  return typeof value === 'string' ? value : undefined;
};
