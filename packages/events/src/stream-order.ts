import type { Queryable } from '@skein/postgres';
import type { OutboxRow, OutboxSource } from './outbox.ts';

/** Streams whose last offset is remembered; a stream that is not is taken as it comes. */
const maxStreams = 10_000;

/**
 * Puts the rows of each stream in the order of their offsets. The order of a log is that of transaction ids, and one
 * that began early may append late: its row comes before that of its predecessor. What is missing in between is
 * committed then, is fetched, and is passed over when it comes at its own place.
 */
export const streamOrder = ({ between }: Pick<OutboxSource, 'between'>) => {
  const last = new Map<string, number>();
  const remember = (stream: string, offset: number) => {
    last.delete(stream);
    last.set(stream, offset);
    for (const oldest of last.keys()) {
      if (last.size <= maxStreams) return;
      last.delete(oldest);
    }
  };
  return async (database: Queryable, rows: readonly OutboxRow[]): Promise<readonly OutboxRow[]> => {
    const ordered: OutboxRow[] = [];
    for (const row of rows) {
      const { place } = row;
      const known = place && last.get(place.stream);
      if (!place || known === undefined || !between) {
        if (place) remember(place.stream, place.offset);
        ordered.push(row);
        continue;
      }
      // It was fetched before; only its position counts.
      if (place.offset <= known) {
        ordered.push({ ...row, event: null });
        continue;
      }
      if (place.offset > known + 1)
        for (const missing of await between(database, place.stream, known, place.offset))
          ordered.push({ ...missing, position: ordered.at(-1)?.position ?? row.position });
      remember(place.stream, place.offset);
      ordered.push(row);
    }
    return ordered;
  };
};
