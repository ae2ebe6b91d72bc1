// Writes what is made from the code and from values.yaml: run it after a change of either, and read the difference.
import { writeFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { renderProfile } from './support/helm.ts';
import { goldenFiles, type MadeFile, madeFiles } from './support/made-files.ts';
import { root } from './support/paths.ts';

const write = async (files: readonly MadeFile[]): Promise<void> => {
  for (const { path, content } of files) {
    await writeFile(path, content);
    process.stdout.write(`${relative(root, path)}\n`);
  }
};

await write(await madeFiles());
await write(await goldenFiles(renderProfile));
