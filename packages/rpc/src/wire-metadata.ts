import { Metadata } from '@grpc/grpc-js';
import type { CallContext } from './call-context.ts';
import { traceIdOf } from './trace-id.ts';

/** Names of the metadata of every internal call. */
export const metadataKeys = {
  authorization: 'authorization',
  traceparent: 'traceparent',
  correlationId: 'x-correlation-id',
  idempotencyKey: 'idempotency-key',
} as const;

/** Metadata that came with a call. */
export type ReadableMetadata = Pick<Metadata, 'get'>;

/** Metadata of an outgoing call; with `waitForReady` it waits for a connection until its deadline. */
export const outgoing = (
  ctx: CallContext,
  token: string,
  traceparent: string | undefined,
  waitForReady: boolean,
): Metadata => {
  const metadata = new Metadata({ waitForReady });
  metadata.set(metadataKeys.authorization, token);
  if (ctx.idempotencyKey !== undefined) metadata.set(metadataKeys.idempotencyKey, ctx.idempotencyKey);
  if (traceparent !== undefined) metadata.set(metadataKeys.traceparent, traceparent);
  // A correlation id that is the trace id travels once.
  if (ctx.correlationId !== '' && ctx.correlationId !== traceIdOf(traceparent)) {
    metadata.set(metadataKeys.correlationId, ctx.correlationId);
  }
  return metadata;
};

/** The first value under a key. */
export const textOf = (metadata: ReadableMetadata, key: string): string | undefined => {
  const value = metadata.get(key)[0];
  return typeof value === 'string' ? value : undefined;
};
