import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type KubeObject, objectsOfFiles } from './support/helm.ts';
import { root } from './support/paths.ts';
import { podOf, restrictions } from './support/pods.ts';

const folder = join(root, 'k8s');
const files = readdirSync(folder).filter((file) => file.endsWith('.yaml') && file !== 'kustomization.yaml');
let objects: readonly KubeObject[] = [];

beforeAll(async () => {
  objects = await objectsOfFiles(files.map((file) => join(folder, file)));
});

describe('the components for trying out', () => {
  it('are all in the kustomization', () => {
    const listed = readFileSync(join(folder, 'kustomization.yaml'), 'utf8');
    for (const file of files) expect(listed).toContain(`  - ${file}\n`);
  });

  it('are the images that "npm run images" can stand in for, by the same names', () => {
    const standIns: Record<string, { image: string; user: string }> = JSON.parse(
      readFileSync(join(root, 'images', 'components.json'), 'utf8'),
    );
    const wanted = Object.values(standIns).map(({ image, user }) => `${image} as ${user}`);
    const used = objects.flatMap((object) => {
      const pod = podOf(object);
      const { runAsUser, runAsGroup } = { runAsGroup: 0, ...pod?.securityContext };
      return (pod?.containers ?? []).map(({ image }) => `${image} as ${runAsUser}:${runAsGroup}`);
    });
    expect(used.sort()).toEqual(wanted.sort());
  });

  it('may run where PodSecurity is restricted, as their namespaces demand', () => {
    expect(objects.flatMap((object) => podOf(object) ?? []).flatMap((pod) => restrictions(pod))).toEqual([]);
    const namespaces = objects.filter(({ kind }) => kind === 'Namespace');
    expect(namespaces.map(({ metadata }) => metadata.name)).toEqual(['skein', 'skein-platform']);
    for (const { metadata } of namespaces) {
      expect(metadata.labels).toHaveProperty(['pod-security.kubernetes.io/enforce'], 'restricted');
    }
  });

  it('stop Postgres fast: a smart shutdown waits out the whole grace period for clients that stay', () => {
    const pods = objects
      .filter(({ metadata }) => metadata.name === 'postgres')
      .flatMap((one) => podOf(one) ?? []);
    expect(pods.map(({ containers }) => containers[0]?.lifecycle)).toEqual([
      { preStop: { exec: { command: ['sh', '-c', 'kill -INT 1'] } } },
    ]);
  });

  it('say the protocol of every port: NATS speaks first, and a mesh must not wait for the client', () => {
    const ports = objects
      .filter(({ kind }) => kind === 'Service')
      .flatMap(({ metadata, spec }) =>
        ((spec?.['ports'] ?? []) as { port: number; targetPort: number; appProtocol?: string }[]).map(
          ({ port, targetPort, appProtocol }) => ({ name: metadata.name, port, targetPort, appProtocol }),
        ),
      );
    expect(ports.map(({ name, port, appProtocol }) => `${name} ${port} ${appProtocol}`)).toEqual([
      'consul 8500 http',
      'nats 4222 tcp',
      'otel-collector 4317 grpc',
      'otel-collector 4318 http',
      'postgres 5432 tcp',
    ]);
    expect(ports.filter(({ port, targetPort }) => port !== targetPort)).toEqual([]);
  });
});

describe('the mesh for trying out', () => {
  const values = (path: string): unknown => parse(readFileSync(join(root, path), 'utf8'));

  it('has the providers that the profile istio names, repeats nothing and refuses what it does not know', () => {
    const { meshConfig, env } = values('istio/istiod-values.yaml') as {
      meshConfig: { extensionProviders: { name: string }[] };
      env: Record<string, string>;
    };
    const { istio } = values('helm/skein/ci/istio-values.yaml') as {
      istio: { telemetry: { tracingProvider: string; accessLogProvider: string }; jwt: { keys: string } };
    };
    const names = meshConfig.extensionProviders.map(({ name }) => name);
    expect(names).toContain(istio.telemetry.tracingProvider);
    expect(names).toContain(istio.telemetry.accessLogProvider);
    expect(env).toMatchObject({ PILOT_JWT_ENABLE_REMOTE_JWKS: istio.jwt.keys });
    expect(meshConfig).toMatchObject({
      outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
      defaultHttpRetryPolicy: { attempts: 0 },
    });
  });

  it('logs no query of a path: a ticket may be in it', () => {
    const text = readFileSync(join(root, 'istio', 'istiod-values.yaml'), 'utf8');
    expect(text).toContain('%REQ_WITHOUT_QUERY(');
    expect(text).not.toMatch(/%REQ\([^)]*PATH/);
  });
});
