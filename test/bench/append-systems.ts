import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { groupCommit, openDatabase } from '@skein/postgres';
import { must } from '@skein/service-kit';
import { createLogger } from '@skein/telemetry';
import pg from 'pg';
import { systemIds } from '../../services/session-sync/src/adapters/ids.ts';
import { postgresSpaceMaker } from '../../services/session-sync/src/adapters/postgres-space-reads.ts';
import { postgresSpaceStore } from '../../services/session-sync/src/adapters/postgres-space-store.ts';
import { migrations } from '../../services/session-sync/src/adapters/schema.ts';
import { createWriter } from '../../services/session-sync/src/app/writer.ts';

/** Something that appends events to streams, durably. */
export interface Appender {
  readonly name: string;
  /** Resolves when so many events of a writer are durable at the end of a stream. */
  append(stream: number, events: number, writer: number): Promise<void>;
  /** Events that are there, as the database counts them. */
  count(): Promise<number>;
  close(): Promise<void>;
}

const text = 'x'.repeat(256);
const poolSize = 20;

const log = createLogger({ service: 'bench', instance: 'bench', level: 'warn' });

/** One replica of session-sync, as far as it writes. */
const replica = async (url: string) => {
  const database = openDatabase(
    { url, schema: 'session_sync', migrations, applicationName: 'bench', poolSize },
    { log },
  );
  await database.run();
  const writer = createWriter({
    store: postgresSpaceStore(database),
    batcher: groupCommit,
    ids: systemIds,
    clock: { now: () => Date.now() },
    committed: () => {},
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
  return { database, writer };
};

/** Our log as session-sync has it: read the head, decide, commit, with what waits at the same time in one statement. */
export const skein = async (url: string, streams: number, replicas = 1): Promise<Appender> => {
  const all: Awaited<ReturnType<typeof replica>>[] = [];
  for (let n = 0; n < replicas; n += 1) all.push(await replica(url));
  const { database } = must(all[0], 'there is a replica');
  const spaces = Array.from({ length: streams }, () => randomUUID());
  const maker = postgresSpaceMaker(database);
  for (const id of spaces)
    await maker.make({ id, kind: 'team', title: '', epoch: 'e', owner: 'bench', nowMs: Date.now() });
  const event = {
    type: 'message.created',
    actor: { kind: 'user', user: 'bench', platform: 'bench' },
    data: { text },
  } as const;
  return {
    name: replicas === 1 ? 'skein' : `skein, ${replicas} replicas`,
    append: (stream, events, writer) =>
      must(all[writer % replicas], 'there is a replica').writer.write({
        space: spaces[stream] ?? '',
        needs: {},
        decide: () => ({
          events: Array.from({ length: events }, () => event),
          writes: {},
          result: undefined,
        }),
        correlationId: 'bench',
        bytes: 2 * events * text.length,
      }),
    count: async () => {
      const [row] = await database.query<{ count: number }>('select count(*)::int as count from event');
      return row?.count ?? 0;
    },
    close: async () => {
      for (const one of all) {
        await one.writer.stop();
        await one.database.stop();
      }
    },
  };
};

/** What most write themselves: a table with one index, one statement for each event, or for a list of them. */
export const plain = async (url: string): Promise<Appender> => {
  const pool = new pg.Pool({ connectionString: url, max: poolSize });
  await pool.query(`create table event (stream text, "offset" bigint, id uuid, type text, time timestamptz, json text,
    primary key (stream, "offset"))`);
  const heads = new Map<number, number>();
  const data = JSON.stringify({ actor: 'bench', text });
  return {
    name: 'plain `pg`',
    append: async (stream, events) => {
      const head = heads.get(stream) ?? 0;
      heads.set(stream, head + events);
      if (events === 1) {
        await pool.query({
          name: 'one',
          text: 'insert into event values ($1, $2, $3, $4, now(), $5)',
          values: [`s${stream}`, head + 1, randomUUID(), 'message.created', data],
        });
        return;
      }
      const rows = Array.from({ length: events }, (_, at) => head + at + 1);
      await pool.query({
        name: 'many',
        text: `insert into event select $1, u."offset", u.id, $4, now(), u.json
               from unnest($2::bigint[], $3::uuid[], $5::text[]) as u("offset", id, json)`,
        values: [`s${stream}`, rows, rows.map(() => randomUUID()), 'message.created', rows.map(() => data)],
      });
    },
    count: async () =>
      (await pool.query<{ count: number }>('select count(*)::int as count from event')).rows[0]?.count ?? 0,
    close: () => pool.end(),
  };
};

/** Fetched for this benchmark only: it is no part of the product. */
const emmettVersion = '0.42.0';
const emmettPackage = '@event-driven-io/emmett-postgresql';

const installed = async (): Promise<string> => {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const folder = join(cache, 'skein', 'bench', `emmett-${emmettVersion}`);
  const done = join(folder, 'done');
  try {
    await access(done);
    return folder;
  } catch {
    // Not fetched yet.
  }
  await mkdir(folder, { recursive: true });
  const dependencies = { [emmettPackage]: emmettVersion, pg: '8' };
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: folder,
    timeout: 180_000,
  });
  await writeFile(done, '');
  return folder;
};

/** What is used of it, which is not there when types are checked. */
interface Emmett {
  getPostgreSQLEventStore(url: string): {
    readonly schema: { migrate(): Promise<unknown> };
    appendToStream(stream: string, events: readonly object[]): Promise<unknown>;
    close(): Promise<void>;
  };
}

/** Emmett's event store as its documentation opens it; undefined where it cannot be fetched. */
export const emmett = async (url: string): Promise<Appender | undefined> => {
  let store: ReturnType<Emmett['getPostgreSQLEventStore']>;
  try {
    const require = createRequire(join(await installed(), 'package.json'));
    const library = (await import(
      pathToFileURL(require.resolve(emmettPackage)).href
    )) as unknown as Emmett & {
      default?: Emmett;
    };
    store = (library.default ?? library).getPostgreSQLEventStore(url);
    await store.schema.migrate();
  } catch (error) {
    console.log(`Emmett is left out: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
    return undefined;
  }
  const event = { type: 'message.created', data: { actor: 'bench', text } };
  return {
    name: `Emmett ${emmettVersion}`,
    append: async (stream, events) => {
      await store.appendToStream(
        `s${stream}`,
        Array.from({ length: events }, () => event),
      );
    },
    count: async () => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const { rows } = await client.query<{ count: number }>(
        'select count(*)::int as count from emt_messages',
      );
      await client.end();
      return rows[0]?.count ?? 0;
    },
    close: () => store.close(),
  };
};
