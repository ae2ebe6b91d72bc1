export { type ConsulDiscoveryOptions, consulDiscovery } from './consul-discovery.ts';
