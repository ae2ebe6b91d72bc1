import { requireCluster } from './cluster.ts';

/** Before any test: a missing cluster is one fault, not one of every file. */
export default (): Promise<void> => requireCluster();
