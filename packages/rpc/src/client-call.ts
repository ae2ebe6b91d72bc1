import type { Client } from '@grpc/grpc-js';
import { AppError } from '@skein/contracts';
import type { Histogram } from '@skein/telemetry';
import type { CallContext } from './call-context.ts';
import type { Identity } from './identity.ts';

/** What every call of one client method shares: made once, when the client is. */
export interface ClientMethod {
  readonly client: Client;
  readonly path: string;
  readonly serialize: (value: unknown) => Buffer;
  readonly deserialize: (bytes: Buffer) => unknown;
  readonly identity: Identity;
  readonly duration: Histogram;
  readonly attributes: Readonly<Record<string, string>>;
  /** Whether calls may wait for a connection instead of failing at once. */
  readonly waitForReady: () => boolean;
}

/** Nobody waits longer than this for one answer, whatever the context allows. */
const maxUnaryMs = 30_000;
/** Kept back on every hop so that a caller gets its answer before its own caller gives up. */
const maxReserveMs = 500;

/** The deadline of a unary call under this context, as epoch milliseconds: 10 % of what is left is kept back. */
export const unaryDeadline = (ctx: CallContext, now: number): number => {
  const left = ctx.deadlineMs - now;
  if (left <= 0) throw new AppError('deadline_exceeded');
  return now + Math.min(left - Math.min(left * 0.1, maxReserveMs), maxUnaryMs);
};

/** The reason a context ended, as a fault. */
export const endOf = (signal: AbortSignal): AppError =>
  signal.reason instanceof AppError
    ? signal.reason
    : signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError'
      ? new AppError('deadline_exceeded', undefined, { cause: signal.reason })
      : new AppError('cancelled', undefined, { cause: signal.reason });
