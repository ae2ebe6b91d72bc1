export type { Discovery, Instance } from './discovery.ts';
export { staticDiscovery } from './static-discovery.ts';
