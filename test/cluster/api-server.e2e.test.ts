import { beforeAll, describe, expect, it } from 'vitest';
import { chart, profiles, profileValues } from '../mesh/support/paths.ts';
import { ensureCustomResources } from './support/custom-resources.ts';
import { ask, must } from './support/program.ts';
import { plain, platformManifests } from './support/stack.ts';
import { useStack } from './support/use-stack.ts';

useStack(plain);

/** What the API server says of objects that it is asked to take, but not to keep: one line for each. */
const dryRun = async (manifests: string): Promise<{ ok: boolean; warnings: string[]; refused: string[] }> => {
  const args = ['apply', '--server-side', '--force-conflicts', '--field-manager=test', '--dry-run=server'];
  const { ok, stderr } = await ask('kubectl', [...args, '-f', '-'], { input: manifests });
  const lines = stderr.trim().split('\n').filter(Boolean);
  return {
    ok,
    warnings: lines.filter((line) => line.startsWith('Warning:')),
    refused: lines.filter((line) => !line.startsWith('Warning:')),
  };
};

const accepted = { ok: true, warnings: [], refused: [] };

beforeAll(ensureCustomResources, 180_000);

describe('the API server', () => {
  it.each(profiles)('takes every object of the profile %s, without a warning', async (profile) => {
    // Without the pod of "helm test", which wants its ServiceAccount to be there.
    const args = ['template', 'dry', chart, '--skip-tests', '-n', plain.namespace];
    args.push('--values', profileValues(profile));
    expect(await dryRun(await must('helm', args))).toEqual(accepted);
  });

  it.each(['k8s', 'istio'] as const)('takes the components of %s, without a warning', async (manifests) => {
    expect(await dryRun(await platformManifests({ ...plain, manifests }))).toEqual(accepted);
  });

  it('would have warned of a pod that is not restricted', async () => {
    const pod = {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'dry', namespace: plain.namespace } },
      spec: {
        selector: { matchLabels: { app: 'dry' } },
        template: {
          metadata: { labels: { app: 'dry' } },
          spec: { containers: [{ name: 'dry', image: 'dry:1', securityContext: { privileged: true } }] },
        },
      },
    };
    const { ok, warnings } = await dryRun(JSON.stringify(pod));
    expect(ok).toBe(true);
    expect(warnings.join()).toContain('would violate PodSecurity "restricted:latest": privileged');
  });
});
