export { type LocalMesh, type LocalMeshOptions, localMesh } from './local-mesh.ts';
export { type ServiceName, serviceNames } from './ports.ts';
export type { SupervisedProcess } from './supervised-process.ts';
export type { TraceSink } from './trace-sink.ts';
export { type SinkSpan, traceTree } from './trace-tree.ts';
