import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { isPlainName } from './connection.ts';
import { stopPostmaster } from './embedded/launch.ts';
import { isRunning } from './embedded/postmaster.ts';
import { embeddedPostgres } from './embedded.ts';

/** Where a test run tells its workers where the cluster is. */
export const testPostgresVariable = 'SKEIN_TEST_POSTGRES';

/** One real server for a whole run of tests. */
export interface TestCluster {
  readonly url: string;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
}

/** A database of its own for one test file. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
  /** Cuts its connections and removes it. Not needed at the end of a run: the cluster goes as a whole. */
  drop(): Promise<void>;
}

const prefix = 'skein-test-pg-';

/** Ends and removes clusters whose test run was killed. */
const sweep = async (): Promise<void> => {
  for (const name of await readdir(tmpdir())) {
    const owner = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (Number.isNaN(owner) || isRunning(owner)) continue;
    const dir = join(tmpdir(), name);
    // Somebody else's: theirs to clean.
    await stopPostmaster(join(dir, 'data'))
      .then(() => rm(dir, { recursive: true, force: true }))
      .catch(() => {});
  }
};

/** Starts a cluster of this run in a new temporary directory. */
export const testCluster = async (
  options: { readonly maxConnections?: number } = {},
): Promise<TestCluster> => {
  await sweep();
  const dir = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
  // As root the server is another user, who must get through.
  await chmod(dir, 0o711);
  const server = embeddedPostgres({
    dataDir: join(dir, 'data'),
    maxConnections: options.maxConnections ?? 100,
  });
  const stop = async () => {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await server.run();
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: server.url, stop };
};

const inDatabase = (url: string, name: string): string => url.replace(/^(\w+:\/\/[^/]*\/)[^?]*/, `$1${name}`);

const administer = async (url: string, sql: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
};

/**
 * A new, empty database on the cluster of this run or the one given, or a copy of `template`, to which nobody may be
 * connected. The run's cluster is started by `global-setup.ts`; without one this fails, it never skips.
 */
export const testDatabase = async (
  options: { readonly template?: string; readonly cluster?: string } = {},
): Promise<TestDatabase> => {
  const { cluster = process.env[testPostgresVariable] } = options;
  if (!cluster)
    throw new Error(
      `No Postgres for this test: run it by vitest from the root, or set ${testPostgresVariable} to the URL of a server`,
    );
  const { template = 'template1' } = options;
  if (!isPlainName(template)) throw new Error(`"${template}" is not a database name`);
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer(cluster, `create database ${name} template ${template}`);
  const drop = () => administer(cluster, `drop database if exists ${name} with (force)`);
  return { url: inDatabase(cluster, name), name, drop, [Symbol.asyncDispose]: drop };
};
