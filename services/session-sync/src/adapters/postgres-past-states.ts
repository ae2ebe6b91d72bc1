import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import type { PastStates } from '../app/ports.ts';
import { keepsCheckpoint } from '../domain/checkpoints.ts';
import {
  applyLogged,
  type Contents,
  contentTypes,
  decodeContents,
  emptyContents,
  encodeContents,
} from '../domain/contents.ts';
import type { LoggedEvent } from '../domain/event.ts';
import { jsonText } from '../domain/json-text.ts';
import { logAt, logRange } from './log-reads.ts';
import { snapshotParts } from './snapshot-parts.ts';

/** Bounds of one state: its texts, its documents and conversations; and of the states that are held at once. */
const defaults = { stateBytes: 64 * 1024 * 1024, entries: 250_000, atOnce: 2, every: 10_000 };
/** Events read in one query: so many, and no more bytes than this but for the first. */
const pageEvents = 2_000;
const pageBytes = 8_000_000;
/** Spaces that may wait for their checkpoint. One that is not taken is made when a state is read. */
const maxGrown = 1_000;

/** Bounds, and how many events there are from checkpoint to checkpoint. */
export type PastStateLimits = Partial<typeof defaults>;

type Row = LoggedEvent & Record<string, unknown>;

/** The state at any offset out of checkpoints and the log after them. */
export interface PostgresPastStates extends PastStates {
  /** Told what was written, so that checkpoints are made before somebody waits for them. */
  grown(space: string, events: readonly LoggedEvent[]): void;
  /** Makes the checkpoints that are due; `signal` gives the one under way up after its page. */
  checkpoint(signal: AbortSignal): Promise<void>;
}

/** Past states, with checkpoints in `state_checkpoint`. */
export const postgresPastStates = (database: Database, limits: PastStateLimits = {}): PostgresPastStates => {
  const { stateBytes, entries, atOnce, every } = { ...defaults, ...limits };
  const grown = new Map<string, number>();
  let held = 0;
  const tooLarge = () =>
    new AppError('too_large', 'The state of this space was too large to be read at once');

  /** Keeps a checkpoint when its distance to the newest one does, and drops those that have become too far for theirs. */
  const save = async (space: string, offset: number, newest: number, contents: Contents): Promise<void> => {
    const kept = (one: number) => keepsCheckpoint(one / every, newest / every);
    if (!kept(offset)) return;
    await database.query(
      `insert into state_checkpoint (space, "offset", time_ms, contents)
       select $1, $2, time_ms, $3 from ${logAt('$1', 'array[$2::bigint]')} e on conflict do nothing`,
      [space, offset, encodeContents(contents)],
    );
    if (offset < newest) return;
    const there = await database.query<{ offset: number }>(
      'select "offset" from state_checkpoint where space = $1',
      [space],
    );
    const dropped = there.map((row) => row.offset).filter((one) => !kept(one));
    if (dropped.length > 0)
      await database.query('delete from state_checkpoint where space = $1 and "offset" = any($2::bigint[])', [
        space,
        dropped,
      ]);
  };

  /** Replays to an offset, and leaves a checkpoint wherever one is due on the way. */
  const contentsAt = async (space: string, to: number, signal?: AbortSignal): Promise<Contents> => {
    const [start] = await database.query<{ offset: number; contents: string }>(
      `select "offset", contents from state_checkpoint where space = $1 and "offset" <= $2
       order by "offset" desc limit 1`,
      [space, to],
    );
    const [{ newest = 0 } = {}] = await database.query<{ newest: number }>(
      'select coalesce(max("offset"), 0) as newest from state_checkpoint where space = $1',
      [space],
    );
    const contents = start ? decodeContents(start.contents) : emptyContents();
    for (let from = start?.offset ?? 0; from < to; ) {
      const end = Math.min(to, (Math.floor(from / every) + 1) * every);
      for (let after = from; after < end; ) {
        signal?.throwIfAborted();
        const upto = Math.min(end, after + pageEvents);
        const rows = await database.query<Row & { readonly whole: boolean }>(
          {
            name: 'session_sync_replay',
            text: `select "offset", type, json, whole from (
                     select *, max(before) over () < ${pageBytes} as whole from (
                       select "offset", type, json, sum(octet_length(json)) over (order by "offset")
                         - octet_length(json) as before
                       from ${logRange('$1', '$2::bigint', '$3::bigint')} e where type = any($4::text[])) sized) page
                   where before < ${pageBytes} order by "offset"`,
          },
          [space, after, upto, contentTypes],
        );
        for (const row of rows) applyLogged(contents, row);
        const last = rows.at(-1);
        after = last && !last.whole ? last.offset : upto;
        if (contents.documents.size + contents.conversations.size > entries) throw tooLarge();
      }
      if (end % every === 0) await save(space, end, Math.max(newest, to - (to % every)), contents);
      from = end;
    }
    return contents;
  };

  /** The data of events of one space by offset, in the order asked for, a page at a time. */
  async function* dataAt<T>(space: string, offsets: readonly number[]): AsyncGenerator<T, void> {
    for (let at = 0; at < offsets.length; at += pageEvents) {
      const page = offsets.slice(at, at + pageEvents);
      const rows = await database.query<Row>(
        `select e.json from ${logAt('$1', '$2::bigint[]')} e order by e.place`,
        [space, page],
      );
      for (const { json } of rows) yield (JSON.parse(json) as { readonly data: T }).data;
    }
  }

  const read: PastStates['read'] = async (space, at, signal) => {
    if (held >= atOnce)
      throw new AppError('overloaded', 'Too many past states at once', { retryAfterMs: 500 });
    held += 1;
    let mine = 1;
    const release = () => {
      held -= mine;
      mine = 0;
    };
    try {
      const { documents, conversations } = await contentsAt(space, at.offset, signal);
      const places = [...documents].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, offset]) => offset);
      const titles = [...conversations.values()].map(({ titleAt }) => titleAt);
      const [size] = await database.query<{ bytes: string }>(
        `select coalesce(sum(octet_length(json)), 0)::text as bytes from ${logAt('$1', '$2::bigint[]')} e`,
        [space, [...places, ...titles]],
      );
      if (Number(size?.bytes) > stateBytes) throw tooLarge();
      const parts = snapshotParts();
      for await (const { value, ...data } of dataAt<DocumentData>(space, places))
        parts.document({ ...data, value: jsonText(JSON.stringify(value)) });
      const heads = [...conversations].values();
      for await (const { title } of dataAt<{ readonly title: string }>(space, titles)) {
        const [id, { head, count }] = heads.next().value ?? ['', { head: undefined, count: 0 }];
        parts.conversation({ id, title, head, count });
      }
      return { ...at, parts: parts.texts(), release };
    } catch (error) {
      release();
      throw error;
    }
  };

  return {
    read,
    offsetAt: async (space, timeMs) => {
      // Checkpoints say between which two of them to look: a log has no index over its times.
      const [row] = await database.query<{ offset: number }>(
        `select "offset" from event where stream = $1 and time_ms <= $2
           and "offset" >= coalesce((select max("offset") from state_checkpoint where space = $1 and time_ms <= $2), 0)
           and "offset" <= coalesce((select min("offset") from state_checkpoint where space = $1 and time_ms > $2),
             ${Number.MAX_SAFE_INTEGER})
         order by "offset" desc limit 1`,
        [space, timeMs],
      );
      if (row) return row.offset;
      const [older] = await database.query<{ offset: number }>(
        `select a.first + n.place - 1 as "offset"
         from (select * from event_archive where stream = $1 and oldest_ms <= $2 order by last desc limit 1) a
         cross join lateral unnest(a.times) with ordinality as n(time_ms, place)
         where n.time_ms <= $2 order by 1 desc limit 1`,
        [space, timeMs],
      );
      return older?.offset ?? 0;
    },
    grown: (space, events) => {
      const last = events.at(-1)?.offset ?? 0;
      const due = last - (last % every);
      if (due > 0 && due > last - events.length && (grown.size < maxGrown || grown.has(space)))
        grown.set(space, due);
    },
    checkpoint: async (signal) => {
      for (const [space, offset] of [...grown]) {
        grown.delete(space);
        await contentsAt(space, offset, signal);
      }
    },
  };
};

interface DocumentData {
  readonly collection: string;
  readonly id: string;
  readonly version: number;
  readonly value: unknown;
  readonly hash: string;
}
