import { join } from 'node:path';
import { embeddedPostgres } from '@skein/postgres';
import { expect, it } from 'vitest';
import { keptPostgres } from '../src/kept-postgres.ts';
import { temporaryDirectory } from './temporary-directory.ts';

it('brings the embedded database back after a kill, and ends it for good', async () => {
  using dir = temporaryDirectory();
  const postgres = embeddedPostgres({ dataDir: join(dir.path, 'postgres') });
  const told: string[] = [];
  const kept = keptPostgres(postgres, (line) => told.push(line));
  await kept.run();
  try {
    const first = postgres.pid ?? 0;
    process.kill(first, 'SIGKILL');
    await expect.poll(() => postgres.isAlive() && postgres.pid !== first, { timeout: 10_000 }).toBe(true);
    expect(told[0]).toBe('ended, starting it again in 500 ms');
  } finally {
    await kept.stop();
  }
  expect(postgres.isAlive()).toBe(false);
  await kept.stop();
}, 30_000);
