import { AppError } from '@skein/contracts';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import express, { type Express } from 'express';
import type { AddressOf } from '../ports.ts';
import { notFound, problems } from './errors.ts';
import { exchange } from './exchange.ts';
import { type HandlerDeps, handlerOf } from './handler.ts';
import { cors, type originCheck } from './origins.ts';
import { reservedPaths } from './reserved.ts';
import type { Route } from './route.ts';
import { securityHeaders } from './security-headers.ts';
import { consoleFiles, docsFiles } from './static.ts';

/** What the app is made of. */
export interface AppOptions extends HandlerDeps {
  readonly routes: readonly Route[];
  /** Path → document that is served as JSON, such as `/openapi.json`. */
  readonly documents: Readonly<Record<string, unknown>>;
  readonly originAllowed: ReturnType<typeof originCheck>;
  readonly addressOf: AddressOf;
  readonly tls: boolean;
  readonly publicUrl: string;
  readonly consoleDirectory: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
}

/** `/v1/spaces/{space}` as Express writes it. */
const expressPath = (path: string): string => path.replaceAll(/\{([^}]+)\}/g, ':$1');

/** Everything over HTTP: the table, the documents, the console. Faults leave as problems. */
export const gatewayApp = (options: AppOptions): Express => {
  const { routes, documents, log } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  // Queries are read by `queryOf`, addresses by `addressOf`.
  app.set('query parser', false);
  app.set('trust proxy', false);
  app.use(exchange({ addressOf: options.addressOf, log, metrics: options.metrics }));
  app.use(securityHeaders(options));
  app.use(cors(options.originAllowed));

  const methods = new Map<string, string[]>();
  for (const row of routes) {
    app[row.method](expressPath(row.path), handlerOf(row, options));
    methods.set(row.path, [...(methods.get(row.path) ?? []), row.method.toUpperCase()]);
  }
  app.use(reservedPaths);
  for (const [path, allowed] of methods) {
    app.all(expressPath(path), (_req, res) => {
      res.setHeader('Allow', allowed.join(', '));
      throw new AppError('method_not_allowed', `Allowed here: ${allowed.join(', ')}`);
    });
  }
  for (const [path, document] of Object.entries(documents)) {
    const text = JSON.stringify(document);
    app.get(path, (_req, res) => {
      res.setHeader('Cache-Control', 'no-cache');
      res.type('application/json').send(text);
    });
  }
  app.use(docsFiles());
  app.use(consoleFiles(options.consoleDirectory));
  app.use(notFound);
  app.use(problems(log));
  return app;
};
