import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureNamespaces, probe } from './support/namespaces.ts';
import { ask, getJson, kubectl, kubectlWait, must } from './support/program.ts';
import { installChart, plain } from './support/stack.ts';
import { useStack } from './support/use-stack.ts';

useStack(plain);

const { namespace, platform, release } = plain;

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly status: {
    readonly containerStatuses: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
      readonly image: string;
    }[];
  };
}

const running = ['--field-selector', 'status.phase=Running'];
/** Without those that drain: another file's upgrade may have ended a moment ago. */
const podsIn = async (where: string): Promise<readonly Pod[]> =>
  (await getJson<{ items: readonly Pod[] }>('pods', '-n', where, ...running)).items.filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  );

describe('the chart on a cluster', () => {
  it('runs every pod without a restart, where PodSecurity is restricted', async () => {
    const labels = await kubectl(
      'get',
      'namespace',
      namespace,
      platform,
      '-o=jsonpath={.items[*].metadata.labels}',
    );
    expect(labels.match(/"pod-security\.kubernetes\.io\/enforce":"restricted"/g)).toHaveLength(2);
    const pods = [...(await podsIn(platform)), ...(await podsIn(namespace))];
    expect(pods).toHaveLength(9);
    for (const { metadata, status } of pods)
      for (const { ready, restartCount } of status.containerStatuses)
        expect({ name: metadata.name, ready, restartCount }).toEqual({
          ...{ name: metadata.name, ready: true, restartCount: 0 },
        });
  });

  it('passes "helm test": a person registers, connects and is answered; what is forbidden is refused', async () => {
    const told = await must('helm', ['test', release, '-n', namespace, '--logs'], { timeoutMs: 180_000 });
    expect(told).toContain('a person is registered');
    expect(told).toContain('answered: ');
    expect(told).toMatch(
      /a call that nobody may make was refused by the network \((EHOSTUNREACH|ECONNREFUSED|nothing came back)\)/,
    );
  });

  it('renders on the cluster what it rendered before, and an upgrade that changes nothing replaces no pod', async () => {
    const manifest = () => must('helm', ['get', 'manifest', release, '-n', namespace]);
    const uids = async () => (await podsIn(namespace)).map(({ metadata }) => metadata.uid).sort();
    const before = { manifest: await manifest(), pods: await uids() };
    await installChart(plain);
    expect({ manifest: await manifest(), pods: await uids() }).toEqual(before);
  });

  it('lets nobody but its own pods reach Postgres, NATS and Consul', async () => {
    // From another namespace, so that only the policies of the components stand in between.
    const script = await readFile(join(import.meta.dirname, 'support', 'in-pod', 'reach.mjs'), 'utf8');
    const targets = [
      ['consul', 8500],
      ['nats', 4222],
      ['postgres', 5432],
    ].map(([host, port]) => `${host}.${platform}.svc.cluster.local:${port}`);
    const { image } = (await podsIn(namespace))[0]?.status.containerStatuses[0] ?? { image: '' };
    try {
      await ensureNamespaces(probe);
      await kubectl(
        ...['-n', probe, 'run', probe, `--image=${image}`],
        ...['--image-pull-policy=IfNotPresent', '--restart=Never'],
        ...['--command', '--', '/usr/local/bin/node', '--input-type=module', '-e', script, ...targets],
      );
      await kubectlWait('-n', probe, 'wait', `pod/${probe}`, '--for=jsonpath={.status.phase}=Succeeded');
      const told = await kubectl('-n', probe, 'logs', probe);
      // By the network, and by nothing else: a name that was not found would prove nothing.
      const refused = (target: string) =>
        expect.stringMatching(`^${target} (EHOSTUNREACH|ECONNREFUSED|no answer)$`);
      expect(told.trim().split('\n')).toEqual(targets.map(refused));
    } finally {
      await ask('kubectl', ['delete', 'namespace', probe, '--wait=false', '--ignore-not-found']);
    }
  });
});
