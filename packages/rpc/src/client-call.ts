import type { ChannelInterface, Client } from '@grpc/grpc-js';
import { AppError } from '@skein/contracts';
import type { Breaker, Bulkhead, RetryBudget } from '@skein/resilience';
import { type CallContext, neverAborts } from './call-context.ts';
import type { ClientConnection } from './client-connection.ts';
import type { Identity } from './identity.ts';
import { maxUnaryMs } from './limits.ts';
import type { MethodMetrics } from './method-metrics.ts';

/** What all methods of one client share. */
export interface ClientShared {
  readonly client: Client;
  readonly channel: ChannelInterface;
  readonly identity: Identity;
  readonly connection: ClientConnection;
  readonly bulkhead: Bulkhead;
  readonly budget: RetryBudget;
  /** For calls lost with their connection: a killed instance takes all it had in hand with it, at once. */
  readonly lossBudget: RetryBudget;
  /** 0 ≤ n < 1 */
  readonly random: () => number;
}

/** Told how an attempt ended; exactly one of the two, exactly once. */
export interface UnaryListener {
  answered(response: unknown): void;
  failed(error: AppError): void;
}

/** What a carrier needs to know of one call. */
export interface Carried {
  readonly request: Buffer;
  readonly ctx: CallContext;
  readonly deadlineMs: number;
  readonly token: string;
  readonly traceparent: string | undefined;
  readonly listener: UnaryListener;
}

/** The stream over which the calls of one method go. */
export interface Carrier {
  /**
   * False while it is not open, and a stream is being opened, and for what is too large to go with others: then the
   * call goes by itself.
   */
  send(call: Carried): boolean;
  close(): void;
}

/** What every call of one method shares: made once, when the client is. */
export interface ClientMethod extends ClientShared {
  readonly path: string;
  readonly serialize: (value: unknown) => Buffer;
  readonly deserialize: (bytes: Buffer) => unknown;
  readonly breaker: Breaker;
  readonly retryable: boolean;
  readonly metrics: MethodMetrics;
  readonly attributes: Readonly<Record<string, string>>;
  /** Takes its calls while its stream is open. */
  readonly carrier?: Carrier | undefined;
}

/** Kept back on every hop so that a caller gets its answer before its own caller gives up. */
const maxReserveMs = 500;

/** The deadline of a unary call under this context, as epoch milliseconds: 10 % of what is left is kept back. */
export const unaryDeadline = (ctx: CallContext, now: number): number => {
  const left = ctx.deadlineMs - now;
  if (left <= 0) throw new AppError('deadline_exceeded');
  return now + Math.min(left - Math.min(left * 0.1, maxReserveMs), maxUnaryMs);
};

/** The reason a context ended, as a fault. */
export const endOf = (signal: AbortSignal): AppError => {
  const reason: unknown = signal.reason;
  if (reason instanceof AppError) return reason;
  const late = reason instanceof DOMException && reason.name === 'TimeoutError';
  return new AppError(late ? 'deadline_exceeded' : 'cancelled', undefined, { cause: reason });
};

/** Calls `cancel` when the context ends; the answer takes it back. */
export const onEnd = (signal: AbortSignal, cancel: () => void): void => {
  // A root without a signal shares one that never aborts: thousands of calls would pile up on it.
  if (signal !== neverAborts) signal.addEventListener('abort', cancel);
};

/** Takes back what `onEnd` did. */
export const offEnd = (signal: AbortSignal, cancel: () => void): void => {
  if (signal !== neverAborts) signal.removeEventListener('abort', cancel);
};
