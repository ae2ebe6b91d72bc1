import { AppError } from '@skein/contracts';
import { isId } from '../app/personal-space.ts';

/** The sort key of the last row of a page. */
export type CursorKey = readonly (string | number)[];

/** What stands at a place of a cursor. All else never reaches the database, which would fail on it. */
type Shape = 'text' | 'integer' | 'id';

const fits: Readonly<Record<Shape, (part: unknown) => boolean>> = {
  // Postgres has no text with a NUL in it.
  text: (part) => typeof part === 'string' && !part.includes('\0'),
  integer: Number.isSafeInteger,
  id: (part) => typeof part === 'string' && isId(part),
};

/** An opaque cursor for the page after this row. */
export const encodeCursor = (key: CursorKey): string =>
  Buffer.from(JSON.stringify(key)).toString('base64url');

/** The key in a cursor, undefined without one; `invalid_request` for what we did not make. */
export const decodeCursor = (cursor: string | undefined, shape: readonly Shape[]): CursorKey | undefined => {
  if (!cursor) return undefined;
  let key: unknown;
  try {
    key = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    key = undefined;
  }
  if (
    Array.isArray(key) &&
    key.length === shape.length &&
    shape.every((part, at) => fits[part]((key as unknown[])[at]))
  )
    return key as CursorKey;
  throw new AppError('invalid_request', 'The cursor is not one of ours', {
    errors: [{ path: 'cursor', message: 'not a cursor of this list' }],
  });
};

/** Splits `limit + 1` rows into a page and the cursor of the next one. */
export const pageOf = <T>(
  rows: readonly T[],
  limit: number,
  keyOf: (row: T) => CursorKey,
): { readonly items: readonly T[]; readonly next?: string } => {
  if (rows.length <= limit) return { items: rows };
  const items = rows.slice(0, limit);
  return { items, next: encodeCursor(keyOf(items.at(-1) as T)) };
};
