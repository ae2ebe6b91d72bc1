import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { currentTraceparent } from '@skein/telemetry';
import type { CallContext } from './call-context.ts';
import { type ClientMethod, endOf, offEnd, onEnd } from './client-call.ts';
import { drained } from './drained.ts';
import { faultOf } from './fault.ts';
import { noConnection } from './not-sent.ts';
import { outgoing } from './wire-metadata.ts';

/** Streams under a context without an end have none either: the server ends them at their age. */
const optionsOf = ({ deadlineMs }: CallContext) =>
  // gRPC has 8 digits for a timeout and grpc-js 31 bits: further away is as good as never.
  deadlineMs - Date.now() < 2 ** 31 - 1 ? { deadline: deadlineMs } : {};

const metadataOf = (method: ClientMethod, ctx: CallContext) => {
  if (ctx.signal.aborted) throw endOf(ctx.signal);
  return outgoing(ctx, method.identity.sign(ctx.actor), currentTraceparent(), method.connection.waits);
};

async function* responses(
  method: ClientMethod,
  call: ClientReadableStream<unknown>,
  ctx: CallContext,
): AsyncGenerator<unknown> {
  const { signal } = ctx;
  const { connection, path } = method;
  let waitedInVain = false;
  const cancel = () => call.cancel();
  const stopWaiting = () => {
    waitedInVain = true;
    call.cancel();
  };
  onEnd(signal, cancel);
  if (connection.waits && !connection.ready) {
    connection.waiting.add(stopWaiting);
    call.once('metadata', () => connection.waiting.delete(stopWaiting));
  }
  try {
    for await (const response of call) yield response;
  } catch (error) {
    if (signal.aborted) throw endOf(signal);
    throw waitedInVain ? noConnection(path) : faultOf(error as ServiceError, path);
  } finally {
    offEnd(signal, cancel);
    connection.waiting.delete(stopWaiting);
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
  const { client, path, serialize, deserialize } = method;
  const metadata = metadataOf(method, ctx);
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
  const { client, path, serialize, deserialize } = method;
  const metadata = metadataOf(method, ctx);
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
