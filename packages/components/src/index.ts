/** The real components of the mesh: where each one is, and how to run one. */
export type { ComponentName } from './catalogue.ts';
export { componentPath } from './locate.ts';
export { dumpPostgres, restorePostgres } from './postgres-dump.ts';
export { type ConsulAgent, type ConsulOptions, type ConsulPorts, startConsul } from './start-consul.ts';
export { type NatsOptions, type NatsPorts, type NatsServer, startNats } from './start-nats.ts';
