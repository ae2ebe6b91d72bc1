import { genesisSql } from './ledger-backfill.ts';

/**
 * The entries of the integrity ledger that go with a commit. A place that is taken is a guard like the others:
 * somebody else has changed the space, and the decision is made again.
 */
const commitLedger = `
create function commit_ledger(p_ledger json) returns void language plpgsql as $body$
declare
  losers text;
begin
  with wanted as (
    select * from json_to_recordset(p_ledger)
      as r(space uuid, position bigint, hash text, commitment text, salt text, record text)
  ), stored as (
    insert into ledger_entry (space, position, hash, commitment, salt, record)
    select space, position, hash, commitment, salt, record from wanted order by space, position
    on conflict (space, position) do nothing
    returning space, position
  )
  select string_agg(distinct w.space::text, ',') into losers
  from wanted w left join stored s using (space, position) where s.space is null;
  if losers is not null then
    raise exception 'the ledger moved on' using errcode = 'SK001', detail = losers;
  end if;
end
$body$;
`;

/** Steps of sagas that go with a commit: done, or taken back. A step that was heard of meanwhile is a guard. */
const commitSteps = `
create function commit_steps(p_steps json) returns void language plpgsql as $body$
declare
  losers text;
begin
  with wanted as (
    select * from json_to_recordset(p_steps)
      as r(space uuid, key text, result text, undone boolean, stored boolean)
  ), claimed as (
    insert into saga_step_seen (key, result, undone_at)
    select key, result, case when undone then now() end from wanted where not stored order by key
    on conflict (key) do nothing
    returning key
  ), undone as (
    update saga_step_seen s set undone_at = now(), result = null from wanted w
    where w.stored and w.undone and s.key = w.key and s.undone_at is null
    returning s.key
  )
  select string_agg(distinct w.space::text, ',') into losers from wanted w
  where not exists (select 1 from claimed c where c.key = w.key)
    and not exists (select 1 from undone u where u.key = w.key);
  if losers is not null then
    raise exception 'the step was heard of meanwhile' using errcode = 'SK001', detail = losers;
  end if;
end
$body$;
`;

/** Invitations that go with a commit; those that are there end at another time, unless somebody has come by them. */
const commitInvitations = `
create function commit_invitations(p_invitations json) returns void language sql as $body$
  insert into invitation as i
    (id, space, role, code, user_id, email, created_by, created_at_ms, expires_at_ms)
  select id, space, role, code, "userId", email, "createdBy", "createdAtMs", "expiresAtMs"
  from json_to_recordset(p_invitations)
    as r(id uuid, space uuid, role text, code text, "userId" text, email text, "createdBy" text,
      "createdAtMs" bigint, "expiresAtMs" bigint)
  order by id
  on conflict (id) do update set expires_at_ms = excluded.expires_at_ms where i.accepted_by is null
$body$;
`;

/** Invitations for one person, who may be an owner. Nobody who was erased is invited. */
export const personalInvitations = `
alter table invitation add column user_id text collate "C",
  drop constraint invitation_role_check,
  add constraint invitation_role_check check (role in ('editor', 'viewer') or user_id is not null or accepted_by is not null);
create index invitation_user on invitation (user_id) where user_id is not null;
create index invitation_email on invitation (email) where email is not null;
create index invitation_maker on invitation (created_by, created_at_ms);
create trigger invitation_of_erased before insert on invitation for each row execute function keep_nothing();
${commitInvitations}`;

/**
 * Invitations that go with a commit: new ones, those that end (never later than they were to), those that are used, and
 * those of whoever has left. One that was taken back or declined meanwhile is a guard like the others.
 */
const commitInvitationsAndUses = `
create or replace function commit_invitations(p_invitations json) returns void language plpgsql as $body$
declare
  losers text;
begin
  with wanted as (
    select * from json_to_recordset(p_invitations)
      as r(id uuid, space uuid, "usedBy" text, "personEmail" text) where "usedBy" is not null
  ), used as (
    update invitation i set accepted_by = w."usedBy", person_email = nullif(w."personEmail", '') from wanted w
    where i.id = w.id and i.accepted_by is null and not i.ended
    returning i.id
  )
  select string_agg(distinct w.space::text, ',') into losers
  from wanted w left join used u using (id) where u.id is null;
  if losers is not null then
    raise exception 'the invitation is gone' using errcode = 'SK001', detail = losers;
  end if;

  delete from invitation i using json_to_recordset(p_invitations) as r(id uuid, gone boolean)
    where r.gone and i.id = r.id;

  insert into invitation as i
    (id, space, role, code, user_id, email, created_by, created_at_ms, expires_at_ms, ended,
      mailed)
  select id, space, role, code, "userId", email, "createdBy", "createdAtMs", "expiresAtMs", coalesce(ended, false),
    coalesce(mailed, true)
  from json_to_recordset(p_invitations)
    as r(id uuid, space uuid, role text, code text, "userId" text, email text, "createdBy" text,
      "createdAtMs" bigint, "expiresAtMs" bigint, ended boolean, mailed boolean)
  where code is not null
  order by id
  on conflict (id) do update set ended = i.ended or excluded.ended,
      expires_at_ms = least(i.expires_at_ms, excluded.expires_at_ms)
    where i.accepted_by is null;
end
$body$;
`;

/** Used invitations stay with the person, for the address; who declined has a pause; not every one is mailed. */
export const invitationEnds = `
alter table invitation add column person_email text collate "C", add column declined_by text collate "C",
  add column ended boolean not null default false, add column mailed boolean not null default true;
create index invitation_accepted on invitation (accepted_by) where accepted_by is not null;
create index invitation_unused on invitation (expires_at_ms) where accepted_by is null;
drop index invitation_expiry;
${commitInvitationsAndUses}`;

/** The integrity ledger, with an entry for every health record there is already. */
export const ledgerSql = `
create table ledger_entry (
  space uuid not null,
  position bigint not null check (position > 0),
  -- SHA-256(hash of the entry before ‖ commitment), hex; before the first one: SHA-256 of the space's id.
  hash text not null,
  -- SHA-256(salt ‖ record), hex. Erasing drops salt and record; the chain still holds.
  commitment text not null,
  salt text,
  record text,
  primary key (space, position),
  check ((salt is null) = (record is null))
);
${commitLedger}
${genesisSql}`;

/** Health records on their way: what was asked for, until its saga has put it into the log or given it up. */
export const healthRecordSql = `
create table health_record (
  id uuid primary key,
  saga_id uuid not null,
  space uuid not null,
  user_id text collate "C" not null,
  -- asked: as it came; saved: taken on by the saga.
  state text not null check (state in ('asked', 'saved')),
  -- JSON text.
  value text not null,
  question text not null,
  created_at_ms bigint not null
);
create index health_record_saga on health_record (saga_id);
${commitSteps}`;
