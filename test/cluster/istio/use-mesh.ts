import { beforeAll } from 'vitest';
import { ensureCustomResources } from '../support/custom-resources.ts';
import { ensureNamespaces } from '../support/namespaces.ts';
import { useStack } from '../support/use-stack.ts';
import { ensureControlPlane } from './control-plane.ts';
import { ensureIngress } from './ingress.ts';
import { mesh, outside } from './mesh.ts';

/** The tests of a file need the mesh: a control plane, the stack in it, a way in, and a place outside of it. */
export const useMesh = (): void => {
  beforeAll(async () => {
    await ensureCustomResources();
    await ensureControlPlane();
    await ensureIngress();
    await ensureNamespaces(outside);
  }, 600_000);
  useStack(mesh);
};
