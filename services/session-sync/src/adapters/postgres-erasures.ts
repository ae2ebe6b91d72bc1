import { type EventBus, eraseEvents } from '@skein/events';
import type { Database } from '@skein/postgres';
import type { Sha256 } from '@skein/sync-core';
import type { Erasures, PersonsSpace } from '../app/erase-person.ts';
import type { Ids } from '../app/ports.ts';
import type { Role } from '../domain/state.ts';
import { quotedTurns } from './person-in-space.ts';
import { redactSpace } from './redact-space.ts';

/** Rows of one statement: none holds its locks for long. */
const batch = 5_000;

/** Rows of a space, by the condition that names them. */
interface Contents {
  readonly table: string;
  readonly key: string;
  readonly of: string;
}

/** The log of a space; what is moved to the archive meanwhile is found there. */
const logOfSpace: readonly Contents[] = [
  { table: 'event', key: 'stream, "offset"', of: 'stream = $1' },
  { table: 'event_archive', key: 'stream, last', of: 'stream = $1' },
];

/** What else is in a space and in nothing else. */
const restOfSpace: readonly Contents[] = [
  { table: 'turn_end', key: 'turn_id', of: 'turn_id in (select id from turn where space = $1)' },
  { table: 'message', key: 'id', of: 'space = $1' },
  { table: 'turn', key: 'id', of: 'space = $1' },
  { table: 'conversation', key: 'id', of: 'space = $1' },
  { table: 'document', key: 'space, collection, id', of: 'space = $1' },
  { table: 'mutation_result', key: 'space, user_id, device, seq', of: 'space = $1' },
  { table: 'device_space', key: 'space, user_id, device', of: 'space = $1' },
  { table: 'conflict', key: 'id', of: 'space = $1' },
  { table: 'state_checkpoint', key: 'space, "offset"', of: 'space = $1' },
  { table: 'redaction', key: 'space, "offset"', of: 'space = $1' },
  { table: 'health_record', key: 'id', of: 'space = $1' },
  { table: 'invitation', key: 'id', of: 'space = $1' },
  { table: 'member', key: 'space, user_id', of: 'space = $1' },
  { table: 'space', key: 'id', of: 'id = $1' },
];

const deleteInvitations = `delete from invitation
  where created_by = $1 or user_id = $1 and accepted_by is null or declined_by = $1`;

/** What belongs to a person and to no space. */
const ofPerson = [
  'delete from device where user_id = $1',
  'delete from device_login where user_id = $1',
  'delete from idempotency_keys where scope = $1',
  'delete from health_record where user_id = $1',
  deleteInvitations,
  'delete from invitation where accepted_by = $1',
];

/** What the adapter needs beside the schema. */
export interface ErasuresOptions {
  readonly database: Database;
  readonly bus: Pick<EventBus, 'erase'>;
  readonly ids: Ids;
  readonly sha256: Sha256;
  readonly forgetSagas: (userId: string) => Promise<void>;
}

/** Erasing from this service's schema. */
export const postgresErasures = (options: ErasuresOptions): Erasures => {
  const { database, bus, ids, forgetSagas } = options;

  const empty = async (contents: readonly Contents[], space: string, signal: AbortSignal): Promise<void> => {
    // Until there is nothing: others may have taken some of a batch.
    for (const { table, key, of } of contents)
      for (let removed = batch; removed > 0; ) {
        signal.throwIfAborted();
        const rows = await database.query(
          `delete from ${table} where (${key}) in (select ${key} from ${table} where ${of} limit ${batch}) returning 1`,
          [space],
        );
        removed = rows.length;
      }
  };

  /** Nobody comes in any more, unless somebody has; whoever is on their way finds the invitation gone. */
  const close = (space: string, userId: string): Promise<boolean> =>
    database.transaction(async (tx) => {
      await tx.query('select pg_advisory_xact_lock(hashtextextended($1::text, 0))', [space]);
      const others = 'select 1 from member where space = $1 and user_id <> $2 limit 1';
      if ((await tx.query(others, [space, userId])).length > 0) return false;
      await tx.query('delete from invitation where space = $1', [space]);
      await tx.query('delete from member where space = $1', [space]);
      return true;
    });

  return {
    forbid: async (userId, nowMs) => {
      await database.query(
        'insert into erased_person (user_id, erased_at_ms) values ($1, $2) on conflict do nothing',
        [userId, nowMs],
      );
      await database.query(deleteInvitations, [userId]);
    },
    spacesOf: async (userId) => {
      const rows = await database.query<{
        id: string;
        member: boolean;
        heir: string | null;
        role: Role | null;
      }>(
        `select t.space as id, me.user_id is not null as member, h.user_id as heir, h.role
         from took_part t
         left join member me on me.space = t.space and me.user_id = t.user_id
         left join lateral (
           select m.user_id, m.role from member m where m.space = t.space and m.user_id <> t.user_id
           order by m.role = 'owner' desc, m.role = 'editor' desc, m.joined_at_ms, m.user_id limit 1) h on true
         where t.user_id = $1 order by t.space`,
        [userId],
      );
      return rows.map(({ id, member, heir, role }): PersonsSpace => {
        const next = heir === null || role === null ? undefined : { userId: heir, role };
        return { id, member, heir: next };
      });
    },
    quotedIn: (space, userId, signal) => quotedTurns(database, space, userId, signal),
    redact: (space, userId, quoted, signal) => redactSpace(options, { space, userId, quoted }, signal),
    drop: async (space, userId, signal) => {
      if (!(await close(space, userId))) return false;
      await empty(logOfSpace, space, signal);
      // A rebuild that has read the log begins anew with the space, before what it has made is removed from the tables.
      await database.query('update space set epoch = $2 where id = $1', [space, ids.epoch()]);
      await empty(restOfSpace, space, signal);
      await database.query('update ledger_entry set salt = null, record = null where space = $1', [space]);
      return true;
    },
    forgetSagas,
    forget: (userId, email) =>
      database.transaction(async (tx) => {
        for (const statement of ofPerson) await tx.query(statement, [userId]);
        if (email !== '') await tx.query('delete from invitation where email = $1', [email]);
      }),
    forgetEvents: async (space, userId, signal) => {
      await database.transaction((tx) => eraseEvents(tx, { subject: space, userId }));
      await bus.erase({ subject: space, userId }, signal);
    },
  };
};
