import { getJson, kubectl } from './program.ts';

/** What the kubelet says of one container, as far as we read it (`/stats/summary`). */
interface ContainerStats {
  readonly name: string;
  readonly cpu?: { readonly time: string; readonly usageCoreNanoSeconds?: number };
  readonly memory?: { readonly workingSetBytes?: number; readonly rssBytes?: number };
}

/** The answer of `/stats/summary` of one node. */
export interface NodeSummary {
  readonly pods: readonly {
    readonly podRef: { readonly name: string; readonly namespace: string };
    readonly containers?: readonly ContainerStats[];
  }[];
}

/** What one container uses. */
export interface ContainerUsage {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** What the kernel could not take back at once: this counts towards the limit. */
  readonly workingSetMib: number;
  /** Of it, what belongs to the process alone. */
  readonly rssMib: number;
  /** Thousandths of a core, mean between the two looks. */
  readonly cpuMillicores: number;
}

const mib = (bytes = 0): number => bytes / 1024 / 1024;

const containersOf = (nodes: readonly NodeSummary[]) =>
  nodes.flatMap(({ pods }) =>
    pods.flatMap(({ podRef, containers = [] }) =>
      containers.map((stats) => ({ id: `${podRef.namespace}/${podRef.name}/${stats.name}`, podRef, stats })),
    ),
  );

/** What the containers that were there at both looks use: memory at the second, CPU in between. */
export const usageBetween = (
  first: readonly NodeSummary[],
  second: readonly NodeSummary[],
): ContainerUsage[] => {
  const before = new Map(containersOf(first).map(({ id, stats }) => [id, stats.cpu]));
  return containersOf(second).flatMap(({ id, podRef, stats: { name, cpu, memory } }) => {
    const earlier = before.get(id);
    if (!earlier || !cpu) return [];
    // The kubelet's own times: its figures are up to ten seconds old.
    const ms = Date.parse(cpu.time) - Date.parse(earlier.time);
    const nanoSeconds = (cpu.usageCoreNanoSeconds ?? 0) - (earlier.usageCoreNanoSeconds ?? 0);
    return {
      namespace: podRef.namespace,
      pod: podRef.name,
      container: name,
      workingSetMib: mib(memory?.workingSetBytes),
      rssMib: mib(memory?.rssBytes),
      cpuMillicores: ms > 0 ? nanoSeconds / 1000 / ms : 0,
    };
  });
};

/** Asks every kubelet; its figures are those of the cgroups. */
export const look = async (): Promise<NodeSummary[]> => {
  const { items } = await getJson<{ items: readonly { metadata: { name: string } }[] }>('nodes');
  return Promise.all(
    items.map(
      async ({ metadata }): Promise<NodeSummary> =>
        JSON.parse(await kubectl('get', '--raw', `/api/v1/nodes/${metadata.name}/proxy/stats/summary`)),
    ),
  );
};
