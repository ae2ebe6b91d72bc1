import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { chart, profileValues, root } from '../../mesh/support/paths.ts';
import { diagnosis } from './diagnosis.ts';
import { ensureNamespaces, removeNamespaces } from './namespaces.ts';
import { ask, kubectl, must } from './program.ts';

/** One installation of everything: the components in one namespace, the chart in another. */
export interface Stack {
  readonly release: string;
  /** Where the chart is installed. */
  readonly namespace: string;
  /** Where NATS, Consul, Postgres and the collector are. */
  readonly platform: string;
  /** The kustomization with the components: `k8s`, or `istio` for those in a mesh. */
  readonly manifests: 'k8s' | 'istio';
  /** The revision of Istio that injects the sidecars; without one the cluster's own does. */
  readonly revision?: string;
  /** More arguments of `helm install`, such as values. */
  readonly values: readonly string[];
}

/** Lets several installations into a small cluster; for the arguments of each. */
export const smallValues = ['--values', join(root, 'test', 'cluster', 'values.yaml')] as const;

/** What the how-to installs: plain, for trying out. */
export const plain: Stack = {
  release: 'skein',
  namespace: 'skein',
  platform: 'skein-platform',
  manifests: 'k8s',
  values: ['--values', profileValues('default'), ...smallValues],
};

/** A first start pulls images, makes a database and migrates five schemas. */
const startSeconds = 300;

const settled = (seconds: number) => ({ timeoutMs: (seconds + 30) * 1000 });

/**
 * The values that a stack needs because its components are not in `skein-platform`; none for those that are.
 */
const platformValues = ({ platform }: Stack): string[] => {
  if (platform === plain.platform) return [];
  const host = (name: string) => `${name}.${platform}.svc.cluster.local`;
  const peers = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': platform } } }];
  // Each value by its whole name: beside it stays what else the values of the stack say.
  return Object.entries({
    'events.url': `nats://${host('nats')}:4222`,
    'discovery.url': `consul://${host('consul')}:8500`,
    otlpEndpoint: `http://${host('otel-collector')}:4318`,
    'networkPolicy.database.to': peers,
    'networkPolicy.events.to': peers,
    'networkPolicy.discovery.to': peers,
    'networkPolicy.telemetry.to': peers,
  }).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);
};

/** Arguments that `helm install` and `helm upgrade` have in common for a stack. */
export const chartArguments = (stack: Stack): string[] => [
  stack.release,
  chart,
  '--namespace',
  stack.namespace,
  ...stack.values,
  ...platformValues(stack),
];

/** The components as they are applied, in the namespaces of the stack. */
export const platformManifests = async (stack: Stack): Promise<string> => {
  const { manifests, namespace, platform, revision } = stack;
  return (await kubectl('kustomize', join(root, manifests)))
    .replaceAll(plain.platform, platform)
    .replaceAll(/((?:name|namespace|metadata\.name): |- )skein$/gm, `$1${namespace}`)
    .replaceAll('istio-injection: enabled', revision ? `istio.io/rev: ${revision}` : '$&');
};

const secretValue = async (namespace: string, name: string, key: string): Promise<string | undefined> => {
  const { ok, stdout } = await ask('kubectl', [
    ...['-n', namespace, 'get', 'secret', name],
    `-o=jsonpath={.data.${key}}`,
  ]);
  return ok ? Buffer.from(stdout, 'base64').toString('utf8') : undefined;
};

const makeSecret = (namespace: string, name: string, data: Readonly<Record<string, string>>) =>
  must('kubectl', ['apply', '-f', '-'], {
    input: JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, stringData: data },
    }),
  });

/** Makes the two Secrets that nobody makes but the one who installs; those that are there stay. */
const ensureSecrets = async ({ namespace, platform }: Stack): Promise<void> => {
  const random = () => randomBytes(32).toString('hex');
  const known = await secretValue(platform, 'postgres', 'password');
  const password = known ?? random();
  if (known === undefined) await makeSecret(platform, 'postgres', { password });
  if ((await secretValue(namespace, 'skein', 'database-url')) !== undefined) return;
  await makeSecret(namespace, 'skein', {
    'database-url': `postgres://skein:${password}@postgres.${platform}.svc.cluster.local:5432/skein`,
    'internal-secret': random(),
    'master-key': random(),
  });
};

/** Waits until every workload of a namespace is as wanted. */
const rolledOut = async (namespace: string): Promise<void> => {
  const names = await kubectl('-n', namespace, 'get', 'deployment,statefulset', '-o', 'name');
  for (const name of names.split('\n').filter(Boolean))
    await must(
      'kubectl',
      ['-n', namespace, 'rollout', 'status', name, `--timeout=${startSeconds}s`],
      settled(startSeconds),
    );
};

/** Runs one part of an installation; its failure says how the pods are. */
const explained = async <T>(stack: Stack, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    const told = error instanceof Error ? error.message : String(error);
    throw new Error(`${told}\n${await diagnosis(stack.platform, stack.namespace)}`, { cause: error });
  }
};

/** Applies the components, makes the Secrets and waits until the components run. */
export const installPlatform = (stack: Stack): Promise<void> =>
  explained(stack, async () => {
    await ensureNamespaces(stack.namespace, stack.platform);
    await must('kubectl', ['apply', '-f', '-'], { input: await platformManifests(stack) });
    await ensureSecrets(stack);
    await rolledOut(stack.platform);
  });

/** Installs the chart, or upgrades it where it is, and waits until every pod is ready. */
export const installChart = (stack: Stack, ...more: readonly string[]): Promise<string> =>
  explained(stack, () =>
    must(
      'helm',
      [
        ...['upgrade', '--install', ...chartArguments(stack), ...more],
        ...['--wait', `--timeout=${startSeconds}s`],
      ],
      settled(startSeconds),
    ),
  );

/** Whether the chart is installed, and its last installation or upgrade went well. */
export const isInstalled = async ({ release, namespace }: Stack): Promise<boolean> => {
  const { ok, stdout } = await ask('helm', ['status', release, '-n', namespace, '-o', 'json']);
  return ok && (JSON.parse(stdout) as { info: { status: string } }).info.status === 'deployed';
};

/** Installs everything that is not there. */
export const ensureInstalled = async (stack: Stack): Promise<void> => {
  if (await isInstalled(stack)) return;
  await installPlatform(stack);
  await installChart(stack);
};

/** Takes a stack away. */
export const remove = ({ namespace, platform }: Stack): Promise<void> =>
  removeNamespaces(namespace, platform);
