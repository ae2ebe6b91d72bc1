import { ensureCustomResources } from '../support/custom-resources.ts';
import { ensureNamespaces } from '../support/namespaces.ts';
import { ensureInstalled } from '../support/stack.ts';
import { ensureControlPlane } from './control-plane.ts';
import { ensureIngress } from './ingress.ts';
import { mesh, outside } from './mesh.ts';

/** Installs what is not there of the mesh: a control plane, a way in, a place outside of it, and the stack in it. */
export const ensureMesh = async (): Promise<void> => {
  await ensureCustomResources();
  await ensureControlPlane();
  await ensureIngress();
  await ensureNamespaces(outside);
  await ensureInstalled(mesh);
};
