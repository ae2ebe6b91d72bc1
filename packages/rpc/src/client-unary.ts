import type { ServiceError } from '@grpc/grpc-js';
import type { CallContext } from './call-context.ts';
import { type ClientMethod, endOf, unaryDeadline } from './client-call.ts';
import { faultOf } from './fault.ts';
import { outgoing } from './wire-metadata.ts';

/** One attempt of a unary call; cancelled when the context ends. */
export const attempt = (method: ClientMethod, request: unknown, ctx: CallContext): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { signal } = ctx;
    if (signal.aborted) throw endOf(signal);
    const call = method.client.makeUnaryRequest(
      method.path,
      method.serialize,
      method.deserialize,
      request,
      outgoing(ctx, method.identity, method.waitForReady()),
      { deadline: unaryDeadline(ctx, Date.now()) },
      (error: ServiceError | null, response?: unknown) => {
        signal.removeEventListener('abort', cancel);
        if (!error) resolve(response);
        else reject(signal.aborted ? endOf(signal) : faultOf(error, method.path));
      },
    );
    const cancel = () => call.cancel();
    signal.addEventListener('abort', cancel);
  });
