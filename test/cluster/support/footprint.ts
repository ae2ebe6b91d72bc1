import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { table } from '../../bench/measure-stats.ts';
import { replaced } from '../../bench/report-section.ts';
import { root } from '../../mesh/support/paths.ts';
import { getJson } from './program.ts';
import type { Stack } from './stack.ts';
import { type ContainerUsage, look, usageBetween } from './usage.ts';

const page = join(root, 'docs', 'reference', 'footprint-on-kubernetes.md');

const opening = `# Footprint on Kubernetes

What an installation costs at rest, with nobody connected, as the kubelets tell it; the numbers are those of the last run.
*Without a mesh* is that of [install-with-helm](../how-to/install-with-helm.md), one pod of everything, and is written by
\`npm run cluster -- footprint\`. *In a mesh of Istio* was measured once in the same way, on the mesh of the cluster tests,
which has two pods of auth; no command writes it again.
`;

/** What starting has left behind is collected, relays and leases have settled. */
const restMs = 60_000;
/** Long against the ten seconds that a figure may be old. */
const windowMs = 120_000;

const workload = (pod: string): string => pod.replace(/-[a-z0-9]{6,10}-[a-z0-9]{5}$|-\d+$/, '');

const mean = (values: readonly number[]): number =>
  values.reduce((sum, one) => sum + one, 0) / Math.max(1, values.length);

const rowsOf = (used: readonly ContainerUsage[]): string[][] => {
  const rows = Map.groupBy(used, ({ pod, container }) => `${workload(pod)} · ${container}`);
  return [...rows]
    .sort()
    .map(([name, pods]) => [
      name,
      String(pods.length),
      mean(pods.map(({ workingSetMib }) => workingSetMib)).toFixed(0),
      mean(pods.map(({ rssMib }) => rssMib)).toFixed(0),
      mean(pods.map(({ cpuMillicores }) => cpuMillicores)).toFixed(1),
    ]);
};

const total = (used: readonly ContainerUsage[]): string[] => {
  const sum = (of: (one: ContainerUsage) => number) => used.reduce((all, one) => all + of(one), 0);
  return [
    '**all**',
    String(used.length),
    sum(({ workingSetMib }) => workingSetMib).toFixed(0),
    sum(({ rssMib }) => rssMib).toFixed(0),
    sum(({ cpuMillicores }) => cpuMillicores).toFixed(1),
  ];
};

const head = [
  'workload · container',
  'pods',
  'working set, MiB each',
  'RSS, MiB each',
  'CPU, millicores each',
];

interface Node {
  readonly status: {
    readonly images?: readonly { readonly names?: readonly string[]; readonly sizeBytes?: number }[];
    readonly nodeInfo: { readonly kubeletVersion: string; readonly containerRuntimeVersion: string };
    readonly capacity: { readonly cpu: string; readonly memory: string };
  };
}

/** Measures a stack at rest, and writes it into a section of the page. */
export const writeFootprint = async (stack: Stack, about: string): Promise<void> => {
  await delay(restMs);
  const first = await look();
  await delay(windowMs);
  const used = usageBetween(first, await look());
  const of = (namespace: string) => used.filter((one) => one.namespace === namespace);
  const both = [...of(stack.namespace), ...of(stack.platform)];
  const [node] = (await getJson<{ items: readonly Node[] }>('nodes')).items;
  const { nodeInfo, capacity } = node?.status ?? {};
  const section = `
## ${about}

${table([head, ...rowsOf(of(stack.namespace)), ...rowsOf(of(stack.platform)), total(both)])}

The working set is what counts towards a limit; CPU is the mean of ${windowMs / 1000} s. Kubernetes ${nodeInfo?.kubeletVersion},
${nodeInfo?.containerRuntimeVersion}, a node with ${capacity?.cpu} cores.
`;
  await mkdir(dirname(page), { recursive: true });
  const before = await readFile(page, 'utf8').catch(() => opening);
  await writeFile(page, replaced(before, `${stack.namespace}`, section));
};
