import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { componentPath } from '@skein/components';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { golden, profiles, root } from './support/paths.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-schemas-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What kubeconform says about files, by schemas of ours alone; empty when every object is known and right. */
const faults = async (...files: readonly string[]): Promise<string> => {
  const location = join(
    await componentPath('kubernetes-schemas'),
    '{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json',
  );
  const args = ['-strict', '-schema-location', location, ...files];
  try {
    await promisify(execFile)(await componentPath('kubeconform'), args, { timeout: 60_000 });
    return '';
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string } & Error;
    return stdout + stderr || message;
  }
};

const manifest = async (text: string): Promise<string> => {
  const file = join(folder, 'one.yaml');
  await writeFile(file, text);
  return file;
};

describe('by the schemas of Kubernetes, Istio, the Gateway API and the Prometheus operator', () => {
  it.each(profiles)('every object of the profile %s is right, without a field too many', async (profile) => {
    expect(await faults(golden(profile))).toBe('');
  });

  it('so are the components for trying out, their policies in the mesh, and the way into it', async () => {
    const names = ['namespaces', 'network', 'nats', 'consul', 'postgres', 'otel-collector'];
    const files = names.map((name) => join(root, 'k8s', `${name}.yaml`));
    const inMesh = ['platform/policies.yaml', 'ingress/gateway.yaml'].map((one) => join(root, 'istio', one));
    expect(await faults(...files, ...inMesh)).toBe('');
  });

  it('a field that does not exist would be found', async () => {
    const service = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { selectors: { app: a } }\n';
    expect(await faults(await manifest(service))).toContain("additional properties 'selectors' not allowed");
    const rule = 'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: a }\n';
    expect(await faults(await manifest(`${rule}spec: { host: a, trafficPolicy: { tsl: {} } }\n`))).toContain(
      "additional properties 'tsl' not allowed",
    );
    expect(
      await faults(await manifest(`${rule}spec: { host: a, trafficPolicy: { tls: { mode: LOOSE } } }\n`)),
    ).toContain('value must be one of');
  });

  it('so would a kind that does not exist', async () => {
    const text = 'apiVersion: security.istio.io/v1\nkind: PeerAuthorization\nmetadata: { name: a }\n';
    expect(await faults(await manifest(text))).toContain('could not find schema for PeerAuthorization');
  });
});
