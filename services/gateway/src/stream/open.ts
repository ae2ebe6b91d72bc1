import { AppError } from '@skein/contracts';
import { must } from '@skein/service-kit';
import type { Request } from 'express';
import { z } from 'zod';
import { bearerToken } from '../auth/bearer.ts';
import { limited } from '../http/problem.ts';
import { deviceName, id, queryInteger, slug } from '../http/schemas/basics.ts';
import { decode, queryOf } from '../http/validate.ts';
import type { DeviceName } from '../live/actor.ts';
import type { Connection, WelcomeStream } from '../live/connection.ts';
import type { LiveDeps } from '../live/deps.ts';
import type { StreamRequest } from '../live/follower.ts';
import type { Principal, Verdict } from '../ports.ts';
import { decodeCursor, decodeStreams, maxCursor, maxStreams } from './cursor.ts';

const shared = z.object({
  ticket: z.string().min(1).max(1_024).optional().describe('Single use; instead of a bearer header'),
  device: id.describe('The device, as in `hello`'),
  platform: slug.optional(),
  name: deviceName.optional(),
  cursor: z
    .string()
    .max(maxCursor)
    .optional()
    .describe('Of the last answer or `id:`; acknowledges what is before'),
  streams: z.string().max(maxStreams).optional().describe('base64url of `hello.streams`'),
  spaces: z
    .string()
    .max(8_192)
    .regex(/^[A-Za-z0-9._:~,-]*$/, 'must be ids with commas between them')
    .optional()
    .describe('Comma-separated ids: only these'),
});

/** The queries of `/v1/stream` and `/v1/poll`: what is parsed and what is published. */
export const streamQueries = {
  stream: shared,
  poll: shared.extend({
    waitMs: queryInteger(0, 55_000).optional().describe('How long an answer may wait for something to say'),
  }),
} as const;

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

interface StreamQuery extends z.infer<typeof streamQueries.stream> {
  readonly waitMs?: number | undefined;
}

const wanted = (query: StreamQuery, lastEventId: string | undefined) => {
  const cursor = lastEventId ?? query.cursor;
  if (cursor !== undefined) return { positions: decodeCursor(cursor), resumed: true };
  return {
    positions: query.streams === undefined ? undefined : decodeStreams(query.streams),
    resumed: false,
  };
};

const pass = (verdict: Verdict): void => {
  if (!verdict.ok) throw limited('rate_limited', verdict.retryAfterMs);
};

const readUnlimited = async (
  deps: LiveDeps,
  request: Request,
  schema: z.ZodType<StreamQuery>,
): Promise<StreamAsk> => {
  const query = must(decode(schema, queryOf(request), 'query'), 'a schema gives a query');
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

/**
 * Reads and signs in a request for a stream. AppError `unauthenticated`, `ticket_invalid`, `invalid_request`;
 * `rate_limited` when the person asks too often, or the address does without signing in: many people may share it.
 */
export const readAsk = async (
  deps: LiveDeps,
  request: Request,
  schema: z.ZodType<StreamQuery>,
): Promise<StreamAsk> => {
  let ask: StreamAsk;
  try {
    ask = await readUnlimited(deps, request, schema);
  } catch (error) {
    pass(deps.limits.anonymous(deps.addressOf(request)));
    throw error;
  }
  pass(deps.limits.request(ask.principal.userId));
  return ask;
};

/** Faults of one space that asking again does not mend. */
const lasting = ['forbidden', 'too_large'];

/**
 * Opens the streams that were asked for. Who reads one way cannot ask for one of them later: while any of them is away
 * this fails as a whole, `unavailable`, and the client comes again with the positions it has.
 */
export const openStreams = async (connection: Connection, ask: StreamAsk): Promise<WelcomeStream[]> => {
  const streams = await connection.open(ask.streams);
  const away = streams.find((one) => 'error' in one && !lasting.includes(one.error));
  if (away) throw new AppError('unavailable', `The space ${away.space} cannot be read at the moment`);
  return streams;
};

/** Tells session-sync what the cursor proves to have arrived. The next cursor says it again. */
export const acknowledge = (deps: LiveDeps, connection: Connection, ask: StreamAsk): void => {
  if (!ask.resumed) return;
  for (const { space, epoch = '', offset = 0 } of ask.streams ?? []) {
    if (offset === 0 || !connection.stream(space)) continue;
    deps.clients.sync
      .ackDevice({ space, deviceId: ask.device.id, offset, seq: 0, epoch }, connection.call())
      .catch(() => {});
  }
};
