import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import type { CallContext } from './call-context.ts';
import { type ClientMethod, endOf } from './client-call.ts';
import { drained } from './drained.ts';
import { faultOf } from './fault.ts';
import { outgoing } from './wire-metadata.ts';

const optionsOf = (ctx: CallContext) => (Number.isFinite(ctx.deadlineMs) ? { deadline: ctx.deadlineMs } : {});

async function* responses(
  method: ClientMethod,
  call: ClientReadableStream<unknown>,
  ctx: CallContext,
): AsyncGenerator<unknown> {
  const { signal } = ctx;
  const cancel = () => call.cancel();
  signal.addEventListener('abort', cancel);
  try {
    for await (const response of call) yield response;
  } catch (error) {
    throw signal.aborted ? endOf(signal) : faultOf(error as ServiceError, method.path);
  } finally {
    signal.removeEventListener('abort', cancel);
    // A reader that left its loop early is not interested any more; after the end this does nothing.
    call.cancel();
  }
}

/** A server stream: opened at the first `next()`. */
export async function* serverStream(
  method: ClientMethod,
  request: unknown,
  ctx: CallContext,
): AsyncGenerator<unknown> {
  if (ctx.signal.aborted) throw endOf(ctx.signal);
  const metadata = outgoing(ctx, method.identity, method.waitForReady());
  const { client, path, serialize, deserialize } = method;
  const call = client.makeServerStreamRequest(
    path,
    serialize,
    deserialize,
    request,
    metadata,
    optionsOf(ctx),
  );
  yield* responses(method, call, ctx);
}

/** A bidirectional stream: opened at the first `next()`; requests are pulled only as fast as the peer takes them. */
export async function* bidiStream(
  method: ClientMethod,
  requests: AsyncIterable<unknown>,
  ctx: CallContext,
): AsyncGenerator<unknown> {
  if (ctx.signal.aborted) throw endOf(ctx.signal);
  const metadata = outgoing(ctx, method.identity, method.waitForReady());
  const { client, path, serialize, deserialize } = method;
  const call = client.makeBidiStreamRequest(path, serialize, deserialize, metadata, optionsOf(ctx));
  const iterator = requests[Symbol.asyncIterator]();
  let failure: { readonly error: unknown } | undefined;
  const send = async () => {
    for (;;) {
      const next = await iterator.next();
      if (next.done || call.destroyed) break;
      if (!call.write(next.value)) await drained(call);
    }
    call.end();
  };
  send().catch((error: unknown) => {
    failure = { error };
    call.cancel();
  });
  try {
    yield* responses(method, call, ctx);
  } catch (error) {
    throw failure ? failure.error : error;
  } finally {
    // It may be waiting for something that never comes: its clean-up is started, not awaited.
    iterator.return?.()?.catch(() => {});
  }
}
