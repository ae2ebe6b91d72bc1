import { kubectl, kubectlWait, must } from '../support/program.ts';
import type { Place } from './calls.ts';
import { mesh } from './mesh.ts';

const apply = (object: unknown): Promise<string> =>
  must('kubectl', ['apply', '-f', '-'], { input: JSON.stringify(object) });

/** An object of the API server. */
interface HeldObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** Makes an object for as long as it is held; `kubectl delete` takes it away at the end. */
export const holding = async (object: HeldObject): Promise<AsyncDisposable> => {
  await apply(object);
  const { kind, metadata } = object;
  return {
    [Symbol.asyncDispose]: async () => {
      await kubectl(
        '-n',
        metadata.namespace,
        'delete',
        kind,
        metadata.name,
        '--ignore-not-found',
        '--wait=false',
      );
    },
  };
};

/** A pod that does nothing but wait for calls to be made from it, with a ServiceAccount of its own. */
export const makePlace = async (namespace: string, name: string): Promise<Place> => {
  const image = await kubectl(
    ...['-n', mesh.namespace, 'get', 'deployment', `${mesh.release}-gateway`],
    '-o=jsonpath={.spec.template.spec.containers[0].image}',
  );
  const metadata = { name, namespace, labels: { app: name } };
  await apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  await kubectlWait('-n', namespace, 'delete', 'pod', name, '--ignore-not-found', '--wait');
  await apply({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata },
    spec: {
      serviceAccountName: name,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          ...{ name, image, imagePullPolicy: 'IfNotPresent' },
          command: ['/usr/local/bin/node', '-e', 'setInterval(() => {}, 60_000)'],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  });
  await kubectlWait('-n', namespace, 'wait', '--for=condition=Ready', `pod/${name}`);
  return { namespace, pod: name, container: name };
};

/** Opens the network inside the namespace of the mesh, so that what is still refused is refused by the mesh. */
export const openNetwork = (): Promise<AsyncDisposable> =>
  holding({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'open-for-the-proof', namespace: mesh.namespace },
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'], ingress: [{}], egress: [{}] },
  });
