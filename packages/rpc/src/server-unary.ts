import type { handleUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { AppError } from '@skein/contracts';
import type { UntypedHandler } from './definition.ts';
import { statusOf } from './fault.ts';
import { admit, observed, type ServedMethod } from './server-call.ts';
import { deadlineOf } from './server-context.ts';

/** A unary handler as grpc-js calls it. A call without a deadline is refused: it would wait for ever. */
export const serveUnary =
  (method: ServedMethod, handler: UntypedHandler): handleUnaryCall<unknown, unknown> =>
  (call, respond: sendUnaryData<unknown>) => {
    const work = async () => {
      const deadlineMs = deadlineOf(call);
      if (!Number.isFinite(deadlineMs)) {
        throw new AppError('invalid_request', 'A call needs a deadline');
      }
      const ctx = admit(method, call, deadlineMs);
      try {
        return await handler(call.request, ctx);
      } catch (thrown) {
        // Whatever an interrupted handler throws, it was interrupted.
        throw ctx.ended ?? thrown;
      }
    };
    observed(method, call, work).then(
      (response) => respond(null, response),
      (error: unknown) => respond(statusOf(error)),
    );
  };
