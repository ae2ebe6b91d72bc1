import { join } from 'node:path';
import { componentPath } from '@skein/components';
import { ask, kubectlWait } from './program.ts';

/** Kinds that a profile uses and a bare cluster lacks; definitions alone start nothing. */
const modules = [
  'sigs.k8s.io/gateway-api',
  'github.com/prometheus-operator/prometheus-operator',
  'istio.io/api',
];

/** The kinds of them that profiles and tests use. */
const used = [
  ...['gateways', 'httproutes'].map((kind) => `${kind}.gateway.networking.k8s.io`),
  ...['podmonitors', 'prometheusrules', 'servicemonitors'].map((kind) => `${kind}.monitoring.coreos.com`),
  ...['authorizationpolicies', 'peerauthentications', 'requestauthentications'].map(
    (kind) => `${kind}.security.istio.io`,
  ),
  ...['destinationrules', 'serviceentries', 'sidecars', 'virtualservices'].map(
    (kind) => `${kind}.networking.istio.io`,
  ),
  'telemetries.telemetry.istio.io',
];

/** Gives the cluster the definitions of the kinds that profiles use. What is there already stays as it is. */
export const ensureCustomResources = async (): Promise<void> => {
  const known = await ask('kubectl', ['get', 'crd', ...used, '-o', 'name']);
  if (known.ok) return;
  const folder = join(await componentPath('kubernetes-schemas'), 'crds');
  const files = modules.flatMap((module) => ['-f', join(folder, module)]);
  // Too large for the annotation of a client-side apply. It goes on after those that are there, and then fails.
  await ask('kubectl', ['create', ...files], { timeoutMs: 120_000 });
  await kubectlWait('wait', '--for=condition=Established', 'crd', '--all');
};
