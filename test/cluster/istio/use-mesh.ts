import { beforeAll } from 'vitest';
import { ensureCustomResources } from '../support/custom-resources.ts';
import { must } from '../support/program.ts';
import { useStack } from '../support/use-stack.ts';
import { ensureControlPlane } from './control-plane.ts';
import { ensureIngress } from './ingress.ts';
import { mesh, outside } from './mesh.ts';

const applyNamespace = (name: string, labels: Readonly<Record<string, string>>): Promise<string> =>
  must('kubectl', ['apply', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }),
  });

/** The tests of a file need the mesh: a control plane, the stack in it, a way in, and a place outside of it. */
export const useMesh = (): void => {
  beforeAll(async () => {
    await ensureCustomResources();
    await ensureControlPlane();
    await ensureIngress();
    await applyNamespace(outside, {});
  }, 600_000);
  useStack(mesh);
};
