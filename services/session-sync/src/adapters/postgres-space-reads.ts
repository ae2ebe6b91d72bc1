import { AppError } from '@skein/contracts';
import { type Database, sqlState } from '@skein/postgres';
import type { RunningTurn, SpaceMaker, SpacePosition, SpaceReads, SpaceView } from '../app/ports.ts';
import type { LoggedEvent } from '../domain/event.ts';
import type { Role } from '../domain/state.ts';
import { decodeCursor, pageOf } from './cursor.ts';
import { personErased } from './erasure-schema.ts';
import { logRange } from './log-reads.ts';

const headOf = (space: string) =>
  `coalesce((select e."offset" from event e where e.stream = ${space} order by e."offset" desc limit 1), 0)`;

// A person's own space comes first: others may add the person to as many as they like.
const rank = `(s.kind <> 'personal')::int`;
const view = `s.id, s.kind, s.title, m.role, s.epoch, s.floor, ${headOf('s.id')} as head`;

/** Spaces and logs as this service's schema has them. */
export const postgresSpaceReads = (database: Database): SpaceReads => ({
  spacesOf: async (userId, { limit, cursor }) => {
    const [afterRank, after] = decodeCursor(cursor, ['integer', 'id']) ?? [null, null];
    const rows = await database.query<SpaceView>(
      {
        name: 'session_sync_spaces_of',
        text: `select ${view}, 0::bigint as "lastSeq" from member m join space s on s.id = m.space
               where m.user_id = $1 and ($2::bigint is null or (${rank}, s.id) > ($2::bigint, $3::uuid))
               order by ${rank}, s.id limit $4`,
      },
      [userId, afterRank, after, limit + 1],
    );
    return pageOf(rows, limit, (row) => [row.kind === 'personal' ? 0 : 1, row.id]);
  },
  sessionsOf: async (devices, limit) => {
    const rows = await database.query<SpaceView & { readonly at: number; readonly rank: number }>(
      {
        name: 'session_sync_sessions_of',
        text: `select a.at, v.* from unnest($1::text[], $2::text[]) with ordinality as a(user_id, device, at)
               cross join lateral (
                 select ${view}, coalesce(d.last_seq, 0) as "lastSeq", ${rank} as rank
                 from member m join space s on s.id = m.space
                 left join device_space d on d.space = s.id and d.user_id = m.user_id and d.device = a.device
                 where m.user_id = a.user_id order by rank, s.id limit $3) v
               order by a.at, v.rank, v.id`,
      },
      [devices.map(({ userId }) => userId), devices.map(({ device }) => device), limit],
    );
    const sessions = devices.map((): SpaceView[] => []);
    for (const { at, rank: _, ...space } of rows) sessions[at - 1]?.push(space);
    return sessions;
  },
  memberships: async (userId) => {
    const [row] = await database.query<{ made: number; joined: number }>(
      {
        name: 'session_sync_memberships',
        text: `select count(*) filter (where s.created_by = $1)::int as made,
                 count(*) filter (where s.created_by <> $1)::int as joined
               from member m join space s on s.id = m.space where m.user_id = $1 and s.kind = 'team'`,
      },
      [userId],
    );
    return row ?? { made: 0, joined: 0 };
  },
  spaceOf: async (userId, space) => {
    const [row] = await database.query<SpaceView>(
      {
        name: 'session_sync_space_of',
        text: `select ${view}, 0::bigint as "lastSeq" from member m join space s on s.id = m.space
               where m.space = $1 and m.user_id = $2`,
      },
      [space, userId],
    );
    return row;
  },
  membersOf: async (space, { limit, cursor }) => {
    const [after] = decodeCursor(cursor, ['text']) ?? [null];
    const rows = await database.query<{ userId: string; role: Role }>(
      `select user_id as "userId", role from member where space = $1 and ($2::text is null or user_id > $2)
       order by user_id limit $3`,
      [space, after, limit + 1],
    );
    return pageOf(rows, limit, (row) => [row.userId]);
  },
  events: (space, after, limit) =>
    database.query<LoggedEvent & Record<string, unknown>>(
      {
        name: 'session_sync_events',
        text: `select "offset", id, type, json from ${logRange('$1', '$2::bigint', '($2::bigint + $3::bigint)')} e
               order by "offset"`,
      },
      [space, after, limit],
    ),
  isErased: async (userId) =>
    (await database.query('select 1 from erased_person where user_id = $1', [userId])).length > 0,
  positions: (spaces) =>
    database.query<SpacePosition & Record<string, unknown>>(
      {
        name: 'session_sync_positions',
        // In a select of its own the list has no length to plan for, and the plan is kept (see space-states.ts).
        text: `select s.id as space, s.epoch, ${headOf('s.id')} as head from space s
               where s.id = any((select $1::uuid[])::uuid[])`,
      },
      [spaces],
    ),
  runningTurns: (spaces) =>
    database.query<RunningTurn & Record<string, unknown>>(
      {
        name: 'session_sync_running_turns',
        text: `select space, id as "turnId", answer_id as "messageId", conversation_id as "conversationId"
               from turn where space = any($1::uuid[]) and state <> 'ended' order by created_at_ms`,
      },
      [spaces],
    ),
});

/** Makes spaces; two processes at once make one. */
export const postgresSpaceMaker = (database: Database): SpaceMaker => ({
  make: async ({ id, kind, title, epoch, owner, nowMs }) => {
    const made = database.query(
      {
        name: 'session_sync_make_space',
        text: `with made as (
                 insert into space (id, kind, title, epoch, created_by, created_at_ms) values ($1, $2, $3, $4, $5, $6)
                 on conflict (id) do nothing returning id)
               insert into member (space, user_id, role, joined_at_ms) select id, $5, 'owner', $6 from made
               on conflict do nothing`,
      },
      [id, kind, title, epoch, owner, nowMs],
    );
    await made.catch((error: unknown) => {
      if (sqlState(error) === personErased) throw new AppError('not_found', 'There is no such person');
      throw error;
    });
    const [row] = await database.query<{ title: string }>('select title from space where id = $1', [id]);
    return row?.title ?? title;
  },
});
