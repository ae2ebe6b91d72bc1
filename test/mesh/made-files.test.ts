import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { madeFiles } from './support/made-files.ts';
import { root } from './support/paths.ts';

describe('files of the chart that are made from the code', () => {
  it('say what the code and values.yaml say; if not: node test/mesh/update.ts', {
    timeout: 60_000,
  }, async () => {
    for (const { path, content } of await madeFiles()) {
      expect(await readFile(path, 'utf8'), relative(root, path)).toBe(content);
    }
  });
});
