import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@skein/contracts';
import type { Logger } from '@skein/telemetry';
import pg from 'pg';
import { describeTarget } from './connection.ts';
import { abortFault, isConnectionLoss, sqlState } from './errors.ts';

const firstPauseMs = 50;
const longestPauseMs = 2_000;
const attemptTimeoutMs = 5_000;
const sayEveryMs = 5_000;

/** Faults that waiting does not heal, each with the way out; `setting` is the variable with the URL. */
const permanent: Readonly<Record<string, (setting: string) => string>> = {
  '28P01': (setting) => `refused the password: check the user and password of ${setting}`,
  '28000': (setting) => `refused the user: check the user of ${setting} and pg_hba.conf`,
  '42704': () => 'is too old: PostgreSQL 17 or newer is needed',
  '42501': () => 'denied a right: the user needs CREATE on the database, or on an existing schema',
};

/** What PgBouncer says to `options` in a start-up packet, with the SQLSTATE it has for everything. */
const refusedOptions = /unsupported startup parameter/;

/** Somebody may be about to create it: the embedded server is up a moment before its database is. */
const noDatabase = '3D000';
/** All connections are taken, for now. */
const full = '53300';

const reasonOf = (error: unknown): string => {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  return error instanceof Error ? error.message : String(error);
};

/**
 * A connection to the server, waiting for it with growing, jittered pauses. Gives up after `waitMs`, and at once
 * when waiting cannot help; both times with one sentence that names the place and the way out.
 */
export const connectWithin = async (
  config: pg.ClientConfig,
  {
    url,
    setting,
    waitMs,
    signal,
    log,
  }: { url: string; setting: string; waitMs: number; signal: AbortSignal; log: Pick<Logger, 'warn'> },
): Promise<pg.Client> => {
  const target = describeTarget(url);
  const started = performance.now();
  let said = Number.NEGATIVE_INFINITY;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    if (signal.aborted) throw abortFault(signal);
    const client = new pg.Client({ ...config, connectionTimeoutMillis: attemptTimeoutMs });
    // A loss while it is in use surfaces in the query under way.
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      const hopeless = permanent[sqlState(error) ?? ''];
      if (hopeless !== undefined)
        throw new AppError('unavailable', `PostgreSQL at ${target} ${hopeless(setting)}`, { cause: error });
      const reason = reasonOf(error);
      if (refusedOptions.test(reason))
        throw new AppError(
          'unavailable',
          `The pooler at ${target} refuses our settings (${reason}): set its ignore_startup_parameters to options, and make them settings of the database user`,
          { cause: error },
        );
      const state = sqlState(error);
      if (!isConnectionLoss(error) && state !== full && state !== noDatabase) throw error;
      const now = performance.now();
      if (now - started + pauseMs > waitMs)
        throw new AppError(
          'unavailable',
          state === noDatabase
            ? `PostgreSQL at ${target} has no such database: create it, or check the name in ${setting}`
            : `PostgreSQL at ${target} did not answer within ${Math.round(waitMs / 100) / 10} s (${reason}): start it, or set ${setting} to where it runs`,
          { cause: error },
        );
      if (now - said >= sayEveryMs) {
        said = now;
        log.warn({ target, reason, waitMs }, 'waiting for the database');
      }
      await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
    }
  }
};

/** Refuses a server that acknowledges before it is safe on disk. */
export const checkDurability = async (client: pg.Client, url: string): Promise<void> => {
  const { rows } = await client.query<{ name: string }>(
    `select name from pg_settings
     where name in ('fsync', 'synchronous_commit', 'full_page_writes') and setting = 'off' order by name`,
  );
  if (rows.length === 0) return;
  const names = rows.map(({ name }) => name).join(', ');
  throw new AppError(
    'unavailable',
    `PostgreSQL at ${describeTarget(url)} runs with ${names} off and would lose acknowledged data in a crash: turn it on, or set allowDataLoss`,
  );
};

/** Refuses a pooler that keeps the search path of our start-up packet to itself: no table would be found. */
export const checkSearchPath = async (client: pg.Client, url: string, schema: string): Promise<void> => {
  const { rows } = await client.query<{ path: string }>(`select current_schema() as path`);
  if (rows[0]?.path === schema) return;
  throw new AppError(
    'unavailable',
    `The pooler at ${describeTarget(url)} does not pass on the search path (it is ${rows[0]?.path ?? 'empty'}, not ${schema}): give each service a database user of its own, with "alter role … set search_path = ${schema}"`,
  );
};
