import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { NextFunction, Request, Response } from 'express';
import { describe, expect, it } from 'vitest';
import { type SecurityHeaders, securityHeaders } from '../src/http/security-headers.ts';

/** Where a page may connect to when it was asked for under a host. */
const connectSources = (options: SecurityHeaders, host: string | undefined): string | undefined => {
  const request = new IncomingMessage(new Socket());
  if (host !== undefined) request.headers.host = host;
  const response = new ServerResponse(request);
  const next: NextFunction = () => {};
  securityHeaders(options)(request as Request, response as Response, next);
  const policy = String(response.getHeader('content-security-policy'));
  return policy.split('; ').find((directive) => directive.startsWith('connect-src '));
};

describe('where a page of ours may connect to', () => {
  it('is the host it was asked for under, and the public one', () => {
    const publicUrl = 'https://skein.example.org';
    expect(connectSources({ tls: true, publicUrl }, 'skein.example.org')).toBe(
      "connect-src 'self' wss://skein.example.org",
    );
    expect(connectSources({ tls: true, publicUrl }, 'other.example.org:8443')).toBe(
      "connect-src 'self' wss://skein.example.org wss://other.example.org:8443",
    );
    expect(connectSources({ tls: false, publicUrl: '' }, '[::1]:8002')).toBe(
      "connect-src 'self' ws://[::1]:8002 wss://[::1]:8002",
    );
  });

  it('is nothing else, whatever a request says its host is', () => {
    for (const host of [
      undefined,
      '',
      '*',
      'a b',
      "x; script-src 'unsafe-inline'",
      'evil.example,x',
      'a:b:c',
    ])
      expect(connectSources({ tls: false, publicUrl: '' }, host)).toBe("connect-src 'self'");
  });
});
