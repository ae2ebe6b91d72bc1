import { profileValues } from '../../mesh/support/paths.ts';
import { type Stack, smallValues } from '../support/stack.ts';

/** Istio's own way in, from `istio/ingress`, in a namespace of its own. */
export const ingress = {
  namespace: 'skein-mesh-ingress',
  service: 'public-istio',
  host: 'skein.example.org',
};

/** Pods that are no part of the mesh. */
export const outside = 'skein-mesh-outside';

const namespace = 'skein-mesh';
const platform = 'skein-mesh-platform';

const set = (values: Readonly<Record<string, unknown>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);

/** The profile `istio` in namespaces of its own, with two pods of auth to choose from, and every call in the logs. */
export const mesh: Stack = {
  release: 'skein',
  namespace,
  platform,
  manifests: 'istio',
  revision: 'skein-test',
  values: [
    ...['--values', profileValues('istio'), ...smallValues],
    ...set({
      'expose.parentRefs': [{ name: 'public', namespace: ingress.namespace }],
      'networkPolicy.gatewayFrom': [
        { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ingress.namespace } } },
      ],
      'istio.ingressPrincipals': [`cluster.local/ns/${ingress.namespace}/sa/${ingress.service}`],
      'istio.platformHosts': [`${platform}/*`, 'istio-system/*'],
      'istio.telemetry.accessLogFilter': '',
      'defaults.replicas': 1,
      'services.auth.replicas': 2,
      // The answers are those of the local answerer: no model can be reached from a cluster for tests.
      'services.agent.config': { AGENT_MODEL_URL: '', AGENT_MODEL: '' },
      // Nor can a mail server.
      'services.user.extraEnv': [],
    }),
  ],
};

/** The address of a Service of the mesh: what the authority template makes. */
export const authorityOf = (service: string): string =>
  `${mesh.release}-${service}.${namespace}.svc.cluster.local`;

/** The identity in the certificate of a ServiceAccount. */
export const identityOf = (account: string, of = namespace): string =>
  `spiffe://cluster.local/ns/${of}/sa/${account}`;

/** The identity of a service. */
export const serviceIdentity = (service: string): string => identityOf(`${mesh.release}-${service}`);
