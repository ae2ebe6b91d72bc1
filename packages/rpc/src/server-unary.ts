import type { handleUnaryCall } from '@grpc/grpc-js';
import { AppError } from '@skein/contracts';
import type { UntypedHandler } from './definition.ts';
import { statusOf } from './fault.ts';
import { admit, Observation, type ServedMethod } from './server-call.ts';
import { deadlineOf, type ServerContext } from './server-context.ts';

/** A unary handler as grpc-js calls it. A call without a deadline is refused: it would wait for ever. */
export const serveUnary =
  (method: ServedMethod, handler: UntypedHandler): handleUnaryCall<unknown, unknown> =>
  (call, respond) => {
    const observation = new Observation(method, call);
    let ctx: ServerContext | undefined;
    const answer = (response: unknown) => {
      ctx?.answered();
      observation.succeeded();
      respond(null, response);
    };
    const refuse = (thrown: unknown) => {
      // Whatever an interrupted handler throws, it was interrupted.
      const reason = ctx?.ended ?? thrown;
      ctx?.answered();
      respond(statusOf(observation.failed(reason)));
    };
    try {
      const deadlineMs = deadlineOf(call);
      if (deadlineMs === Number.POSITIVE_INFINITY) {
        throw new AppError('invalid_request', 'A call needs a deadline');
      }
      const admitted = admit(method, call, deadlineMs);
      ctx = admitted;
      const work = observation.within(() => handler(call.request, admitted)) as Promise<unknown>;
      work.then(answer, refuse);
    } catch (thrown) {
      refuse(thrown);
    }
  };
