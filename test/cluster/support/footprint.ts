import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { table } from '../../bench/measure-stats.ts';
import { type ReportPage, writeSection } from '../../bench/report-section.ts';
import { root } from '../../mesh/support/paths.ts';
import { mesh } from '../istio/mesh.ts';
import { getJson } from './program.ts';
import { isInstalled, plain, type Stack } from './stack.ts';
import { type ContainerUsage, look, usageBetween } from './usage.ts';

const page: ReportPage = {
  file: join(root, 'docs', 'reference', 'footprint-on-kubernetes.md'),
  opening: `# Footprint on Kubernetes

What an installation costs at rest, with nobody connected, as the kubelets tell it; the numbers are those of the last run.
*Without a mesh* is that of [install-with-helm](../how-to/install-with-helm.md), one pod of everything, and is written by
\`npm run cluster -- install footprint\`. *In a mesh of Istio* is the mesh of the cluster tests, which has two pods of auth,
and is written by \`npm run cluster -- mesh footprint\`.
`,
};

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

const sectionOf = (used: readonly ContainerUsage[], { namespace, platform }: Stack, node?: Node): string => {
  const of = (where: string) => used.filter((one) => one.namespace === where);
  const [ours, theirs] = [of(namespace), of(platform)];
  const { nodeInfo, capacity } = node?.status ?? {};
  return `
## ${namespace === mesh.namespace ? 'In a mesh of Istio' : 'Without a mesh'}

${table([head, ...rowsOf(ours), ...rowsOf(theirs), total([...ours, ...theirs])])}

The working set is what counts towards a limit; CPU is the mean of ${windowMs / 1000} s. Kubernetes ${nodeInfo?.kubeletVersion},
${nodeInfo?.containerRuntimeVersion}, a node with ${capacity?.cpu} cores.
`;
};

/** Measures what is installed of the two stacks at rest, and writes the section of each; throws when none is. */
export const writeFootprint = async (): Promise<void> => {
  const installed: Stack[] = [];
  for (const stack of [plain, mesh]) if (await isInstalled(stack)) installed.push(stack);
  if (installed.length === 0)
    throw new Error('Nothing to measure is installed: npm run cluster -- install footprint');
  await delay(restMs);
  const first = await look();
  await delay(windowMs);
  const used = usageBetween(first, await look());
  const [node] = (await getJson<{ items: readonly Node[] }>('nodes')).items;
  for (const stack of installed) await writeSection(stack.namespace, sectionOf(used, stack, node), page);
};
