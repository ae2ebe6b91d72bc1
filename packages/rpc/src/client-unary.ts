import { type AppError, toAppError } from '@skein/contracts';
import { CircuitOpen, fullJitter, outcomeOf, type Pass } from '@skein/resilience';
import { type OpenSpan, openSpan, SpanKind } from '@skein/telemetry';
import type { CallContext } from './call-context.ts';
import { type ClientMethod, endOf, unaryDeadline } from './client-call.ts';
import { isLost, mayRetry } from './fault.ts';
import { sendUnary } from './unary-transport.ts';

const maxAttempts = 3;
const backoff = { baseMs: 50, capMs: 1_000 };
/** A call waits this long for its place: a queue in which calls outlive their callers helps nobody. */
const maxQueueMs = 100;
/** A call with less time than this says nothing about the other side when it runs out of it. */
const fairMs = 100;

/**
 * A unary call: its place in the bulkhead, its span, its attempts through the breaker, its measurement. Written with
 * callbacks: a promise per layer would cost more than all of them do.
 */
class UnaryCall {
  readonly #method: ClientMethod;
  readonly #request: unknown;
  readonly #ctx: CallContext;
  readonly #resolve: (response: unknown) => void;
  readonly #reject: (error: AppError) => void;
  readonly #startedMs = performance.now();
  #span: OpenSpan | undefined;
  #placed = false;
  #attempt = 0;
  #pass: Pass = 'call';
  #allottedMs = 0;

  constructor(
    method: ClientMethod,
    request: unknown,
    ctx: CallContext,
    resolve: (response: unknown) => void,
    reject: (error: AppError) => void,
  ) {
    this.#method = method;
    this.#request = request;
    this.#ctx = ctx;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    try {
      const { signal, deadlineMs } = this.#ctx;
      if (signal.aborted) throw endOf(signal);
      const { bulkhead } = this.#method;
      const place = bulkhead.enter(signal, Math.min(maxQueueMs, deadlineMs - Date.now()));
      if (place === undefined) this.#begin();
      else
        place.then(
          () => this.#begin(),
          (thrown: unknown) => this.#fail(thrown),
        );
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #begin(): void {
    this.#placed = true;
    const { path, attributes } = this.#method;
    this.#span = openSpan(path.slice(1), { kind: SpanKind.CLIENT, attributes });
    this.#try();
  }

  #try(): void {
    this.#attempt += 1;
    const { breaker } = this.#method;
    try {
      const now = Date.now();
      const deadlineMs = unaryDeadline(this.#ctx, now);
      this.#allottedMs = deadlineMs - now;
      this.#pass = breaker.enter();
      try {
        sendUnary(this.#method, this.#request, this.#ctx, deadlineMs, this.#span?.traceparent, this);
      } catch (thrown) {
        breaker.leave(this.#pass, 'neutral');
        throw thrown;
      }
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Called by the transport, once an attempt. */
  answered(response: unknown): void {
    this.#method.breaker.leave(this.#pass, 'success');
    this.#method.budget.succeeded();
    this.#method.lossBudget.succeeded();
    this.#finish(undefined, response);
  }

  /** Called by the transport, once an attempt. */
  failed(error: AppError): void {
    // A lost connection is the channel's business: calls wait for another one, or fail at once when there is none.
    const silent = this.#ctx.signal.aborted || this.#allottedMs < fairMs || isLost(error);
    this.#method.breaker.leave(this.#pass, silent ? 'neutral' : outcomeOf(error));
    const waitMs = this.#retryAfter(error);
    if (waitMs === undefined) this.#fail(error);
    else this.#retryIn(waitMs);
  }

  /** When to try again; undefined: not at all. */
  #retryAfter(error: AppError): number | undefined {
    if (error.code !== 'unavailable' || error.cause instanceof CircuitOpen) return undefined;
    const { retryable, random } = this.#method;
    const budget = isLost(error) ? this.#method.lossBudget : this.#method.budget;
    // Every failure is charged, so that calls which may not be repeated also close the tap for those which may.
    if (!budget.failed() || !retryable || this.#attempt >= maxAttempts || !mayRetry(error)) return undefined;
    const waitMs = error.retryAfterMs ?? fullJitter(backoff, this.#attempt, random());
    return Date.now() + waitMs < this.#ctx.deadlineMs ? waitMs : undefined;
  }

  #retryIn(waitMs: number): void {
    const { signal } = this.#ctx;
    const end = () => {
      clearTimeout(timer);
      this.#fail(endOf(signal));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end);
      this.#try();
    }, waitMs);
    signal.addEventListener('abort', end, { once: true });
  }

  #fail(thrown: unknown): void {
    const { signal } = this.#ctx;
    this.#finish(signal.aborted ? endOf(signal) : toAppError(thrown), undefined);
  }

  #finish(error: AppError | undefined, response: unknown): void {
    if (this.#placed) this.#method.bulkhead.leave();
    this.#span?.end(error);
    this.#method.metrics.done(this.#startedMs, error === undefined ? 'ok' : error.code);
    if (error === undefined) this.#resolve(response);
    else this.#reject(error);
  }
}

/** Makes a unary call; rejects with an `AppError`. */
export const unary = (method: ClientMethod, request: unknown, ctx: CallContext): Promise<unknown> =>
  new Promise((resolve, reject) => {
    new UnaryCall(method, request, ctx, resolve, reject).start();
  });
