import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { toAppError } from '@skein/contracts';
import type { Request, Response } from 'express';
import { classicType, exchangeOf } from './exchange.ts';
import { problemOf } from './problem.ts';
import type { EventStream, Route } from './route.ts';

/** Sends a JSON answer, wrapped for classic clients that asked for it. */
export const sendJson = (req: Request, res: Response, row: Route, answer: unknown): void => {
  res.status(row.status);
  res.setHeader('Cache-Control', row.cacheControl ?? 'no-store');
  if (row.status === 204) {
    res.end();
    return;
  }
  const { classic } = exchangeOf(req);
  res.vary('Accept');
  const type = classic ? classicType : (row.responseType ?? 'application/json');
  res.setHeader('Content-Type', `${type}; charset=utf-8`);
  const text = JSON.stringify(classic ? { success: true, data: answer } : answer);
  if (row.tagged && isKnown(req, res, text)) res.status(304).end();
  else res.end(text);
};

/** Names the answer by its content; true when the client says that it has it. */
const isKnown = (req: Request, res: Response, text: string): boolean => {
  const tag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
  res.setHeader('ETag', tag);
  const known = req.headers['if-none-match'] ?? '';
  // A proxy that compresses makes it a weak one.
  return known.split(',').some((one) => one.trim().replace(/^W\//, '') === tag);
};

/** Comment lines keep proxies from closing a stream that is quiet while the answer is thought about. */
const heartbeatMs = 15_000;

/**
 * Sends events as they are made, at the reader's pace. A failure after the first byte is the event `error` with
 * the problem as its data.
 */
export const sendEvents = async (req: Request, res: Response, stream: EventStream): Promise<void> => {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store, no-transform',
    'X-Accel-Buffering': 'no',
  });
  res.flushHeaders();
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  const write = async (event: string, data: unknown) => {
    if (res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`) || res.destroyed) return;
    // Rejects when the client goes away: the loop below then lets go of the stream.
    await once(res, 'drain', { signal: gone.signal });
  };
  const heartbeat = setInterval(() => {
    if (!res.writableNeedDrain) res.write(':\n\n');
  }, heartbeatMs);
  try {
    for await (const { event, data } of stream.events) {
      if (res.destroyed) return;
      await write(event, data);
    }
  } catch (error) {
    if (!res.destroyed) await write('error', problemOf(toAppError(error), exchangeOf(req).traceId));
  } finally {
    clearInterval(heartbeat);
    res.end();
  }
};
