/** SQLSTATE of a row about somebody who was erased. */
export const personErased = 'SK002';

/**
 * Who was erased, and who took part in which space, also in the past: what makes erasing whole, and keeps it so. A row
 * about a person who was erased is refused, or not kept, whoever writes it.
 */
export const erasureSql = `
create table erased_person (
  user_id text collate "C" primary key,
  erased_at_ms bigint not null
);

create table took_part (
  user_id text collate "C" not null,
  space uuid not null,
  primary key (user_id, space)
);
insert into took_part (user_id, space) select user_id, space from member
  union select substring(json from '"userId":"([^"]+)"'), stream from (
      select stream, type, json from event
      union all select stream, type, json from event_archive cross join lateral unnest(types, events) as e(type, json)
    ) e where type in ('member.added', 'member.changed', 'member.removed') and json like '%"userId":"%';

create function note_member() returns trigger language plpgsql set search_path from current as $body$
begin
  if exists (select 1 from erased_person where user_id = new.user_id) then
    raise exception 'the person was erased' using errcode = '${personErased}';
  end if;
  insert into took_part (user_id, space) values (new.user_id, new.space) on conflict do nothing;
  return new;
end
$body$;
create trigger member_noted before insert on member for each row execute function note_member();

create function keep_nothing() returns trigger language plpgsql set search_path from current as $body$
begin
  return case when exists (select 1 from erased_person where user_id = new.user_id) then null else new end;
end
$body$;
create trigger device_of_erased before insert on device for each row execute function keep_nothing();
create trigger device_login_of_erased before insert on device_login for each row execute function keep_nothing();

-- What events become, until they all become it at one moment.
create table redaction (
  space uuid not null,
  "offset" bigint not null,
  type text not null,
  json text not null,
  primary key (space, "offset")
);
`;
