import { type Database, openDatabase } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { must } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import { migrations } from '../../services/session-sync/src/adapters/schema.ts';
import type { Effect } from './event-oracle.ts';
import type { Known, Log, LogEntry } from './history.ts';

const schema = 'session_sync';

/** The database of a simulation: a real one, emptied for each seed, whose `now()` is the schedule's. */
export interface Store {
  readonly database: Database;
  /** Sets the time statements see. */
  setTime(nowMs: number): Promise<void>;
  clear(): Promise<void>;
  /** A team space of the people named, the first of them its owner. */
  makeTeam(space: string, epoch: string, members: readonly string[], nowMs: number): Promise<void>;
  /** Role by person, by team space. */
  members(): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>>;
  spaces(): Promise<readonly { readonly id: string; readonly epoch: string; readonly owner: string }[]>;
  log(space: string): Promise<Log>;
  /** Live documents. */
  documents(space: string): Promise<readonly (Known & { readonly value: unknown })[]>;
  lastSeqs(): Promise<
    readonly { readonly space: string; readonly device: string; readonly lastSeq: number }[]
  >;
  /** The fence of the relay's lease: only who has this one may note anything. */
  relayFence(): Promise<number | undefined>;
  /** The fences of the leases of sagas. */
  sagaFences(ids: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** What the consumer has done, in order, which of it was a dead letter once, and how many still are. */
  effects(): Promise<{
    readonly made: readonly Effect[];
    readonly dead: ReadonlySet<string>;
    readonly buried: number;
  }>;
  /** Everything about all spaces, as it is now. */
  dump(): Promise<Dump>;
  /** Puts a dump in the place of what there is, with new epochs: a restore and `skein db reanchor`. */
  restore(dump: Dump, epochOf: (space: string) => string): Promise<void>;
  /** Changes the text of a function, which must have every piece that is to be replaced. Returns the way back. */
  patch(name: string, replace: readonly (readonly [string, string])[]): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** Tables of the consumer, whose database is another: a restore leaves them alone. */
const consumers = new Set(['dead_letter', 'event_admin', 'inbox', 'sim_effect']);

/** Table → its rows as JSON text. */
export type Dump = ReadonlyMap<string, string>;

/**
 * Found before `pg_catalog`, because the schema stands before it in the search path. Which transactions are open is
 * something about the whole server, where others work too; here nobody but the one connection counts. And rows lie
 * where the statements of the seed put them, not where a vacuum in between made room. A default was bound to the other
 * function when its table was made.
 */
const simulated = `
create function ${schema}.now() returns timestamptz language sql stable as $$
  select to_timestamp(coalesce(nullif(current_setting('sim.now', true), ''), '0')::float8 / 1000)
$$;
create table ${schema}.sim_effect (
  position bigint generated always as identity, event_id text not null, subject text not null);
create function ${schema}.pg_snapshot_xmin(pg_snapshot) returns xid8 language sql stable as $$
  select pg_snapshot_xmax($1)
$$;
do $$ declare name regclass; default_at record; begin
  for name in select c.oid from pg_class c where c.relnamespace = '${schema}'::regnamespace and c.relkind = 'r' loop
    execute format('alter table %s set (autovacuum_enabled = off)', name);
  end loop;
  for default_at in select a.attrelid::regclass as of, a.attname as column from pg_attrdef d
    join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum join pg_class c on c.oid = d.adrelid
    where c.relnamespace = '${schema}'::regnamespace and pg_get_expr(d.adbin, d.adrelid) = 'now()' loop
    execute format('alter table %s alter column %I set default ${schema}.now()', default_at.of, default_at.column);
  end loop;
end $$`;

const withOptions = (url: string): string => {
  const options = `-c search_path=${schema},pg_catalog -c synchronous_commit=off`;
  return `${url}${url.includes('?') ? '&' : '?'}options=${encodeURIComponent(options)}`;
};

/** Opens the store on a new database, of the cluster of this run of tests unless another is given. */
export const openStore = async (log: Logger, cluster?: string): Promise<Store> => {
  const { url } = await testDatabase(cluster === undefined ? {} : { cluster });
  const open = async (at: string) => {
    const one = openDatabase(
      {
        ...{ url: at, schema, migrations, applicationName: 'simulation', allowDataLoss: true },
        // One connection: statements are carried out one after the other, as the schedule says.
        poolSize: 1,
      },
      { log },
    );
    await one.run();
    return one;
  };
  const making = await open(url);
  await making.query(simulated);
  await making.stop();
  const database = await open(withOptions(url));
  const tables = await database.query<{ name: string }>(
    `select c.relname as name from pg_class c where c.relnamespace = '${schema}'::regnamespace
       and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'schema_migrations' order by 1`,
  );
  const names = tables.map(({ name }) => name);
  // What migrations have put in belongs to the schema.
  const given = new Set<string>();
  for (const name of names)
    if ((await database.query(`select 1 from ${schema}.${name} limit 1`)).length > 0) given.add(name);
  const made = names.filter((name) => !given.has(name));
  const own = made.filter((name) => !consumers.has(name));
  const emptied = (tables: readonly string[]) =>
    tables.map((name) => `delete from ${schema}.${name};`).join('\n');
  const unchecked = (sql: string) =>
    `set session_replication_role = replica; ${sql} set session_replication_role = origin;`;

  return {
    database,
    setTime: async (nowMs) => {
      await database.query({ name: 'sim_time', text: `select set_config('sim.now', $1, false)` }, [
        String(nowMs),
      ]);
    },
    clear: async () => {
      await database.query(unchecked(emptied(made)));
    },
    makeTeam: async (space, epoch, members, nowMs) => {
      const [owner = ''] = members;
      await database.query(
        `insert into space (id, kind, title, epoch, created_by, created_at_ms) values ($1, 'team', 'team', $2, $3, $4)`,
        [space, epoch, owner, nowMs],
      );
      for (const member of members)
        await database.query(
          'insert into member (space, user_id, role, joined_at_ms) values ($1, $2, $3, $4)',
          [space, member, member === owner ? 'owner' : 'editor', nowMs],
        );
    },
    members: async () => {
      const rows = await database.query<{ space: string; user: string; role: string }>(
        `select m.space, m.user_id as user, m.role from member m join space s on s.id = m.space
         where s.kind = 'team' order by 1, 2`,
      );
      return new Map(
        [...Map.groupBy(rows, ({ space }) => space)].map(([space, all]) => [
          space,
          new Map(all.map(({ user, role }) => [user, role])),
        ]),
      );
    },
    spaces: () => database.query('select id, epoch, created_by as owner from space order by created_by, id'),
    log: async (space) => {
      const [head] = await database.query<{ epoch: string }>('select epoch from space where id = $1', [
        space,
      ]);
      const rows = await database.query<{ offset: number; id: string; type: string; json: string }>(
        'select "offset", id, type, json from event where stream = $1 order by "offset"',
        [space],
      );
      const entries = rows.map(({ json, ...row }): LogEntry => {
        const { actor, data = {} } = JSON.parse(json);
        return { ...row, actor, data };
      });
      return { space, epoch: head?.epoch ?? '', entries };
    },
    documents: async (space) => {
      const rows = await database.query<Known & { value: string }>(
        `select collection, id, logged_version as version, hash, value from document
         where space = $1 and not deleted`,
        [space],
      );
      return rows.map((row) => ({ ...row, value: JSON.parse(row.value) as unknown }));
    },
    lastSeqs: () =>
      database.query('select space, device, last_seq as "lastSeq" from device_space order by space, device'),
    relayFence: async () => {
      const [row] = await database.query<{ fence: number }>({
        name: 'sim_fence',
        text: 'select fence from relay',
      });
      return row?.fence;
    },
    sagaFences: async (ids) => {
      const rows = await database.query<{ id: string; fence: number }>(
        { name: 'sim_saga_fences', text: 'select id, fence from saga where id = any($1)' },
        [ids],
      );
      return new Map(rows.map(({ id, fence }) => [id, fence]));
    },
    effects: async () => {
      const made = await database.query<Effect & Record<string, unknown>>(
        'select event_id as event, subject from sim_effect order by position',
      );
      const orders = await database.query<{ target: string }>('select distinct target from event_admin');
      const [row] = await database.query<{ count: number }>('select count(*)::int as count from dead_letter');
      const dead = new Set(orders.map(({ target }) => target.split(' ')[1] ?? ''));
      return { made, dead, buried: row?.count ?? 0 };
    },
    dump: async () => {
      const dump = new Map<string, string>();
      for (const name of own) {
        const [row] = await database.query<{ rows: string }>(
          `select coalesce(json_agg(t), '[]')::text as rows from ${schema}.${name} t`,
        );
        dump.set(name, row?.rows ?? '[]');
      }
      return dump;
    },
    restore: async (dump, epochOf) => {
      await database.query(unchecked(emptied(own)));
      await database.query('set session_replication_role = replica');
      for (const [name, rows] of dump)
        await database.query(
          `insert into ${schema}.${name} overriding system value select * from json_populate_recordset(null::${schema}.${name}, $1)`,
          [rows],
        );
      await database.query('set session_replication_role = origin');
      for (const { id } of await database.query<{ id: string }>(
        'select id from space order by created_by, id',
      ))
        await database.query('update space set epoch = $2 where id = $1', [id, epochOf(id)]);
    },
    patch: async (name, replace) => {
      const [row] = await database.query<{ text: string }>(
        `select pg_get_functiondef('${schema}.${name}'::regproc) as text`,
      );
      const { text } = must(row, `there is no function ${name}`);
      let patched = text;
      for (const [from, to] of replace) {
        if (!patched.includes(from)) throw new Error(`${name} has no "${from}" to be replaced`);
        patched = patched.replace(from, to);
      }
      await database.query(patched);
      return async () => {
        await database.query(text);
      };
    },
    close: () => database.stop(),
  };
};
