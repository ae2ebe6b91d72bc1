import { eventAdminSql, eventTablesSql } from '@skein/events';
import { idempotencyTableSql, type Migration } from '@skein/postgres';
import { participantTableSql, sagaTablesSql } from '@skein/saga';

/** The schema `user`. */
export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'profiles, last logins, notices',
    sql: `
create table profiles (
  user_id text primary key,
  email text not null,
  display_name text not null,
  locale text not null,
  timezone text not null,
  created_at timestamptz not null
);

-- Apart from profiles: a login may be heard of before the profile is asked for.
create table last_logins (
  user_id text primary key,
  at timestamptz not null,
  platform text not null
);

create table notices (
  id text primary key,
  user_id text not null,
  kind text not null,
  time timestamptz not null,
  data jsonb not null
);
create index notices_newest on notices (user_id, time desc, id desc);
`,
  },
  { version: 2, name: 'outbox and inbox', sql: eventTablesSql },
  { version: 3, name: 'idempotency keys', sql: idempotencyTableSql },
  { version: 4, name: 'care of dead letters', sql: eventAdminSql() },
  {
    version: 5,
    name: 'mails that wait',
    sql: `
-- Ids only: addresses and words are looked up when a mail is sent.
create table mail (
  event_id text primary key,
  user_id text not null,
  event text not null,
  attempts int not null default 0,
  due_at timestamptz not null default now()
);
create index mail_due on mail (due_at);
create index mail_user on mail (user_id);
`,
  },
  { version: 6, name: 'sagas and steps of sagas', sql: `${sagaTablesSql}${participantTableSql}` },
];
