export { consulConfigStore } from './consul-config-store.ts';
export { type ConsulDiscoveryOptions, consulDiscovery } from './consul-discovery.ts';
