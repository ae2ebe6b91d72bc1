import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { componentPath } from '@skein/components';
import { ask, must } from './program.ts';

/** Kinds that a profile uses and a bare cluster lacks; definitions alone start nothing. */
const modules = [
  'sigs.k8s.io/gateway-api',
  'github.com/prometheus-operator/prometheus-operator',
  'istio.io/api',
];

/** Gives the cluster the definitions of the kinds that profiles use. What is there already stays as it is. */
export const ensureCustomResources = async (): Promise<void> => {
  const folder = join(await componentPath('kubernetes-schemas'), 'crds');
  for (const module of modules) {
    // Too large for the annotation of a client-side apply. One call for each file: one that is there stops the others.
    for (const file of await readdir(join(folder, module)))
      await ask('kubectl', ['create', '-f', join(folder, module, file)]);
  }
  await must('kubectl', ['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s'], {
    timeoutMs: 90_000,
  });
};
