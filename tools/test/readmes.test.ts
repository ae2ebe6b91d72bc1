import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../run.ts';

const folders = ['packages', 'services'].flatMap((kind) =>
  readdirSync(join(root, kind)).map((name) => `${kind}/${name}`),
);

it.each(folders.filter((folder) => existsSync(join(root, folder, 'package.json'))))(
  '%s says on one page what it is for, promises and does not do',
  (folder) => {
    const page = readFileSync(join(root, folder, 'README.md'), 'utf8');
    expect(page.split('\n')[0]).toMatch(/^# /);
    expect(page.split('\n').length).toBeLessThan(150);
  },
);
