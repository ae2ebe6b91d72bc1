import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

it('ends a component when the process that started it is killed, and removes its directory', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'skein end with us-'));
  const module = JSON.stringify(import.meta.resolve('../src/end-with-us.ts'));
  const script = `
    const { spawn } = await import('node:child_process');
    const { endWithUs } = await import(${module});
    const child = spawn('tail', ['-f', '/dev/null'], { stdio: 'ignore', detached: true });
    endWithUs(child, ${JSON.stringify(directory)});
    process.stdout.write(String(child.pid));`;
  const starter = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await once(starter.stdout, 'data');
  const component = Number(String(said));
  expect(isThere(component)).toBe(true);

  starter.kill('SIGKILL');
  await once(starter, 'exit');
  await vi.waitFor(() => expect(isThere(component)).toBe(false), { timeout: 5000 });
  await vi.waitFor(() => expect(existsSync(directory)).toBe(false), { timeout: 5000 });
});
