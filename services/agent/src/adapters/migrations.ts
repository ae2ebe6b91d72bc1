import { eventAdminSql, eventTablesSql } from '@skein/events';
import { idempotencyTableSql, type Migration } from '@skein/postgres';
import { participantTableSql, sagaTablesSql } from '@skein/saga';

/** The history of the agent's schema. */
export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'turns and event tables',
    sql: `
create table turn (
  id text primary key,
  space text not null,
  conversation_id text not null,
  question_id text not null,
  message_id text not null default '',
  user_id text not null,
  persona text not null,
  traceparent text,
  state text not null default 'queued' check (state in ('queued', 'streaming', 'done', 'cancelled', 'failed')),
  text text not null default '',
  cancel_requested boolean not null default false,
  decided text,
  holder text,
  fence bigint not null default 0,
  attempt int not null default 0,
  lease_until timestamptz not null default '-infinity',
  created_at timestamptz not null default now(),
  ended_at timestamptz
);
create index turn_open on turn (created_at) where state in ('queued', 'streaming');
${eventTablesSql}`,
  },
  { version: 2, name: 'care of dead letters', sql: eventAdminSql() },
  { version: 3, name: 'sagas and steps of sagas', sql: `${sagaTablesSql}${participantTableSql}` },
  {
    version: 4,
    name: 'projects on their way',
    sql: `
-- What was asked for, until its saga has ended: what becomes of it is in the space.
create table project (
  id uuid primary key,
  saga_id uuid not null,
  space text not null,
  user_id text not null,
  title text not null,
  -- JSON text of [{id, text, persona}].
  tasks text not null,
  created_at timestamptz not null default now()
);
create index project_saga on project (saga_id);
create index project_user on project (user_id);
${idempotencyTableSql}`,
  },
  {
    version: 5,
    name: 'people who were erased',
    sql: 'create table erased_person (user_id text primary key, erased_at timestamptz not null default now());',
  },
];
