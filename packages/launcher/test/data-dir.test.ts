import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SecondCopyError, takeDataDir } from '../src/data-dir.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const module = new URL('../src/data-dir.ts', import.meta.url).href;

/** Another process that holds the directory until it is killed. */
const holder = async (dataDir: string) => {
  const script = `import { takeDataDir } from ${JSON.stringify(module)};
    takeDataDir(${JSON.stringify(dataDir)}); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
};

describe('a data directory', () => {
  it('is made at the first start and belongs to one launcher until it lets go', () => {
    using temporary = temporaryDirectory();
    const dataDir = join(temporary.path, 'deep', 'data');
    const release = takeDataDir(dataDir);
    expect(() => takeDataDir(dataDir)).toThrow(SecondCopyError);
    release();
    expect(existsSync(join(dataDir, 'skein.pid'))).toBe(false);
    takeDataDir(dataDir)();
  });

  it('is refused while another process has it, and taken over when that one is killed', async () => {
    using temporary = temporaryDirectory();
    const dataDir = temporary.path;
    const child = await holder(dataDir);
    expect(() => takeDataDir(dataDir)).toThrow(
      `Skein already runs here (process ${child.pid}, data in ${dataDir}): stop it first, or give this copy its own --data-dir and --port.`,
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    const release = takeDataDir(dataDir);
    expect(readFileSync(join(dataDir, 'skein.pid'), 'utf8')).toBe(`${process.pid}\n`);
    release();
  });

  it('is not refused because some other process has got the id of a dead launcher', () => {
    using temporary = temporaryDirectory();
    writeFileSync(join(temporary.path, 'skein.pid'), `${process.ppid}\n`);
    takeDataDir(temporary.path)();
  });
});
