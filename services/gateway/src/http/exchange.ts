import { randomBytes, randomUUID } from 'node:crypto';
import { currentTraceparent, type Logger, type MetricRegistry, SpanKind, withSpan } from '@skein/telemetry';
import type { Request, RequestHandler, Response } from 'express';

/** What is known of an exchange beside request and response. */
export interface Exchange {
  /** `X-Request-Id` of the client when it is harmless, else made here; goes down every call. */
  readonly requestId: string;
  /** Trace of the exchange, or a random id of the same shape when nothing is traced. */
  readonly traceId: string;
  /** The client wants `{success, data}`. */
  readonly classic: boolean;
  readonly address: string;
  /** Template of the route that answers; set once it is known. */
  route?: string;
  userId?: string;
}

const exchanges = new WeakMap<Request, Exchange>();

/** The exchange of a request that went through `exchange`. */
export const exchangeOf = (req: Request): Exchange => {
  const found = exchanges.get(req);
  if (!found) throw new Error('bug: the request did not go through exchange()');
  return found;
};

/** Media type of the bodies `{success, data}`. */
export const classicType = 'application/vnd.skein.classic+json';

const requestIdShape = /^[A-Za-z0-9._-]{1,128}$/;

/** What `exchange` is made of. */
export interface ExchangeOptions {
  readonly addressOf: (req: Request) => string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
}

/**
 * Opens a span, gives the exchange its ids, and writes one line and one measurement when it is over. What the
 * client says in `traceparent` and `baggage` is not believed: the trace begins here. No query strings in logs.
 */
export const exchange = ({ addressOf, log, metrics }: ExchangeOptions): RequestHandler => {
  const duration = metrics.histogram(
    'http_server_request_duration_seconds',
    'How long requests took, by route.',
  );
  return (req, res, next) => {
    const given = req.headers['x-request-id'];
    const requestId = typeof given === 'string' && requestIdShape.test(given) ? given : randomUUID();
    res.setHeader('X-Request-Id', requestId);
    const started = performance.now();
    const attributes = { 'http.request.method': req.method, 'url.path': req.path.slice(0, 500) };
    void withSpan(req.method, { kind: SpanKind.SERVER, attributes }, async (span) => {
      const one: Exchange = {
        requestId,
        traceId: currentTraceparent()?.split('-')[1] ?? randomBytes(16).toString('hex'),
        classic: req.method === 'GET' && (req.headers.accept ?? '').includes(classicType),
        address: addressOf(req),
      };
      exchanges.set(req, one);
      const over = new Promise((resolve) => res.once('close', resolve));
      next();
      await over;
      const ms = performance.now() - started;
      const route = one.route ?? 'other';
      const status = res.writableFinished ? res.statusCode : 499;
      span.updateName(`${req.method} ${route}`);
      span.setAttribute('http.route', route);
      span.setAttribute('http.response.status_code', status);
      duration.observe(ms / 1_000, { method: req.method, route, status: String(status) });
      log.info(
        {
          ...{ method: req.method, path: req.path.slice(0, 500), status, ms: Math.round(ms * 10) / 10 },
          ...{ address: one.address, requestId },
          ...(one.userId === undefined ? {} : { userId: one.userId }),
        },
        'request',
      );
    });
  };
};

/** Whether the client can still be answered. */
export const answerable = (res: Response): boolean =>
  !res.headersSent && !res.writableEnded && !res.destroyed;
