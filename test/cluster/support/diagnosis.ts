import { ask } from './program.ts';

interface Pod {
  readonly metadata: { readonly name: string };
  readonly status: {
    readonly phase: string;
    readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[];
  };
}

/** Lines of each part: enough for a stack trace, few enough to be read. */
const maxLines = 40;

const last = (text: string): string => text.trimEnd().split('\n').slice(-maxLines).join('\n');

/** What a command says, whether it fails or not. */
const said = async (...args: readonly string[]): Promise<string> => {
  const { stdout, stderr } = await ask('kubectl', args);
  return `\n$ kubectl ${args.join(' ')}\n${last(stdout + stderr)}\n`;
};

const isWell = ({ status: { phase, containerStatuses = [] } }: Pod): boolean =>
  phase === 'Succeeded' ||
  (containerStatuses.length > 0 &&
    containerStatuses.every(({ ready, restartCount }) => ready && restartCount === 0));

const ofNamespace = async (namespace: string): Promise<string> => {
  const { ok, stdout } = await ask('kubectl', ['-n', namespace, 'get', 'pods', '-o', 'json']);
  const pods = ok ? (JSON.parse(stdout) as { items: readonly Pod[] }).items : [];
  const parts = [
    await said('-n', namespace, 'get', 'pods', '-o', 'wide'),
    await said('-n', namespace, 'get', 'events', '--sort-by=.lastTimestamp'),
  ];
  for (const { metadata } of pods.filter((pod) => !isWell(pod))) {
    const logs = ['-n', namespace, 'logs', metadata.name, '--all-containers', `--tail=${maxLines}`];
    parts.push(await said(...logs), await said(...logs, '--previous'));
  }
  return parts.join('');
};

/** How the pods of some namespaces are: the list, the latest events, and the logs of those that are not well. */
export const diagnosis = async (...namespaces: readonly string[]): Promise<string> =>
  (await Promise.all(namespaces.map(ofNamespace))).join('');
