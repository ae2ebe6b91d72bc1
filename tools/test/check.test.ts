import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { steps } from '../check/steps.ts';
import { root } from '../run.ts';

const check = (...names: string[]) =>
  spawnSync(process.execPath, [join(root, 'tools/check.ts'), ...names], { encoding: 'utf8' });

it('says in one sentence that a step does not exist, and runs none', () => {
  const { status, stdout, stderr } = check('types', 'lint');
  expect(stdout).toBe('');
  const names = steps.map(({ name }) => name).join(', ');
  expect(stderr).toBe(`There is no step "lint"; the steps are: ${names}.\n`);
  expect(status).toBe(64);
});

it('has in CONTRIBUTING.md the names of its steps, in their order', () => {
  const page = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
  const [, listed = ''] = /names it takes: (.*?)\.\s/s.exec(page) ?? [];
  expect([...listed.matchAll(/`([^`]+)`/g)].map(([, name]) => name)).toEqual(steps.map(({ name }) => name));
});
