import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { embeddedPostgres } from '@skein/postgres';
import { expect, it } from 'vitest';
import { keptPostgres } from '../src/kept-postgres.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

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

it('ends the embedded database when the launcher is killed, so that it starts again from a clean end', async () => {
  using dir = temporaryDirectory();
  const dataDir = join(dir.path, 'postgres');
  const kept = JSON.stringify(import.meta.resolve('../src/kept-postgres.ts'));
  const embedded = JSON.stringify(import.meta.resolve('@skein/postgres'));
  const script = `
    const { embeddedPostgres } = await import(${embedded});
    const { keptPostgres } = await import(${kept});
    const postgres = embeddedPostgres({ dataDir: ${JSON.stringify(dataDir)} });
    await keptPostgres(postgres, () => {}).run();
    process.stdout.write(String(postgres.pid));
    setInterval(() => {}, 1_000);`;
  const launcher = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await once(launcher.stdout, 'data');
  const pid = Number(String(said));
  expect(isRunning(pid)).toBe(true);
  launcher.kill('SIGKILL');
  await expect.poll(() => isRunning(pid), { timeout: 20_000 }).toBe(false);
  expect(await readFile(join(dataDir, 'server.log'), 'utf8')).toContain('database system is shut down');
}, 60_000);
