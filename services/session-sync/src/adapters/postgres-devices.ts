import type { Database } from '@skein/postgres';
import type { DeviceStore, ListedDevice, Login } from '../app/ports.ts';
import { keyOf } from '../domain/state.ts';

/** Of each kind: as many as a person can hold at once that work. */
const loginsPerDevice = 100;

const loginsOf = (kind: Login['kind']): string =>
  `array(select l.login from device_login l where l.user_id = d.user_id and l.device = d.id and l.kind = '${kind}'
         order by l.seen_ms desc, l.login limit ${loginsPerDevice})`;

/** Devices of this service's schema. */
export const postgresDevices = (database: Database): DeviceStore => ({
  touch: async (devices, nowMs) => {
    // Sorted, so that two replicas take their locks in the same order.
    const rows = [...new Map(devices.map((one) => [keyOf(one.userId, one.device.id), one])).values()]
      .map(({ userId, device }) => ({ userId, ...device }))
      .sort((a, b) => (a.userId === b.userId ? (a.id < b.id ? -1 : 1) : a.userId < b.userId ? -1 : 1));
    const logins = devices.flatMap(({ userId, device, login }) =>
      login ? [{ userId, device: device.id, ...login }] : [],
    );
    await database.query(
      {
        name: 'session_sync_touch_device',
        text: `with logins as (
                 insert into device_login as l (user_id, device, kind, login, seen_ms)
                 select distinct *, $5::bigint from unnest($6::text[], $7::text[], $8::text[], $9::text[])
                   as s(user_id, device, kind, login) order by user_id, device, kind, login
                 on conflict (user_id, device, kind, login) do update set
                   seen_ms = greatest(l.seen_ms, excluded.seen_ms))
               insert into device as d (user_id, id, platform, name, last_seen_ms, registered)
               select *, $5::bigint, false from unnest($1::text[], $2::text[], $3::text[], $4::text[])
               on conflict (user_id, id) do update set last_seen_ms = greatest(d.last_seen_ms, excluded.last_seen_ms),
                 platform = case when d.registered then d.platform else excluded.platform end,
                 name = case when d.registered then d.name else excluded.name end`,
      },
      [
        rows.map(({ userId }) => userId),
        rows.map(({ id }) => id),
        rows.map(({ platform }) => platform),
        rows.map(({ name }) => name),
        nowMs,
        logins.map(({ userId }) => userId),
        logins.map(({ device }) => device),
        logins.map(({ kind }) => kind),
        logins.map(({ id }) => id),
      ],
    );
  },
  seen: async (devices, nowMs) => {
    await database.query(
      {
        name: 'session_sync_devices_seen',
        text: `update device d set last_seen_ms = greatest(d.last_seen_ms, $3)
               from (select distinct * from unnest($1::text[], $2::text[])) as s(user_id, id)
               where d.user_id = s.user_id and d.id = s.id`,
      },
      [devices.map(({ userId }) => userId), devices.map(({ id }) => id), nowMs],
    );
  },
  list: (userId, id) =>
    database.query<ListedDevice & Record<string, unknown>>(
      `select user_id as "userId", id, platform, name, last_seen_ms as "lastSeenMs", registered,
         ${loginsOf('session')} as "sessionIds", ${loginsOf('token')} as "tokenIds"
       from device d where user_id = $1 and ($2::text is null or id = $2) order by last_seen_ms desc, id limit 200`,
      [userId, id ?? null],
    ),
  remove: (userId, id) =>
    database.transaction(async (tx) => {
      const rows = await tx.query('delete from device where user_id = $1 and id = $2 returning 1', [
        userId,
        id,
      ]);
      await tx.query('delete from device_login where user_id = $1 and device = $2', [userId, id]);
      for (const table of ['device_space', 'mutation_result'])
        await tx.query(
          `delete from ${table} where user_id = $1 and device = $2
           and space in (select space from member where user_id = $1)`,
          [userId, id],
        );
      return rows.length > 0;
    }),
  ack: async (userId, device, space, { epoch, offset, seq }) => {
    const [row] = await database.query<{ member: boolean }>(
      {
        name: 'session_sync_ack',
        text: `with m as (select space from member where space = $1 and user_id = $2),
               same as (select m.space from m join space s on s.id = m.space where $6 in ('', s.epoch)),
               head as (select coalesce((select e."offset" from event e where e.stream = $1
                 order by e."offset" desc limit 1), 0) as at),
               kept as (
                 insert into device_space as d (space, user_id, device, acked_offset)
                 select same.space, $2, $3, least($4::bigint, head.at) from same, head
                 on conflict (space, user_id, device) do update set
                   acked_offset = greatest(d.acked_offset, excluded.acked_offset),
                   acked_seq = greatest(d.acked_seq, case when $5 <= d.last_seq then $5::bigint else 0 end)
                 returning 1),
               forgotten as (
                 delete from mutation_result r using same join device_space d on d.space = same.space
                 where d.user_id = $2 and d.device = $3 and $5 <= d.last_seq
                   and r.space = same.space and r.user_id = $2 and r.device = $3 and r.seq <= $5 returning 1)
               select exists (select 1 from m) as member`,
      },
      [space, userId, device, offset, seq, epoch],
    );
    return row?.member ?? false;
  },
  ackedOffset: async (userId, device, space) => {
    const [row] = await database.query<{ at: number }>(
      'select acked_offset as at from device_space where space = $1 and user_id = $2 and device = $3',
      [space, userId, device],
    );
    return row?.at ?? 0;
  },
});
