import { createHash } from 'node:crypto';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { root } from '../../mesh/support/paths.ts';
import { ask, must } from '../support/program.ts';
import { mesh } from './mesh.ts';

const system = 'istio-system';

/** Where Istio's charts are, seen from the folder with istioctl: in its release archive, or beside it. */
const chartFolders = ['../manifests/charts', '../istio-charts'];

const istiodChart = async (env = process.env): Promise<string> => {
  const besides = (env['PATH'] ?? '')
    .split(delimiter)
    .flatMap((folder) => chartFolders.map((charts) => join(folder, charts)));
  for (const charts of [env['ISTIO_CHARTS'], ...besides]) {
    if (!charts) continue;
    const chart = join(charts, 'istio-control', 'istio-discovery');
    const found = await access(join(chart, 'Chart.yaml')).then(
      () => true,
      () => false,
    );
    if (found) return chart;
  }
  throw new Error(
    'The charts of Istio are not found: put the istioctl of an unpacked release of Istio on PATH, or set ISTIO_CHARTS to its folder manifests/charts.',
  );
};

/** Whether a release is installed as its description says. */
const isInstalledAs = async (release: string, description: string): Promise<boolean> => {
  const { ok, stdout } = await ask('helm', ['status', release, '-n', system, '-o', 'json']);
  if (!ok) return false;
  const { info } = JSON.parse(stdout) as { info: { status: string; description: string } };
  return info.status === 'deployed' && info.description === description;
};

/**
 * Installs `istio/istiod-values.yaml` as one more revision of Istio, so that a mesh that others use stays as it is. Its
 * images are those of the istiod that is there.
 */
export const ensureControlPlane = async (): Promise<void> => {
  const known = await ask('helm', ['get', 'values', 'istiod', '-n', system, '-o', 'yaml']);
  if (!known.ok)
    throw new Error(
      `The cluster has no Istio: install its charts base and istiod (and cni) in ${system}, as docs/how-to/install-with-helm.md says.\n${known.stderr}`,
    );
  const profile = (await readFile(join(root, 'istio', 'istiod-values.yaml'), 'utf8')).replaceAll(
    'skein-platform',
    mesh.platform,
  );
  const release = `istiod-${mesh.revision}`;
  const content = createHash('sha256').update(known.stdout).update(profile).digest('hex');
  const description = `for the tests of Skein, ${content}`;
  if (await isInstalledAs(release, description)) return;
  const folder = await mkdtemp(join(tmpdir(), 'skein-istiod-'));
  try {
    const there = join(folder, 'there.yaml');
    const ours = join(folder, 'ours.yaml');
    await writeFile(there, known.stdout);
    await writeFile(ours, profile);
    await must(
      'helm',
      [
        ...['upgrade', '--install', release, await istiodChart(), '-n', system],
        ...['--values', there, '--values', ours, '--set', `revision=${mesh.revision}`],
        ...['--description', description, '--wait', '--timeout=180s'],
      ],
      { timeoutMs: 200_000 },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
