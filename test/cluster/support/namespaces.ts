import { ask, getJson, kubectlWait, must } from './program.ts';

/** What a namespace that the tests have made bears; without it nothing here takes one away. */
const forTests = { 'skein.dev/for-tests': 'true' };

/** Where the tests try what a stranger's pod reaches. */
export const probe = 'skein-probe';

/** A namespace, as far as we look at it. */
export interface Namespace {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
}

/** Why namespaces may not be taken away, and what to do; nothing when they may be, or are not there. */
export const keptNamespaces = (names: readonly string[], there: readonly Namespace[]): string | undefined => {
  const kept = there.flatMap(({ metadata: { name, labels = {} } }) =>
    names.includes(name) && Object.entries(forTests).some(([key, value]) => labels[key] !== value)
      ? [name]
      : [],
  );
  if (kept.length === 0) return undefined;
  const label = Object.entries(forTests).map(([key, value]) => `${key}=${value}`);
  return `On the cluster of KUBECONFIG are namespaces that the tests have not made, and would remove with everything in them, volumes too: ${kept.join(', ')}. If nothing in them is needed, say so and try again:
  kubectl label namespace ${[...kept, ...label].join(' ')}`;
};

/** Makes the namespaces that are not there, as some for tests; those that are stay as they are. */
export const ensureNamespaces = async (...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    if ((await ask('kubectl', ['get', 'namespace', name])).ok) continue;
    // Not with apply: that of the manifests, which do not have the label, would take it away.
    const input = JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: forTests } },
    });
    await must('kubectl', ['create', '-f', '-'], { input });
    // Before it is there no pod can be made.
    await kubectlWait('-n', name, 'wait', '--for=create', 'serviceaccount/default');
  }
};

const removeSeconds = 300;

/**
 * Takes namespaces for tests away with everything in them, volumes too; one that is not there is none to take away.
 * Throws a sentence, and touches none, when one of them is not for tests.
 */
export const removeNamespaces = async (...names: readonly string[]): Promise<void> => {
  const { items } = await getJson<{ items: readonly Namespace[] }>('namespaces');
  const kept = keptNamespaces(names, items);
  if (kept) throw new Error(kept);
  await must(
    'kubectl',
    ['delete', 'namespace', ...names, '--ignore-not-found', '--wait', `--timeout=${removeSeconds}s`],
    { timeoutMs: (removeSeconds + 30) * 1000 },
  );
};
