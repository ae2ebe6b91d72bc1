import type { CallContext } from '@skein/rpc';
import type { RequestHandler } from 'express';
import type { z } from 'zod';
import type { Limits, Principal, Verdict } from '../ports.ts';

/** What a token may be allowed to do. */
export const scopes = [
  'session',
  'messages:write',
  'documents:read',
  'documents:write',
  'channel',
  'service',
  'operator',
] as const;

/** One of `scopes`. */
export type Scope = (typeof scopes)[number];

/** Who may call: anybody, anybody but known when signed in, logins only, or whoever has the scope. */
export type Access = 'public' | 'optional' | 'login' | Scope;

/** One decoded call. */
export interface Call<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** The body as it was sent, for what must be kept byte for byte; empty without one. */
  readonly rawBody: string;
  /** Always there unless the route's access is `public` or `optional`. */
  readonly principal: Principal | undefined;
  /** Deadline, person and cancellation for the calls behind; aborted when the client goes away. */
  readonly ctx: CallContext;
  /** Address of the client. */
  readonly address: string;
  /** `Idempotency-Key`, or empty; always empty where the route does not take one. */
  readonly idempotencyKey: string;
  /** The client asked for `text/event-stream`. */
  readonly wantsEventStream: boolean;
}

/** An answer that is sent as server-sent events while it is made. */
export interface EventStream {
  readonly events: AsyncIterable<{ readonly event: string; readonly data: unknown }>;
}

/** Whether a handler answered with a stream. */
export const isEventStream = (answer: unknown): answer is EventStream =>
  typeof answer === 'object' && answer !== null && 'events' in answer && isAsyncIterable(answer.events);

const isAsyncIterable = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value;

/**
 * What sending an unsafe request again does. `key`: with the same `Idempotency-Key` the service behind gives the first
 * answer again for 24 hours, and refuses another body. `harmless`: it leaves everything as the first one did, so a key
 * would add nothing. `counts`: it has an effect of its own, by its nature.
 */
export type Repeat = 'key' | 'harmless' | 'counts';

/** Whether a row only reads; else what its repetition does. */
type Method =
  | { readonly method: 'get'; readonly repeat?: never }
  | { readonly method: 'post' | 'put' | 'patch' | 'delete'; readonly repeat: Repeat };

/** One row of the table that routing, validation, limits, authorization and the OpenAPI document come from. */
export type RouteOf<P, Q, B, R> = Method & RowOf<P, Q, B, R>;

interface RowOf<P, Q, B, R> {
  /** With parameters as in OpenAPI: `/v1/spaces/{space}`. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly access: Access;
  readonly params?: z.ZodType<P>;
  readonly query?: z.ZodType<Q>;
  readonly body?: z.ZodType<B>;
  /** The largest body; `small` unless said. */
  readonly bodySize?: 'small' | 'large';
  /** The status of success. */
  readonly status: 200 | 201 | 202 | 204;
  /** The body of success; absent with 204. */
  readonly response?: z.ZodType<R>;
  /** Media type of success when it is not `application/json`. */
  readonly responseType?: string;
  /** What the call costs besides the request itself. */
  limit?(limits: Limits, call: Call<P, Q, B>): Verdict;
  /** Answers the call: decode, one call, encode. */
  handle(call: Call<P, Q, B>): Promise<R | EventStream>;
  /** Costs nothing against the limits: probes ask often. */
  readonly unlimited?: boolean;
  /** The call waits for something to happen: it has the longer deadline and ends when this process leaves. */
  readonly waits?: boolean;
  /** Signed in by a bearer token or by `ticket` in the query, both read by `raw`. */
  readonly ticket?: boolean;
  /** Takes the whole exchange instead of `handle`, authentication included. Used by streams. */
  readonly raw?: RequestHandler;
  /** `Cache-Control` of success; `no-store` unless said. */
  readonly cacheControl?: string;
  /** Success has an `ETag`, and 304 answers whoever has it already. */
  readonly tagged?: boolean;
}

/** A row whose shapes were checked by `route`. */
export type Route = RouteOf<unknown, unknown, unknown, unknown>;

/** Checks that handler and schemas of a row fit, and forgets the shapes. */
export const route = <P = undefined, Q = undefined, B = undefined, R = undefined>(
  row: RouteOf<P, Q, B, R>,
): Route => row as Route;
