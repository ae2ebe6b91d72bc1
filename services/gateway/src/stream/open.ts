import type { IncomingMessage } from 'node:http';
import { AppError } from '@skein/contracts';
import { z } from 'zod';
import { bearerToken } from '../auth/bearer.ts';
import { deviceName, id, queryInteger, slug } from '../http/schemas/basics.ts';
import type { DeviceName } from '../live/actor.ts';
import type { Connection } from '../live/connection.ts';
import type { LiveDeps } from '../live/deps.ts';
import type { StreamRequest } from '../live/follower.ts';
import type { Principal } from '../ports.ts';
import { decode } from '../ws/inbound.ts';
import { decodeCursor, decodeStreams, maxCursor } from './cursor.ts';

/** The query of `/v1/stream` and `/v1/poll`. */
export const streamQuery = z.object({
  ticket: z.string().min(1).max(1_024).optional().describe('Single use; instead of a bearer header'),
  device: id.describe('The device, as in `hello`'),
  platform: slug.optional(),
  name: deviceName.optional(),
  cursor: z.string().max(maxCursor).optional(),
  streams: z.string().max(32_768).optional().describe('base64url of `hello.streams`'),
  spaces: z.string().max(8_192).optional().describe('Comma-separated ids: only these'),
  waitMs: queryInteger(0, 55_000).optional().describe('Only for poll'),
});

/** What a request for a stream asks for. */
export interface StreamAsk {
  readonly principal: Principal;
  readonly device: DeviceName;
  /** Undefined: every space from its head. */
  readonly streams: readonly StreamRequest[] | undefined;
  /** `spaces` named all there should be. */
  readonly fixed: boolean;
  /** Positions came as a cursor, which acknowledges what is before them. */
  readonly resumed: boolean;
  readonly waitMs: number;
}

const wanted = (query: z.infer<typeof streamQuery>, lastEventId: string | undefined) => {
  const cursor = lastEventId ?? query.cursor;
  if (cursor !== undefined) return { positions: decodeCursor(cursor), resumed: true };
  return {
    positions: query.streams === undefined ? undefined : decodeStreams(query.streams),
    resumed: false,
  };
};

/**
 * Reads and signs in a request for a stream. AppError `unauthenticated`, `ticket_invalid`, `invalid_request`;
 * `rate_limited` for an address that asks too often without being signed in.
 */
export const readAsk = async (deps: LiveDeps, request: IncomingMessage): Promise<StreamAsk> => {
  const verdict = deps.limits.anonymous(deps.addressOf(request));
  if (!verdict.ok)
    throw new AppError('rate_limited', undefined, { retryAfterMs: Math.ceil(verdict.retryAfterMs) });
  const url = URL.parse(request.url ?? '/', 'http://gateway');
  const query = decode(streamQuery, Object.fromEntries(url?.searchParams ?? []));
  const last = request.headers['last-event-id'];
  const { positions, resumed } = wanted(query, typeof last === 'string' && last !== '' ? last : undefined);
  const token = bearerToken(request);
  const principal = await deps.signIn(token === undefined ? { ticket: query.ticket } : { token });
  const only = query.spaces?.split(',').filter(Boolean);
  const streams = only
    ? only.map((space) => positions?.find((one) => one.space === space) ?? { space })
    : positions;
  return {
    principal,
    device: { id: query.device, platform: query.platform ?? 'web', name: query.name ?? '' },
    streams,
    fixed: only !== undefined,
    resumed,
    waitMs: query.waitMs ?? 0,
  };
};

/** Tells session-sync what the cursor proves to have arrived. The next cursor says it again. */
export const acknowledge = (deps: LiveDeps, connection: Connection, ask: StreamAsk): void => {
  if (!ask.resumed) return;
  for (const { space, offset = 0 } of ask.streams ?? []) {
    if (offset === 0 || !connection.stream(space)) continue;
    deps.clients.sync
      .ackDevice({ space, deviceId: ask.device.id, offset, seq: 0 }, connection.call())
      .catch(() => {});
  }
};
