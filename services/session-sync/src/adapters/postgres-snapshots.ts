import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import { stateHash } from '@skein/sync-core';
import type { Snapshots } from '../app/ports.ts';
import { encodeObject, jsonText } from '../domain/json-text.ts';
import type { ConversationRow, DocumentRow } from '../domain/state.ts';
import { columns } from './columns.ts';
import { nativeSha256 } from './native-sha256.ts';

/** A part stays well below a frame of 1,000,000 bytes; a single larger document is a part of its own. */
const partBytes = 400_000;
/** A snapshot is held in memory while it is sent: these two bound how much that can be. */
const snapshotBytes = 64 * 1024 * 1024;
const atOnce = 4;

/** Collects JSON texts into parts of a bounded size. */
const partsOf = () => {
  const parts: { documents: string[]; conversations: string[] }[] = [{ documents: [], conversations: [] }];
  let bytes = 0;
  let total = 0;
  return {
    add: (kind: 'documents' | 'conversations', json: string) => {
      const size = Buffer.byteLength(json);
      total += size;
      if (total > snapshotBytes) throw new AppError('too_large', 'This space is too large for one snapshot');
      if (bytes > 0 && bytes + size > partBytes) {
        parts.push({ documents: [], conversations: [] });
        bytes = 0;
      }
      bytes += size;
      parts.at(-1)?.[kind].push(json);
    },
    texts: (hash: string): string[] =>
      parts.map(({ documents, conversations }, at) =>
        encodeObject({
          documents: jsonText(`[${documents.join(',')}]`),
          conversations: jsonText(`[${conversations.join(',')}]`),
          stateHash: at === parts.length - 1 ? hash : undefined,
        }),
      ),
  };
};

/** Snapshots out of one repeatable-read transaction: position, documents and conversations of one moment. */
export const postgresSnapshots = (database: Database): Snapshots => {
  let running = 0;
  return {
    read: async (space, signal) => {
      if (running >= atOnce)
        throw new AppError('overloaded', 'Too many snapshots at once', { retryAfterMs: 500 });
      running += 1;
      try {
        return await database.transaction(
          async (tx) => {
            const [position] = await tx.query<{ epoch: string; head: number }>(
              `select s.epoch, coalesce(max(e."offset"), 0) as head
               from space s left join event e on e.stream = s.id where s.id = $1 group by s.id`,
              [space],
            );
            if (!position) throw new AppError('not_found', 'There is no such space');
            const documents = await tx.query<DocumentRow & Record<string, unknown>>(
              `select ${columns.document('d')} from document d where d.space = $1 and not d.deleted
               order by d.collection, d.id`,
              [space],
            );
            const conversations = await tx.query<ConversationRow & Record<string, unknown>>(
              `select ${columns.conversation('c')} from conversation c where c.space = $1 order by c.created_at_ms, c.id`,
              [space],
            );
            const hash = stateHash(nativeSha256);
            const parts = partsOf();
            for (const row of documents) {
              const { collection, id, loggedVersion: version, value } = row;
              hash.add({ collection, id, version, hash: row.hash });
              parts.add(
                'documents',
                encodeObject({ collection, id, version, value: jsonText(value), hash: row.hash }),
              );
            }
            for (const { id, title, head, count } of conversations)
              parts.add('conversations', encodeObject({ id, title, head: head ?? undefined, count }));
            return { epoch: position.epoch, offset: position.head, parts: parts.texts(hash.toString()) };
          },
          { isolation: 'repeatable read', readOnly: true, signal },
        );
      } finally {
        running -= 1;
      }
    },
  };
};
