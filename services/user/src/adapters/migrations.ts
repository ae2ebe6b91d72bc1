import { eventAdminSql, eventTablesSql, outboxSubjectsSql, relayKindsSql } from '@skein/events';
import { idempotencyTableSql, type Migration } from '@skein/postgres';
import { participantTableSql, sagaTablesSql } from '@skein/saga';

/** Tables about people: of somebody who was erased they keep nothing. */
const aboutPeople = ['profiles', 'last_logins', 'notices', 'mail'];

const erasedPeople = `
create table erased_person (
  user_id text primary key,
  asked_at timestamptz not null default now(),
  -- The person, or an operator with a reason.
  asked_by text not null,
  reason text not null
);
create function keep_nothing() returns trigger language plpgsql set search_path from current as $body$
begin
  return case when exists (select 1 from erased_person where user_id = new.user_id) then null else new end;
end
$body$;
${aboutPeople
  .map(
    (table) =>
      `create trigger of_erased before insert on ${table} for each row execute function keep_nothing();`,
  )
  .join('\n')}`;

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
  { version: 7, name: 'people who are erased', sql: erasedPeople },
  {
    version: 8,
    name: 'accounts on other platforms',
    sql: `
-- Made by a person for any account, or by a channel for one of its accounts; the other half comes with the link.
create table link_code (
  id uuid primary key,
  -- SHA-256 of the code.
  hash bytea not null unique,
  user_id text,
  platform text,
  account text,
  name text,
  expires_at timestamptz not null,
  used boolean not null default false,
  check (user_id is not null or account is not null)
);
create index link_code_expiry on link_code (expires_at);
create index link_code_user on link_code (user_id);

create table identity (
  platform text not null,
  account text not null,
  user_id text not null,
  name text not null,
  -- Null until the link is made: nobody else gets it meanwhile.
  linked_at timestamptz,
  link_code uuid not null,
  primary key (platform, account),
  unique (user_id, platform)
);
create trigger of_erased before insert on identity for each row execute function keep_nothing();
`,
  },
  {
    version: 9,
    name: 'erasures that may be ended before the account is closed',
    sql: `
-- The saga that erases the person; the latest one, where others were ended before.
alter table erased_person add column saga_id uuid;
-- From then on nothing new is kept about the person; null while the account is open.
alter table erased_person add column closed_at timestamptz;
update erased_person set closed_at = asked_at;
create or replace function keep_nothing() returns trigger language plpgsql set search_path from current as $body$
begin
  return case
    when exists (select 1 from erased_person where user_id = new.user_id and closed_at is not null) then null
    else new
  end;
end
$body$;
`,
  },
  { version: 10, name: 'subjects of the outbox', sql: outboxSubjectsSql },
  {
    version: 11,
    name: 'mails to addresses',
    sql: `
-- Null: whom it is for is looked up, and may be nobody with an account.
alter table mail alter column user_id drop not null;
`,
  },
  { version: 12, name: 'what a relay publishes', sql: relayKindsSql },
];
