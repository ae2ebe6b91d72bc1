import { beforeAll } from 'vitest';
import { useStack } from '../support/use-stack.ts';
import { ensureMesh } from './ensure-mesh.ts';
import { mesh } from './mesh.ts';
import { untilOpen } from './way-in.ts';

/** Making the mesh from nothing, with all that is waited for. */
const meshMs = 25 * 60_000;

/** The tests of a file need the mesh, and people let in. */
export const useMesh = (): void => {
  beforeAll(ensureMesh, meshMs);
  useStack(mesh);
  beforeAll(untilOpen, 180_000);
};
