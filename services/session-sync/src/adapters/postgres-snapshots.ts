import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import type { Snapshots } from '../app/ports.ts';
import { jsonText } from '../domain/json-text.ts';
import type { ConversationRow, DocumentRow } from '../domain/state.ts';
import { columns } from './columns.ts';
import { holdTables } from './read-model-tables.ts';
import { snapshotParts } from './snapshot-parts.ts';

/** A snapshot is held in memory until its reader has it: these bound how much all of them can be. */
const defaults = { snapshotBytes: 64 * 1024 * 1024, heldBytes: 128 * 1024 * 1024, atOnce: 4 };
/** What a row costs beside its texts. */
const rowBytes = 200;

/** Bounds of one snapshot, of all that are held, and of readings at the same time. */
export type SnapshotLimits = Partial<typeof defaults>;

// Lengths are known without reading the texts.
const positionSql = `
  select s.epoch,
    coalesce((select e."offset" from event e where e.stream = s.id order by e."offset" desc limit 1), 0) as head,
    coalesce((select sum(octet_length(d.value) + octet_length(d.collection) + octet_length(d.id) + ${rowBytes})
      from document d where d.space = s.id and not d.deleted), 0)
    + coalesce((select sum(octet_length(c.title) + ${rowBytes}) from conversation c where c.space = s.id), 0) as bytes
  from space s where s.id = $1`;

/** Snapshots out of one repeatable-read transaction: position, documents and conversations of one moment. */
export const postgresSnapshots = (database: Database, limits: SnapshotLimits = {}): Snapshots => {
  const { snapshotBytes, heldBytes, atOnce } = { ...defaults, ...limits };
  let running = 0;
  let held = 0;
  const busy = () => new AppError('overloaded', 'Too many snapshots at once', { retryAfterMs: 500 });
  return {
    read: async (space, signal) => {
      if (running >= atOnce) throw busy();
      running += 1;
      let mine = 0;
      const release = () => {
        held -= mine;
        mine = 0;
      };
      try {
        return await database.transaction(
          async (tx) => {
            // It may be tried again.
            release();
            await holdTables(tx);
            const [position] = await tx.query<{ epoch: string; head: number; bytes: string }>(positionSql, [
              space,
            ]);
            if (!position) throw new AppError('not_found', 'There is no such space');
            const bytes = Number(position.bytes);
            if (bytes > snapshotBytes)
              throw new AppError('too_large', 'This space is too large for one snapshot');
            if (held + bytes > heldBytes) throw busy();
            held += bytes;
            mine = bytes;
            const documents = await tx.query<DocumentRow & Record<string, unknown>>(
              `select ${columns.document('d')} from document d where d.space = $1 and not d.deleted
               order by d.collection, d.id`,
              [space],
            );
            const conversations = await tx.query<ConversationRow & Record<string, unknown>>(
              `select ${columns.conversation('c')} from conversation c where c.space = $1 order by c.created_at_ms, c.id`,
              [space],
            );
            const parts = snapshotParts();
            for (const { loggedVersion: version, value, ...row } of documents)
              parts.document({ ...row, version, value: jsonText(value) });
            for (const { head, ...row } of conversations)
              parts.conversation({ ...row, head: head ?? undefined });
            return {
              epoch: position.epoch,
              offset: position.head,
              parts: parts.texts(),
              release,
            };
          },
          { isolation: 'repeatable read', readOnly: true, signal },
        );
      } catch (error) {
        release();
        throw error;
      } finally {
        running -= 1;
      }
    },
  };
};
