import type { IncomingMessage } from 'node:http';
import { AppError } from '@skein/contracts';
import type { RequestHandler } from 'express';

/**
 * Whether the page that makes the request may: no `Origin` (not a page), our own host, or a listed origin. `null`
 * (sandboxed frames, files) is never ours. The list is the one of the moment.
 */
export const originCheck = (allowed: () => readonly string[]) => {
  const isListed = (origin: string): boolean =>
    allowed().some((one) => one.replace(/\/$/, '').toLowerCase() === origin);
  return (request: IncomingMessage): boolean => {
    const origin = request.headers.origin?.toLowerCase();
    if (origin === undefined || isListed(origin)) return true;
    return URL.canParse(origin) && new URL(origin).host === request.headers.host?.toLowerCase();
  };
};

const methods = 'GET, POST, PUT, PATCH, DELETE';
const requestHeaders = 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id';
const exposedHeaders = 'Retry-After, X-Request-Id, Location';

/** CORS by allowlist; other origins get 403 `origin_not_allowed`, preflight or not. No cookies, so no credentials. */
export const cors = (allowed: (request: IncomingMessage) => boolean): RequestHandler => {
  return (req, res, next) => {
    const { origin } = req.headers;
    res.vary('Origin');
    if (origin !== undefined) {
      if (!allowed(req)) throw new AppError('origin_not_allowed');
      res.setHeader('Access-Control-Allow-Origin', origin);
      res.setHeader('Access-Control-Expose-Headers', exposedHeaders);
    }
    if (req.method !== 'OPTIONS') return next();
    res.setHeader('Access-Control-Allow-Methods', methods);
    res.setHeader('Access-Control-Allow-Headers', requestHeaders);
    // Browsers cap it at 2 h; the list changes only with a deployment.
    res.setHeader('Access-Control-Max-Age', '7200');
    res.status(204).end();
  };
};
