import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { differences, generatedDrift } from '../generated-code.ts';

describe('drift of generated code', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'skein-drift-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const tree = async (name: string, files: Record<string, string>) => {
    for (const [path, content] of Object.entries(files)) {
      const file = join(folder, name, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
    }
    return join(folder, name);
  };

  it('names every file that was edited, forgotten or left over', async () => {
    const expected = await tree('expected', { 'v1/same.ts': '1', 'v1/edited.ts': '1', 'v1/new.ts': '1' });
    const actual = await tree('actual', { 'v1/same.ts': '1', 'v1/edited.ts': '2', 'v1/old.ts': '1' });
    expect(await differences(expected, actual)).toEqual([
      'v1/edited.ts is not what proto/ gives',
      'v1/new.ts is missing',
      'v1/old.ts is not generated from anything',
    ]);
  });

  it('is none: generating twice gives the same, and it is what is committed', async () => {
    expect(await generatedDrift()).toEqual([]);
  });
});
