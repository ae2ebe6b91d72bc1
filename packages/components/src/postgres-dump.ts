import { join } from 'node:path';
import { componentPath } from './locate.ts';
import { runTool } from './run-tool.ts';

const timeoutMs = 5 * 60_000;

const tool = async (name: string): Promise<string> =>
  join(await componentPath('postgres-tools'), 'embedded_postgres/pginstall/bin', name);

/** Writes a logical copy of a database into a file, as `pg_dump` does: consistent, while others write. */
export const dumpPostgres = async (url: string, file: string): Promise<void> => {
  await runTool(await tool('pg_dump'), ['--dbname', url, '--no-owner', '--file', file], { timeoutMs });
};

/** Fills an empty database from such a file; stops at the first error. */
export const restorePostgres = async (url: string, file: string): Promise<void> => {
  const strict = ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--single-transaction'];
  await runTool(await tool('psql'), ['--dbname', url, ...strict, '--file', file], { timeoutMs });
};
