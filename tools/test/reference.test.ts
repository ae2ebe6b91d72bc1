import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorTable } from '../../packages/contracts/src/index.ts';
import { referenceDrift, referencePages, writeReferencePages } from '../reference/pages.ts';
import { root } from '../run.ts';

describe('generated pages of the reference', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'skein-reference-'));
    await mkdir(join(folder, 'docs/reference'), { recursive: true });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are what the code says now', async () => {
    expect(await referenceDrift(root)).toEqual([]);
  });

  it('are named when they are missing or were edited', async () => {
    expect(await referenceDrift(folder)).toEqual(Object.keys(referencePages));
    await writeReferencePages(folder);
    expect(await referenceDrift(folder)).toEqual([]);
    await writeFile(join(folder, 'docs/reference/errors.md'), '# Errors\n');
    expect(await referenceDrift(folder)).toEqual(['docs/reference/errors.md']);
  });

  it('have a row for every code of the error table', () => {
    const errors = referencePages['docs/reference/errors.md']?.() ?? '';
    for (const code of Object.keys(errorTable)) expect(errors).toContain(`| \`${code}\` |`);
  });

  it('show no secret and nothing of the machine they were made on', () => {
    const configuration = referencePages['docs/reference/configuration.md']?.() ?? '';
    expect(configuration).toMatch(/`AUTH_HASH_CONCURRENCY` \| number \| number of cores/);
    expect(configuration).toMatch(/`INTERNAL_SECRET` \| secret \| \*\*required\*\*/);
  });
});
