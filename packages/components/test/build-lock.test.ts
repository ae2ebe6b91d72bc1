import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withBuildLock } from '../src/build-lock.ts';

describe('the build lock', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-lock-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const quiet = { onWait: () => {}, timeoutMs: 10_000 };

  it('lets one in at a time and tells the other that it waits', async () => {
    const order: string[] = [];
    const entered = Promise.withResolvers<void>();
    const waiting = Promise.withResolvers<void>();
    const first = withBuildLock(directory, quiet, async () => {
      entered.resolve();
      await waiting.promise;
      order.push('first');
    });
    await entered.promise;
    await withBuildLock(directory, { ...quiet, onWait: waiting.resolve }, async () => order.push('second'));
    await first;
    expect(order).toEqual(['first', 'second']);
  });

  it('is free again after the work failed', async () => {
    const failing = withBuildLock(directory, quiet, () => Promise.reject(new Error('no compiler')));
    await expect(failing).rejects.toThrow('no compiler');
    expect(await withBuildLock(directory, quiet, async () => 'built')).toBe('built');
  });

  it('is free again when the process that held it was killed', async () => {
    const module = JSON.stringify(import.meta.resolve('../src/build-lock.ts'));
    const script = `
      const { withBuildLock } = await import(${module});
      await withBuildLock(${JSON.stringify(directory)}, { onWait() {}, timeoutMs: 1000 }, async () => {
        process.stdout.write('held');
        await new Promise((resolve) => setInterval(resolve, 2 ** 30));
      });`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    const held = withBuildLock(directory, { onWait: () => {}, timeoutMs: 0 }, async () => 'mine');
    await expect(held).rejects.toThrow('gave up waiting');

    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(await withBuildLock(directory, quiet, async () => 'mine')).toBe('mine');
  });
});
