import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Service } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';

/** What the management port is made of. */
export interface ManagementOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: MetricRegistry;
  readonly log: Logger;
  /** Whether this process takes work now: its own state, never that of something all replicas share. */
  readonly ready: () => boolean;
}

/** The management port as a service. */
export interface Management extends Service {
  readonly port: number;
}

/**
 * `/healthz`: 200 as long as the loop turns. `/readyz`: 200 while work is taken, else 503. `/metrics`: Prometheus
 * text. For probes and scrapers, not for users.
 */
export const management = ({ host, port, metrics, log, ready }: ManagementOptions): Management => {
  const server: Server = createServer((request, response) => {
    const answer = (status: number, body: string) => {
      response.writeHead(status, {
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
        'cache-control': 'no-store',
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'GET only\n');
    const [path] = (request.url ?? '').split('?');
    if (path === '/healthz') return answer(200, 'ok\n');
    if (path === '/readyz') return ready() ? answer(200, 'ready\n') : answer(503, 'not ready\n');
    if (path === '/metrics') return answer(200, metrics.print());
    return answer(404, 'not found\n');
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  server.maxConnections = 100;
  return {
    id: 'management',
    get port() {
      return (server.address() as AddressInfo | null)?.port ?? 0;
    },
    run: () =>
      new Promise((resolve, reject) => {
        server.once('error', (error) =>
          reject(new Error(`Cannot listen on ${host}:${port}`, { cause: error })),
        );
        server.listen({ host, port }, () => {
          log.info({ host, port: (server.address() as AddressInfo).port }, 'management listens');
          resolve();
        });
      }),
    stop: async () => {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
};
