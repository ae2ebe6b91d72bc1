import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filesUnder, fingerprint } from '../bootstrap/fingerprint.mjs';
import { withLock } from '../bootstrap/lock.mjs';
import { root } from '../run.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-bootstrap-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the bootstrap', () => {
  it('lists the commands when it is given one that does not exist', async () => {
    const bootstrap = join(root, 'tools', 'bootstrap.mjs');
    const failure = await promisify(execFile)(process.execPath, [bootstrap, 'strat']).catch((error) => error);
    expect(failure.code).toBe(2);
    expect(failure.stderr).toContain('There is no command "strat".');
    expect(failure.stderr).toContain('npm run start');
  });

  it('has every command of package.json, so that none fails with "no command"', async () => {
    const manifest: { scripts: Record<string, string> } = JSON.parse(
      await readFile(join(root, 'package.json'), 'utf8'),
    );
    const bootstrap = await readFile(join(root, 'tools', 'bootstrap.mjs'), 'utf8');
    for (const [name, script] of Object.entries(manifest.scripts)) {
      expect(script).toBe(`node tools/bootstrap.mjs ${name}`);
      expect(bootstrap).toMatch(new RegExp(`^  ${name}: \\{`, 'm'));
    }
  });
});

describe.each([
  ['takes the place of the bootstrap', ''],
  ['is a child on a Node that cannot be replaced', 'process.execve = undefined;'],
])('the command %s', (_how, before) => {
  const run = JSON.stringify(join(root, 'tools', 'bootstrap', 'run.mjs'));

  /** Starts a bootstrap whose command is the program `code`. */
  const start = (code: string) => {
    const script = `${before} const { finishWith } = await import(${run});
      process.exitCode = await finishWith(process.execPath, ['-e', ${JSON.stringify(code)}, 'with space']);`;
    return spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  };

  it('gets its arguments, the root as its folder, and gives its exit code', async () => {
    const child = start('console.log(process.cwd(), process.argv[1]); process.exitCode = 7');
    const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    expect(out).toBe(`${root.replace(/\/$/, '')} with space\n`);
    expect(code).toBe(7);
  });

  it('is told of a signal and ends in its own way', async () => {
    const child = start(`
      process.once('SIGTERM', () => { console.log('drained'); process.exit(3); });
      setInterval(() => {}, 2 ** 30);
      console.log('ready');`);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('ready');
    child.kill('SIGTERM');
    expect((await lines.next()).value).toBe('drained');
    expect(await once(child, 'exit')).toEqual([3, null]);
  });
});

describe('the fingerprint of sources', () => {
  const printOf = () => fingerprint(folder, filesUnder(folder));

  it('changes with an edit, a rename and a removal, and not with what is installed or built', async () => {
    await writeFile(join(folder, 'a.ts'), '1');
    const first = printOf();
    await mkdir(join(folder, 'node_modules'));
    await writeFile(join(folder, 'node_modules', 'x.js'), '1');
    expect(printOf()).toBe(first);

    await writeFile(join(folder, 'a.ts'), '2');
    const edited = printOf();
    await writeFile(join(folder, 'b.ts'), '2');
    const added = printOf();
    await rm(join(folder, 'a.ts'));
    const renamed = printOf();
    expect(new Set([first, edited, added, renamed]).size).toBe(4);
  });

  it('of a folder that does not exist is that of no files', () => {
    expect(filesUnder(join(folder, 'missing'))).toEqual([]);
  });
});

describe('the install lock', () => {
  const options = { onWait: () => {}, timeoutMs: 10_000 };
  const lockFile = () => join(folder, 'install.lock');

  it('lets one in at a time and tells the other that it waits', async () => {
    const order: string[] = [];
    const entered = Promise.withResolvers<void>();
    const waiting = Promise.withResolvers<void>();
    const first = withLock(lockFile(), options, async () => {
      entered.resolve();
      await waiting.promise;
      order.push('first');
    });
    await entered.promise;
    await withLock(lockFile(), { ...options, onWait: waiting.resolve }, async () => order.push('second'));
    await first;
    expect(order).toEqual(['first', 'second']);
    await expect(access(lockFile())).rejects.toThrow();
  });

  it('does not count when its holder is gone', async () => {
    const gone = spawn('true');
    await once(gone, 'exit');
    await writeFile(lockFile(), String(gone.pid));
    expect(await withLock(lockFile(), options, async () => 'installed')).toBe('installed');
  });

  it('is given up waiting for, with a sentence', async () => {
    await writeFile(lockFile(), String(process.pid));
    const waiting = withLock(lockFile(), { ...options, timeoutMs: 0 }, async () => 'installed');
    await expect(waiting).rejects.toThrow(`Another run still holds ${lockFile()}; gave up waiting.`);
  });
});
