import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';

/** What the header depends on. */
export interface SecurityHeaders {
  /** Clients reach us by https. */
  readonly tls: boolean;
  /** Where clients are told to reach us, `https://skein.example.org`; empty: where they ask. */
  readonly publicUrl: string;
}

/** `host[:port]` and nothing that could begin another directive. */
const hostShape = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/**
 * Where a page of ours may connect to: back to us, and nowhere else. Sockets are named, because not every browser
 * takes `'self'` for them; by the address the page was asked for, and by the one clients are told.
 */
const connectSources = ({ tls, publicUrl }: SecurityHeaders) => {
  const url = URL.parse(publicUrl);
  const known = url ? [`${url.protocol === 'https:' ? 'wss' : 'ws'}://${url.host}`] : [];
  return ({ headers }: IncomingMessage): string => {
    const own = headers.host ?? '';
    const asked = hostShape.test(own) ? [...(tls ? [] : [`ws://${own}`]), `wss://${own}`] : [];
    return [...new Set(["'self'", ...known, ...asked])].join(' ');
  };
};

const contentSecurityPolicy = (connect: string): string =>
  [
    "default-src 'self'",
    `connect-src ${connect}`,
    "img-src 'self' data:",
    "style-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');

/** Headers every answer has. Strict-Transport-Security only where clients do reach us by https. */
export const securityHeaders = (options: SecurityHeaders): RequestHandler => {
  const connect = connectSources(options);
  const headers: readonly (readonly [string, string])[] = [
    ['X-Content-Type-Options', 'nosniff'],
    ['Referrer-Policy', 'no-referrer'],
    ['Cross-Origin-Opener-Policy', 'same-origin'],
    ['Permissions-Policy', 'camera=(), geolocation=(), microphone=()'],
    ...(options.tls ? ([['Strict-Transport-Security', 'max-age=31536000; includeSubDomains']] as const) : []),
  ];
  return (req, res, next) => {
    res.setHeader('Content-Security-Policy', contentSecurityPolicy(connect(req)));
    for (const [name, value] of headers) res.setHeader(name, value);
    next();
  };
};
