import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { root } from '../run.ts';

const folder = mkdtempSync(join(tmpdir(), 'skein-counts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('counts each test, and a file that cannot be loaded as one that failed', () => {
  writeFileSync(join(folder, 'two.test.js'), "it('a', () => {}); it('b', () => { throw new Error('no'); });");
  writeFileSync(join(folder, 'broken.test.js'), "throw new Error('cannot be loaded');");
  const run = (env: Record<string, string>): string => {
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const reporter = `--reporter=${join(root, 'tools/count-reporter.ts')}`;
    try {
      const args = [vitest, 'run', '--root', folder, reporter, '--globals'];
      return execFileSync(process.execPath, args, {
        cwd: root,
        encoding: 'utf8',
        // A run in CI adds up its own counts there.
        env: { ...process.env, SKEIN_TEST_COUNTS: '', ...env },
      });
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  };
  expect(run({})).toMatch(/^1 passed, 2 failed$/m);
  const counts = join(folder, 'counts');
  writeFileSync(counts, '5 0\n');
  expect(run({ SKEIN_TEST_COUNTS: counts })).not.toContain('passed,');
  expect(readFileSync(counts, 'utf8')).toBe('5 0\n1 2\n');
}, 60_000);
