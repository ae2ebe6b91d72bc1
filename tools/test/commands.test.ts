import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../run.ts';

/** Where people read commands: pages, and what the launcher prints. */
const places = [
  ...execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: root })
    .toString()
    .split('\n'),
  'packages/launcher/src/options.ts',
  // Deleted but not yet committed files are still listed.
].filter((file) => file !== '' && existsSync(join(root, file)));

describe('the documented way to start one service', () => {
  it('uses the pinned Node: the sources do not run on the oldest one that may start the rest', () => {
    const bare = places.flatMap((place) =>
      readFileSync(join(root, place), 'utf8')
        .split('\n')
        .filter((line) => /(?<!npx )\bnode (services|packages|tools|test)\//.test(line))
        .map((line) => `${place}: ${line.trim()}`),
    );
    expect(bare).toEqual([]);
  });

  it('works in the folder of this repository, with no more than npm on the PATH', () => {
    const PATH = (process.env['PATH'] ?? '')
      .split(delimiter)
      .filter((folder) => !folder.includes('node_modules'))
      .join(delimiter);
    const run = (...args: string[]) =>
      execFileSync('npx', ['node', ...args], { cwd: root, encoding: 'utf8', env: { ...process.env, PATH } });
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly devDependencies: { readonly node: string };
    };
    expect(run('--version').trim()).toBe(`v${manifest.devDependencies.node}`);
    expect(run('services/user/src/main.ts', '--help')).toContain('INTERNAL_SECRET');
  }, 30_000);
});
