import { existsSync } from 'node:fs';
import { join } from 'node:path';
import express, { type RequestHandler, type Response, Router } from 'express';

/** Vite puts a hash of the content into the names under `assets`: such a file never changes. */
const cacheByName = (res: Response, path: string): void => {
  const immutable = /[\\/]assets[\\/]/.test(path);
  res.setHeader('Cache-Control', immutable ? 'public, max-age=31536000, immutable' : 'no-cache');
};

const serve = (directory: string): RequestHandler =>
  express.static(directory, { redirect: false, setHeaders: cacheByName });

/** Whether a browser navigates here, rather than a program asking for data. */
const isNavigation = (accept: string | undefined): boolean => (accept ?? '').includes('text/html');

/** First segments of paths that are never pages. */
const apiPath = /^\/(?:v1|message|user|sync|ws|docs|healthz|readyz|\.well-known|assets)(?:\/|$)/;

/** The page that is shown where no console was built. */
const placeholder =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>Skein</title>' +
  '<p>The gateway runs. The web console is not built here; see <a href="/docs">the API</a>.</p></html>';

/** The web console at `/`; pages of its own routes get the same document. */
export const consoleFiles = (directory: string): RequestHandler => {
  const page = join(directory, 'index.html');
  const router = Router();
  router.use(serve(directory));
  router.get('/{*page}', (req, res, next) => {
    if (!isNavigation(req.headers.accept) || apiPath.test(req.path)) return next();
    res.setHeader('Cache-Control', 'no-cache');
    // Looked up at each request: the console may be built while we run.
    if (existsSync(page)) res.sendFile(page);
    else if (req.path === '/') res.type('html').send(placeholder);
    else next();
  });
  return router;
};

/** The page that renders the OpenAPI document, from our own files only. */
export const docsFiles = (): RequestHandler => {
  const directory = join(import.meta.dirname, 'docs');
  const router = Router();
  router.get('/docs', (_req, res) => {
    res.setHeader('Cache-Control', 'no-cache');
    res.sendFile(join(directory, 'index.html'));
  });
  router.use('/docs', serve(directory));
  return router;
};
