/**
 * The rebuilding of read models: one order at a time, with how far it is, and up to which offset the new tables have
 * the log of each space. Whoever changes the past of a space changes its epoch, and it is built again.
 */
export const rebuildSql = `
create table read_model_rebuild (
  id bigint generated always as identity primary key,
  actor text not null,
  reason text not null,
  ordered_at timestamptz not null default now(),
  ended_at timestamptz,
  -- ordered; copying: space after space; following: what is written meanwhile; switched
  phase text not null default 'ordered' check (phase in ('ordered', 'copying', 'following', 'switched')),
  -- The new tables are like the old ones of this version of the schema.
  schema_version int,
  space uuid,
  era int not null default 0,
  xid xid8 not null default '0',
  seq bigint not null default 0,
  spaces bigint not null default 0,
  events bigint not null default 0,
  -- JSON: rows that were not as the log says, by table.
  differences json not null default '{}'
);
create unique index read_model_rebuild_one on read_model_rebuild ((true)) where ended_at is null;
create table read_model_checkpoint (
  space uuid primary key,
  epoch text not null,
  "offset" bigint not null
);
-- Versions that classic clients raised without an event.
create index document_raised on document (space, collection, id) where version > logged_version;
`;

/** Writers are not followed for ever. */
export const rebuildBoundSql = `
alter table read_model_rebuild add column followed_at timestamptz;
alter table read_model_rebuild drop constraint read_model_rebuild_phase_check;
-- outpaced: more was written than could be built, for as long as writers are followed.
alter table read_model_rebuild add constraint read_model_rebuild_phase_check
  check (phase in ('ordered', 'copying', 'following', 'switched', 'cancelled', 'outpaced'));
update read_model_rebuild set followed_at = now() where phase = 'following';
`;

/** Long logs are built in several steps, and a rebuild can be ended before it is through. */
export const rebuildEndSql = `
alter table read_model_checkpoint add column behind boolean not null default false;
alter table read_model_rebuild drop constraint read_model_rebuild_phase_check;
alter table read_model_rebuild add constraint read_model_rebuild_phase_check
  check (phase in ('ordered', 'copying', 'following', 'switched', 'cancelled'));
-- Waits for the step that is being done. The new tables are dropped: nobody would erase from them any more.
create function cancel_rebuild(by_whom text, why text) returns boolean language plpgsql set search_path from current as $body$
begin
  update read_model_rebuild set phase = 'cancelled', ended_at = now(),
    reason = format('%s; cancelled by %s: %s', reason, by_whom, why) where ended_at is null;
  if not found then
    return false;
  end if;
  drop table if exists document_next, turn_end_next, message_next, conversation_next, turn_next, member_next;
  return true;
end
$body$;
`;
