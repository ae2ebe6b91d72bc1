import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceError } from '@grpc/grpc-js';
import { AppError, toAppError } from '@skein/contracts';
import { CircuitOpen, fullJitter, outcomeOf } from '@skein/resilience';
import { SpanKind, withSpan } from '@skein/telemetry';
import type { CallContext } from './call-context.ts';
import { type ClientMethod, endOf, offEnd, onEnd, unaryDeadline } from './client-call.ts';
import { faultOf, mayRetry } from './fault.ts';
import { NoConnection } from './not-sent.ts';
import { outgoing } from './wire-metadata.ts';

const maxAttempts = 3;
const backoff = { baseMs: 50, capMs: 1_000 };
/** A call with less time than this says nothing about the other side when it runs out of it. */
const fairMs = 100;
const tryAgainMs = 1_000;

/** A unary call: its span, its place in the bulkhead, its attempts, its measurement. */
export const unary = async (method: ClientMethod, request: unknown, ctx: CallContext): Promise<unknown> => {
  const { bulkhead, metrics } = method;
  const startedMs = performance.now();
  let code = 'ok';
  try {
    const place = bulkhead.enter(ctx.signal);
    if (place !== undefined) await place;
    try {
      return await withSpan(method.path, { kind: SpanKind.CLIENT, attributes: method.attributes }, () =>
        attempts(method, request, ctx),
      );
    } finally {
      bulkhead.leave();
    }
  } catch (thrown) {
    const error = ctx.signal.aborted ? endOf(ctx.signal) : toAppError(thrown);
    code = error.code;
    throw error;
  } finally {
    metrics.done(startedMs, code);
  }
};

const attempts = async (method: ClientMethod, request: unknown, ctx: CallContext): Promise<unknown> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await once(method, request, ctx);
      method.budget.succeeded();
      return response;
    } catch (thrown) {
      const error = toAppError(thrown);
      if (error.code !== 'unavailable' || error.cause instanceof CircuitOpen) throw error;
      // Every failure is charged, so that calls which may not be repeated also close the tap for those which may.
      const allowed = method.budget.failed();
      if (!method.retryable || !allowed || attempt >= maxAttempts || !mayRetry(error)) throw error;
      const waitMs = error.retryAfterMs ?? fullJitter(backoff, attempt, method.random());
      if (Date.now() + waitMs >= ctx.deadlineMs) throw error;
      await delay(waitMs, undefined, { signal: ctx.signal });
    }
  }
};

/** One attempt, reported to the breaker of its method. */
const once = async (method: ClientMethod, request: unknown, ctx: CallContext): Promise<unknown> => {
  const startedMs = Date.now();
  const deadlineMs = unaryDeadline(ctx, startedMs);
  const { breaker } = method;
  const pass = breaker.enter();
  try {
    const response = await send(method, request, ctx, deadlineMs);
    breaker.leave(pass, 'success');
    return response;
  } catch (error) {
    const unfair = ctx.signal.aborted || deadlineMs - startedMs < fairMs;
    breaker.leave(pass, unfair ? 'neutral' : outcomeOf(error));
    throw error;
  }
};

const send = (
  method: ClientMethod,
  request: unknown,
  ctx: CallContext,
  deadlineMs: number,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { signal } = ctx;
    if (signal.aborted) throw endOf(signal);
    const { connection, path } = method;
    let waitedInVain = false;
    const cancel = () => call.cancel();
    const stopWaiting = () => {
      waitedInVain = true;
      call.cancel();
    };
    const call = method.client.makeUnaryRequest(
      path,
      method.serialize,
      method.deserialize,
      request,
      outgoing(ctx, method.identity, connection.waits),
      { deadline: deadlineMs },
      (error: ServiceError | null, response?: unknown) => {
        offEnd(signal, cancel);
        connection.waiting.delete(stopWaiting);
        if (!error) resolve(response);
        else if (signal.aborted) reject(endOf(signal));
        else if (waitedInVain) reject(noConnection(path));
        else reject(faultOf(error, path));
      },
    );
    onEnd(signal, cancel);
    if (connection.waits && !connection.ready) connection.waiting.add(stopWaiting);
  });

/** The fault of a call that found nobody to talk to. */
export const noConnection = (path: string): AppError =>
  new AppError('unavailable', undefined, { cause: new NoConnection(path), retryAfterMs: tryAgainMs });
