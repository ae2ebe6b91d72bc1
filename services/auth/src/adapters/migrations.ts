import { eventAdminSql, eventTablesSql, outboxSubjectsSql, relayKindsSql } from '@skein/events';
import { idempotencyTableSql, type Migration } from '@skein/postgres';
import { participantTableSql, sagaTablesSql } from '@skein/saga';

/** The schema `auth`. Times are of the service's clock, except `rate_limits`, which only the database's touches. */
export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'accounts, logins, tokens, keys',
    sql: `
create table accounts (
  id text primary key,
  email text not null unique,
  display_name text not null,
  password_hash text not null,
  registration_key text,
  created_at timestamptz not null
);

-- A login, and with it the family of its refresh tokens: the row that is locked to rotate one.
create table sessions (
  id text primary key,
  user_id text not null references accounts on delete cascade,
  device_id text not null,
  platform text not null,
  device_name text not null,
  remote_address text not null,
  created_at timestamptz not null,
  last_used_at timestamptz not null,
  idle_expires_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_reason text
);
create index sessions_live on sessions (user_id, last_used_at) where revoked_at is null;
create index sessions_expiry on sessions (least(idle_expires_at, revoked_at));

-- Every token a family ever had, until the login is forgotten: an old one that comes again is a theft.
create table refresh_tokens (
  hash bytea primary key,
  session_id text not null references sessions on delete cascade,
  used_at timestamptz,
  used_key text,
  child_kid text
);
create index refresh_tokens_session on refresh_tokens (session_id);

create table places (
  user_id text not null references accounts on delete cascade,
  place text not null,
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  primary key (user_id, place)
);
create index places_last_seen on places (last_seen_at);

create table tickets (
  hash bytea primary key,
  user_id text not null,
  session_id text,
  token_id text,
  scopes text[] not null,
  expires_at timestamptz not null
);
create index tickets_expiry on tickets (expires_at);

create table api_tokens (
  id text primary key,
  user_id text not null references accounts on delete cascade,
  name text not null,
  scopes text[] not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  kid text not null
);
create index api_tokens_user on api_tokens (user_id, id);
create index api_tokens_expiry on api_tokens (least(expires_at, revoked_at));

-- Written under an advisory lock, so that the order of seq is the order of commits and no reader misses a row.
create table revocations (
  seq bigint generated always as identity primary key,
  session_id text,
  token_id text,
  revoked_at timestamptz not null,
  check (num_nonnulls(session_id, token_id) = 1)
);
create index revocations_time on revocations (revoked_at);

create table signing_keys (
  kid text primary key,
  public_jwk jsonb not null,
  sealed_private bytea not null,
  sign_from timestamptz not null unique,
  sign_until timestamptz not null,
  verify_until timestamptz not null
);

-- GCRA: the theoretical arrival time of the next attempt.
create table rate_limits (
  key text primary key,
  arrives_at timestamptz not null
);
create index rate_limits_arrival on rate_limits (arrives_at);
`,
  },
  { version: 2, name: 'outbox and inbox', sql: eventTablesSql },
  { version: 3, name: 'idempotency keys', sql: idempotencyTableSql },
  {
    version: 4,
    name: 'the login that made an API token',
    sql: 'alter table api_tokens add column made_by text;',
  },
  { version: 5, name: 'care of the outbox', sql: eventAdminSql() },
  { version: 6, name: 'sagas and steps of sagas', sql: `${sagaTablesSql}${participantTableSql}` },
  {
    version: 7,
    name: 'accounts that are closed',
    // Closed for good; its person is being erased.
    sql: 'alter table accounts add column closed_at timestamptz;',
  },
  { version: 8, name: 'subjects of the outbox', sql: outboxSubjectsSql },
  { version: 9, name: 'what a relay publishes', sql: relayKindsSql },
];
