import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { root } from '../run.ts';

const folder = mkdtempSync(join(tmpdir(), 'skein-counts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('counts each test, and a file that cannot be loaded as one that failed, and names what was not plainly green', () => {
  writeFileSync(
    join(folder, 'three.test.js'),
    "it('a', () => {}); it('b', () => { throw new Error('no'); }); let n = 0; it('c', { retry: 1 }, () => { if (n++ === 0) throw new Error('not yet'); });",
  );
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
  const told = run({});
  expect(told).toMatch(/^2 passed, 2 failed$/m);
  const notes = [
    expect.stringMatching(/^failed: .*broken\.test\.js: cannot be loaded$/),
    expect.stringMatching(/^failed: .*three\.test\.js > b: no$/),
    expect.stringMatching(/^passed only when tried again: .*three\.test\.js > c: not yet$/),
  ];
  expect(told.split('\n').slice(-5, -2).sort()).toEqual(notes);
  const counts = join(folder, 'counts');
  writeFileSync(counts, '5 0\n');
  expect(run({ SKEIN_TEST_COUNTS: counts })).not.toContain('passed,');
  expect(readFileSync(counts, 'utf8')).toMatch(/^5 0\n2 2\n(# .+\n){3}$/);
}, 60_000);
