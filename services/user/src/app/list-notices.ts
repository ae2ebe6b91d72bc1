import { AppError } from '@skein/contracts';
import type { Notice } from '../domain/notice.ts';
import type { NoticePosition, Store } from './ports.ts';

const defaultPage = 50;
const maxPage = 200;

const toCursor = ({ timeMs, id }: NoticePosition): string =>
  Buffer.from(`${timeMs}.${id}`).toString('base64url');

const fromCursor = (cursor: string): NoticePosition => {
  const match = /^(\d{1,15})\.([\w-]{1,64})$/.exec(Buffer.from(cursor, 'base64url').toString());
  const [, timeMs, id] = match ?? [];
  if (timeMs === undefined || id === undefined)
    throw new AppError('invalid_request', 'This cursor is not one of ours');
  return { timeMs: Number(timeMs), id };
};

/** A person's notices, newest first; `next` continues after the last one. `limit` 0 is the default of 50. */
export const listNotices =
  ({ store }: { store: Store }) =>
  async (
    userId: string,
    page: { limit: number; cursor: string | undefined },
  ): Promise<{ items: Notice[]; next: string | undefined }> => {
    const limit = Math.min(Math.max(page.limit || defaultPage, 1), maxPage);
    const before = page.cursor === undefined ? undefined : fromCursor(page.cursor);
    const found = await store.notices.list(userId, before, limit + 1);
    const items = found.slice(0, limit);
    const last = items.at(-1);
    return { items, next: last && found.length > limit ? toCursor(last) : undefined };
  };
