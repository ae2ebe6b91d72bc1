import { AppError } from '@skein/contracts';
import { z } from 'zod';
import type { StreamRequest } from '../live/follower.ts';
import type { StreamPosition } from '../live/sink.ts';
import { streamRequests } from '../ws/schemas.ts';

/** The part of a stream's position that a cursor holds. */
export type Position = Omit<StreamPosition, 'over' | 'tokenSince'>;

/** Longest cursor in characters: it goes into a header (`Last-Event-ID`) and into a query. */
export const maxCursor = 4_096;

/** Space, epoch, offset, id of the event at the offset. An empty epoch asks for a snapshot. */
const entry = z.tuple([z.string().min(1).max(128), z.string().max(128), z.int().min(0), z.string().max(128)]);
const entries = z.array(entry).max(200);

/** Longest `streams` in characters: 200 positions with all that belongs to them. */
export const maxStreams = 32_768;

const parse = (text: string, max: number): unknown => {
  if (text.length > max || !/^[A-Za-z0-9_-]*={0,2}$/.test(text)) throw new Error('not base64url');
  return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
};

/**
 * Positions of all followed streams as opaque text. AppError `invalid_request` when they do not fit: the client
 * then names fewer spaces in `spaces=`.
 */
export const encodeCursor = (streams: readonly Position[]): string => {
  const all = streams.map(({ space, epoch, position, lastId, settled }) =>
    settled ? [space, epoch, position, lastId] : [space, '', 0, ''],
  );
  const text = Buffer.from(JSON.stringify(all)).toString('base64url');
  if (text.length <= maxCursor) return text;
  // The id only makes sure; epoch and offset say where.
  const short = all.map(([space, epoch, position]) => [space, epoch, position, '']);
  const shorter = Buffer.from(JSON.stringify(short)).toString('base64url');
  if (shorter.length <= maxCursor) return shorter;
  throw new AppError('invalid_request', 'Too many spaces for one cursor; name some of them in spaces=');
};

/** The positions in a cursor; `invalid_request` for anything that is not one of ours. */
export const decodeCursor = (cursor: string): StreamRequest[] => {
  let value: unknown;
  try {
    value = parse(cursor, maxCursor);
  } catch (cause) {
    throw new AppError('invalid_request', 'The cursor is not valid', { cause });
  }
  const result = entries.safeParse(value);
  if (!result.success) throw new AppError('invalid_request', 'The cursor is not valid');
  return result.data.map(([space, epoch, offset, lastId]) =>
    epoch === '' ? { space } : { space, epoch, offset, lastId },
  );
};

/** The query parameter `streams`: `hello.streams` as base64url of its JSON. */
export const decodeStreams = (text: string): StreamRequest[] => {
  let value: unknown;
  try {
    value = parse(text, maxStreams);
  } catch (cause) {
    throw new AppError('invalid_request', 'streams is not base64url of JSON', { cause });
  }
  const result = streamRequests.safeParse(value);
  if (!result.success) throw new AppError('invalid_request', 'streams is not a list of positions');
  return result.data;
};
