import { beforeAll, describe, expect, it } from 'vitest';
import { services } from './support/code-edges.ts';
import { type KubeObject, objectsOf, render, renderProfile } from './support/helm.ts';
import { profiles, profileValues } from './support/paths.ts';
import { type PodSpec, podOf, restrictions } from './support/pods.ts';

const names = Object.keys(services);
let objects: Readonly<Record<string, readonly KubeObject[]>> = {};

beforeAll(async () => {
  const rendered = await Promise.all(
    profiles.map(async (one) => [one, objectsOf(await renderProfile(one))] as const),
  );
  objects = Object.fromEntries(rendered);
});

const ofKind = (profile: string, kind: string): readonly KubeObject[] =>
  (objects[profile] ?? []).filter((object) => object.kind === kind);
const deployment = (profile: string, name: string): KubeObject => {
  const found = ofKind(profile, 'Deployment').find(({ metadata }) => metadata.name === `skein-${name}`);
  if (!found) throw new Error(`${profile} has no deployment of ${name}`);
  return found;
};
const podOfService = (profile: string, name: string): PodSpec => {
  const pod = podOf(deployment(profile, name));
  if (!pod) throw new Error(`the deployment of ${name} has no pod`);
  return pod;
};

interface ServicePort {
  readonly port: number;
  readonly targetPort: number;
  readonly appProtocol: string;
}
const portsOf = (spec: KubeObject['spec']): readonly ServicePort[] =>
  (spec?.['ports'] ?? []) as readonly ServicePort[];

describe('pods of the chart', () => {
  it.each(profiles)('all may run where PodSecurity is restricted, and write only to /tmp: %s', (profile) => {
    const pods = (objects[profile] ?? []).flatMap((object) => podOf(object) ?? []);
    expect(pods.length).toBeGreaterThanOrEqual(names.length + 2);
    expect(pods.flatMap((pod) => restrictions(pod))).toEqual([]);
  });

  it('would be found out if they asked for more', () => {
    const container = { name: 'c', image: 'i' };
    expect(
      restrictions({ hostNetwork: true, volumes: [{ name: 'v', hostPath: {} }], containers: [container] }),
    ).toEqual([
      'uses namespaces of the node',
      'volume hostPath',
      'c may run as root',
      'c has no seccomp profile',
      'c may gain privileges',
      'c keeps capabilities',
      'c can write its root file system',
    ]);
  });

  it.each(names)('of %s have an identity of their own and no token for the API server', (name) => {
    const pod = podOfService('default', name);
    expect(pod).toMatchObject({ serviceAccountName: `skein-${name}`, automountServiceAccountToken: false });
    const account = ofKind('default', 'ServiceAccount').find(
      ({ metadata }) => metadata.name === `skein-${name}`,
    );
    expect(account).toMatchObject({ automountServiceAccountToken: false });
  });

  it.each(names)('of %s are probed by gRPC health on the number of the port', (name) => {
    const [container] = podOfService('default', name).containers;
    const probe = { grpc: { port: 50051 } };
    expect(container).toMatchObject({ startupProbe: probe, readinessProbe: probe, livenessProbe: probe });
  });

  it('get as long to end as serving on, draining and stopping take', async () => {
    const { output } = await render(
      '--values',
      profileValues('default'),
      '--set',
      'rollout.endpointSeconds=7,rollout.drainSeconds=40',
    );
    const pods = objectsOf(output)
      .filter(({ kind }) => kind === 'Deployment')
      .flatMap((one) => podOf(one) ?? []);
    expect(pods).toHaveLength(names.length);
    for (const pod of pods) {
      expect(pod.terminationGracePeriodSeconds).toBe(47);
      expect(pod.containers[0]?.lifecycle?.preStop?.sleep?.seconds).toBe(7);
    }
  });

  it('read no secret but their own', () => {
    const secretsOf = (name: string) =>
      (podOfService('ha', name).containers[0]?.env ?? [])
        .filter(({ valueFrom }) => JSON.stringify(valueFrom ?? {}).includes('secretKeyRef'))
        .map((one) => one.name)
        .sort();
    expect(Object.fromEntries(names.map((name) => [name, secretsOf(name)]))).toEqual({
      // The token in CONFIG_URL may read settings, no more; what is secret is never among them.
      agent: ['AGENT_MODEL_KEY', 'CONFIG_URL', 'DATABASE_URL', 'INTERNAL_SECRET'],
      auth: ['AUTH_MASTER_KEY', 'CONFIG_URL', 'DATABASE_URL', 'INTERNAL_SECRET'],
      gateway: ['CONFIG_URL', 'INTERNAL_SECRET'],
      'session-sync': ['CONFIG_URL', 'DATABASE_URL', 'INTERNAL_SECRET'],
      user: ['CONFIG_URL', 'DATABASE_URL', 'INTERNAL_SECRET'],
    });
  });

  it('are replaced when a setting or a secret given inline changes, and not when only the chart does', async () => {
    const checksums = async (...args: string[]) => {
      const { output } = await render('--values', profileValues('minimal'), ...args);
      const [agent] = objectsOf(output).filter(
        ({ metadata, kind }) => kind === 'Deployment' && metadata.name === 'skein-agent',
      );
      return JSON.stringify((agent?.spec?.['template'] as { metadata: unknown } | undefined)?.metadata);
    };
    const before = await checksums();
    expect(await checksums('--set', 'services.agent.config.LOG_LEVEL=debug')).not.toBe(before);
    expect(await checksums('--set', `internalSecret.value=${'y'.repeat(32)}`)).not.toBe(before);
    expect(await checksums('--set', 'services.user.config.LOG_LEVEL=debug')).toBe(before);
    expect(before).not.toContain('helm.sh/chart');
  });

  it('are replaced without one too few, gateways all at once', () => {
    const strategies = names.map((name) => [name, deployment('ha', name).spec?.['strategy']]);
    const rolling = (maxSurge: string) => ({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 0, maxSurge },
    });
    expect(strategies).toEqual(names.map((name) => [name, rolling(name === 'gateway' ? '100%' : '25%')]));
  });

  it('are pinned by digest where one is given', () => {
    expect(podOfService('ha', 'auth').containers[0]?.image).toBe(
      `registry.example.org/skein/auth:0.1.0@sha256:${'0'.repeat(64)}`,
    );
    expect(podOfService('default', 'auth').containers[0]?.image).toBe('skein/auth:0.1.0');
  });

  it('have a budget for disruptions only where there are several', () => {
    expect(ofKind('default', 'PodDisruptionBudget')).toEqual([]);
    expect(ofKind('ha', 'PodDisruptionBudget')).toHaveLength(names.length);
  });

  it('are counted by the autoscaler where there is one, and by nobody else', () => {
    expect(ofKind('ha', 'HorizontalPodAutoscaler').map(({ metadata }) => metadata.name)).toEqual([
      'skein-gateway',
      'skein-session-sync',
    ]);
    expect(deployment('ha', 'gateway').spec).not.toHaveProperty('replicas');
    expect(deployment('ha', 'auth').spec).toHaveProperty('replicas', 3);
  });
});

describe('services of the chart', () => {
  it.each(profiles)('declare their protocol, and port and target are the same: %s', (profile) => {
    const all = ofKind(profile, 'Service');
    expect(all.length).toBeGreaterThanOrEqual(names.length);
    for (const { spec } of all) {
      for (const port of portsOf(spec)) {
        expect(port.targetPort).toBe(port.port);
        expect(['grpc', 'http']).toContain(port.appProtocol);
      }
    }
  });
});
