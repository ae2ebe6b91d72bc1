import { ask } from './program.ts';

const howToGetOne = `Set KUBECONFIG to a cluster that may be used for tests, with kubectl and helm on PATH; for example:
  kind create cluster --kubeconfig kind.yaml && export KUBECONFIG=$PWD/kind.yaml SKEIN_IMAGE_LOADER="kind load docker-image"
and run this again. docs/how-to/install-with-helm.md says what is needed.`;

/** Throws a sentence unless a cluster is named, answers, and has a node that is ready. */
export const requireCluster = async (env = process.env): Promise<void> => {
  if (!env['KUBECONFIG']) throw new Error(`There is no cluster to test on. ${howToGetOne}`);
  const { ok, stdout, stderr } = await ask('kubectl', [
    ...['get', 'nodes', '--request-timeout=10s'],
    '-o=jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}',
  ]);
  if (!ok) throw new Error(`The cluster of KUBECONFIG does not answer:\n${stderr}${howToGetOne}`);
  if (!stdout.includes('True')) throw new Error('No node of the cluster is ready: kubectl get nodes');
};
