import { randomUUID } from 'node:crypto';
import { AppError } from '@skein/contracts';
import { currentTraceparent } from '@skein/telemetry';
import { traceIdOf } from './trace-id.ts';

/** The person a call acts for. */
export interface Actor {
  readonly userId: string;
  /** The login it came from (`sid`). */
  readonly sessionId?: string;
  /** The API token it came from (`jti`). */
  readonly tokenId?: string;
  readonly scopes: readonly string[];
  readonly deviceId?: string;
  readonly platform?: string;
}

/** What goes down every call: who asks, for whom, until when. Handlers pass it on to every call they make. */
export interface CallContext {
  /** Verified name of the calling service; empty at a root. */
  readonly caller: string;
  readonly actor?: Actor | undefined;
  /** Aborts when nobody waits for the answer any more: cancelled, out of time, or the process stops. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch; `Infinity` only for a stream without an end of its own. */
  readonly deadlineMs: number;
  readonly correlationId: string;
  readonly idempotencyKey?: string | undefined;
}

/** What a root context is made of. */
export interface RootContextOptions {
  readonly actor?: Actor | undefined;
  /** How long everything under it may take. `Infinity` is for opening streams; a unary call still ends at 30 s. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Given by the client, or else the trace id, or a new one; never anything but printable ASCII of at most 128. */
  readonly correlationId?: string | undefined;
  /** Visible ASCII of at most `maxIdempotencyKeyLength` characters; anything else is `invalid_request`. */
  readonly idempotencyKey?: string | undefined;
}

/** The signal of a root that was given none. */
export const neverAborts = new AbortController().signal;

/** Metadata travels as HTTP headers: printable ASCII, and not endless. */
const plain = /^[\x21-\x7e]{1,128}$/;

/** Characters of the longest idempotency key: what clients elsewhere are used to. */
export const maxIdempotencyKeyLength = 255;

/** Whether a text can be an idempotency key: 1 to `maxIdempotencyKeyLength` characters of visible ASCII. */
export const isIdempotencyKey = (text: string): boolean =>
  text.length <= maxIdempotencyKeyLength && /^[\x21-\x7e]+$/.test(text);

const keyOf = (key: string | undefined): string | undefined => {
  if (key === undefined || isIdempotencyKey(key)) return key;
  throw new AppError(
    'invalid_request',
    `The idempotency key must be visible ASCII of at most ${maxIdempotencyKeyLength} characters`,
  );
};

/** A context where a chain of calls begins: an HTTP request, a frame, a timer. */
export const rootContext = (options: RootContextOptions): CallContext => ({
  caller: '',
  actor: options.actor,
  signal: options.signal ?? neverAborts,
  deadlineMs: Date.now() + options.timeoutMs,
  correlationId:
    options.correlationId !== undefined && plain.test(options.correlationId)
      ? options.correlationId
      : (traceIdOf(currentTraceparent()) ?? randomUUID()),
  idempotencyKey: keyOf(options.idempotencyKey),
});

/** What a derived context may change. */
export interface DeriveOptions {
  /** A shorter time than the parent has left; a longer one has no effect. */
  readonly timeoutMs?: number;
  /** Aborts as well as the parent's. */
  readonly signal?: AbortSignal;
  readonly actor?: Actor;
  readonly idempotencyKey?: string;
}

/** The same call chain with less time, another signal, actor or key: for one call made from a long stream, say. */
export const deriveContext = (parent: CallContext, options: DeriveOptions): CallContext => ({
  caller: parent.caller,
  actor: options.actor ?? parent.actor,
  signal: options.signal ? AbortSignal.any([parent.signal, options.signal]) : parent.signal,
  deadlineMs: Math.min(
    parent.deadlineMs,
    options.timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + options.timeoutMs,
  ),
  correlationId: parent.correlationId,
  idempotencyKey: keyOf(options.idempotencyKey) ?? parent.idempotencyKey,
});
