/** Bytes of the largest input, output or failure in the journal. Larger things are kept elsewhere and named by an id. */
export const maxDataBytes = 65_536;

/** How long a saga may go on by itself. Participants remember its steps for a month longer. */
export const sagaKeepDays = 90;
export const sagaKeepMs = sagaKeepDays * 24 * 3_600_000;

/** How long a saga that has ended can be looked at. */
export const endedKeepDays = 30;

/**
 * Tables of a service that runs sagas: a step of its migrations. `due_at` is when somebody has to look at a saga:
 * now, after a wait, or when its owner's lease ends; null when nobody has to. The journal is only ever added to, and
 * its primary key decides who comes first; `saga` is what finding, claiming and fencing need.
 */
export const sagaTablesSql = `
create table saga (
  id uuid primary key,
  name text not null,
  version int not null,
  key text,
  subject text,
  input text not null check (octet_length(input) <= ${maxDataBytes}),
  correlation_id text not null,
  traceparent text,
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  state text not null,
  due_at timestamptz,
  owner text,
  fence bigint not null default 0,
  attempts int not null default 0,
  failure text
) with (fillfactor = 80);
create index saga_due on saga (due_at) where due_at is not null;
create index saga_live on saga (state, id) where ended_at is null;
create index saga_subject on saga (subject, id) where subject is not null;
create unique index saga_key on saga (name, key) where key is not null;
create index saga_ended on saga (ended_at) where ended_at is not null;

create table saga_entry (
  saga_id uuid not null,
  pos int not null,
  kind text not null,
  step text not null,
  data text check (octet_length(data) <= ${maxDataBytes}),
  actor text,
  reason text,
  attempts int,
  took_ms int,
  -- What the saga became by it, where that changed.
  state text,
  at timestamptz not null default now(),
  primary key (saga_id, pos)
);

-- A saga runs when it is first in line for each of its locks.
create table saga_lock (
  key text not null,
  seq bigint generated always as identity,
  saga_id uuid not null,
  primary key (key, seq)
);
create index saga_lock_saga on saga_lock (saga_id);
`;

/**
 * Table of a service that takes part in sagas: a step of its migrations. A row without a result and with
 * \`undone_at\` is a tombstone: the compensation came first, and the action is refused when it comes.
 */
export const participantTableSql = `
create table saga_step_seen (
  key text primary key,
  result text,
  seen_at timestamptz not null default now(),
  undone_at timestamptz
);
create index saga_step_seen_age on saga_step_seen (seen_at);
`;
