import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../mesh/support/paths.ts';
import { ask, must } from './program.ts';

/** The images are where the cluster is, so what they were made from is written down there too. */
const record = { namespace: 'kube-public', name: 'skein-images', key: 'contents.json' };

const recorded = async (): Promise<string> => {
  const { ok, stdout } = await ask('kubectl', [
    ...['-n', record.namespace, 'get', 'configmap', record.name],
    '-o=jsonpath={.data.contents\\.json}',
  ]);
  return ok && stdout !== '' ? stdout : '{}';
};

/**
 * Builds the images that the cluster does not have with the contents of today, and loads them, as `npm run images`
 * does; `args` are arguments of that.
 */
export const loadImages = async (args: readonly string[]): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'skein-images-'));
  const file = join(folder, record.key);
  try {
    await writeFile(file, await recorded());
    const tool = join(root, 'tools', 'images', 'main.ts');
    const child = spawn(process.execPath, [tool, '--contents', file, ...args], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [code] = await once(child, 'close');
    const { namespace, name, key } = record;
    // What was loaded before another image failed is loaded.
    const input = JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name } },
      data: { [key]: await readFile(file, 'utf8') },
    });
    await must('kubectl', ['apply', '-f', '-'], { input });
    if (code !== 0) throw new Error('The images could not be made: see above.');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
