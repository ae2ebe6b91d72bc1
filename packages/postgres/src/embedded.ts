import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import pg from 'pg';
import { isPlainName } from './connection.ts';
import { serverAccount } from './embedded/account.ts';
import { findBinaries } from './embedded/binaries.ts';
import { ownerRole, prepareDataDir } from './embedded/data-dir.ts';
import { type Running, startOrAdopt, stopPostmaster } from './embedded/launch.ts';
import { isRunning } from './embedded/postmaster.ts';
import { serverSettings } from './embedded/settings.ts';
import { socketDirOf } from './embedded/socket-dir.ts';
import { sqlState } from './errors.ts';

/** How the embedded server runs. */
export interface EmbeddedPostgresOptions {
  /** Directory of the database; made on first use. One server at a time. */
  readonly dataDir: string;
  /** Server settings over the built-in small ones, such as `{shared_buffers: '64MB'}`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Most connections over all services. Default 60: two replicas of five services with 4 each, and room. */
  readonly maxConnections?: number;
  /** Also listen on this port of 127.0.0.1, with a generated password (`tcpUrl`). Default: unix socket only. */
  readonly port?: number;
  /** Told of starts, adoptions and ends. */
  readonly log?: Pick<Logger, 'info' | 'warn'>;
  /** Name of the database the URL points to; made if it is missing. Default `skein`. */
  readonly database?: string;
}

/** Why a server is gone. */
export interface EmbeddedExit {
  /** False when nobody called `stop`. */
  readonly expected: boolean;
}

/** A real Postgres server that belongs to this product. */
export interface EmbeddedPostgres extends Service {
  /** Where it is: a `postgres:` URL over the unix socket, without a secret. Known before `run`. */
  readonly url: string;
  /** The URL over TCP with its password, once it runs with `port`. */
  readonly tcpUrl: string | undefined;
  /** Process id of the postmaster while it lives. */
  readonly pid: number | undefined;
  /** Whether the postmaster lives. */
  isAlive(): boolean;
  /** Calls back when the postmaster has ended, wanted or not; `run` may then be called again. Returns the way to unsubscribe. */
  onExit(listener: (exit: EmbeddedExit) => void): () => void;
}

const defaultPort = 5432;
/** How often a server that is not our child is looked after. */
const watchEveryMs = 500;

const socketUrl = (database: string, { socketDir, port }: { socketDir: string; port: number }): string =>
  `postgres://${ownerRole}@localhost:${port}/${database}?host=${encodeURIComponent(socketDir)}`;

/** The password for TCP: made once, kept beside the data, readable by its owner alone. */
const tcpPassword = async (dataDir: string): Promise<string> => {
  const path = join(dataDir, 'tcp-password');
  const known = await readFile(path, 'utf8').catch(() => undefined);
  if (known) return known;
  const made = randomBytes(24).toString('base64url');
  await writeFile(path, made, { mode: 0o600 });
  return made;
};

const withClient = async (url: string, work: (client: pg.Client) => Promise<void>): Promise<void> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A loss while it is in use surfaces in the query under way.
  client.on('error', () => {});
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
};

const createDatabase = async (client: pg.Client, database: string): Promise<void> => {
  const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [database]);
  if (rowCount !== 0) return;
  await client.query(`create database ${database}`).catch((error: unknown) => {
    // Another process was faster.
    if (sqlState(error) !== '42P04' && sqlState(error) !== '23505') throw error;
  });
};

/**
 * The server of one data directory. `run` makes the database on first use, uses a server that already runs there
 * (after a crash of its parent), or starts one, as an unprivileged user when we are root. `stop` ends it, found or
 * started. Errors: `unavailable` with a sentence that tells what to do.
 */
export const embeddedPostgres = (options: EmbeddedPostgresOptions): EmbeddedPostgres => {
  const { database = 'skein', maxConnections = 60, log } = options;
  if (!isPlainName(database))
    throw new Error(`"${database}" is not a database name: lower case, digits, underscores`);
  const port = options.port ?? defaultPort;
  const listeners = new Set<(exit: EmbeddedExit) => void>();
  let dataDir = options.dataDir;
  let running: Running | undefined;
  let tcpUrl: string | undefined;
  let starting: Promise<void> | undefined;
  let stopping = false;

  const alive = ({ child, postmaster }: Running): boolean =>
    child ? child.exitCode === null && child.signalCode === null : isRunning(postmaster.pid);

  /** Tells the listeners once, when this server has ended. */
  const watch = (server: Running): void => {
    const ended = () => {
      clearInterval(timer);
      if (running !== server) return;
      running = undefined;
      if (!stopping)
        log?.warn({ pid: server.postmaster.pid }, 'the embedded database has ended unexpectedly');
      for (const listener of listeners) listener({ expected: stopping });
    };
    const timer = server.child
      ? undefined
      : setInterval(() => {
          if (!alive(server)) ended();
        }, watchEveryMs).unref();
    server.child?.once('exit', ended);
    if (!alive(server)) ended();
  };

  const start = async (): Promise<void> => {
    stopping = false;
    const account = serverAccount(options.dataDir);
    const binaries = await findBinaries(account);
    dataDir = await prepareDataDir(options.dataDir, binaries, account);
    const server = await startOrAdopt({
      dataDir,
      socketDir: socketDirOf(options.dataDir, account),
      port,
      tcp: options.port !== undefined,
      account,
      postgres: binaries.postgres,
      settings: { ...serverSettings(maxConnections), ...options.settings },
    });
    running = server;
    watch(server);
    const { pid } = server.postmaster;
    log?.info(
      { pid, dataDir },
      server.child ? 'started the embedded database' : 'found the embedded database running',
    );
    await withClient(socketUrl('postgres', server.postmaster), async (client) => {
      await createDatabase(client, database);
      if (options.port === undefined) return;
      const password = await tcpPassword(dataDir);
      // Letters, digits, - and _ only: safe within quotes.
      await client.query(`alter role ${ownerRole} password '${password}'`);
      tcpUrl = `postgres://${ownerRole}:${password}@127.0.0.1:${port}/${database}`;
    });
  };

  return {
    id: 'embedded-postgres',
    get url() {
      const place = { socketDir: socketDirOf(options.dataDir, serverAccount(options.dataDir)), port };
      return socketUrl(database, running?.postmaster ?? place);
    },
    get tcpUrl() {
      return tcpUrl;
    },
    get pid() {
      return running?.postmaster.pid;
    },
    isAlive: () => running !== undefined && alive(running),
    onExit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async run() {
      starting ??= start().finally(() => {
        starting = undefined;
      });
      return starting;
    },
    async stop() {
      stopping = true;
      // Its caller hears of a failed start.
      await starting?.catch(() => {});
      stopping = true;
      const ended = running?.child && alive(running) ? once(running.child, 'exit') : undefined;
      await stopPostmaster(dataDir);
      await ended;
    },
  };
};
