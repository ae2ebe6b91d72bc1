import type { Discovery } from './discovery.ts';

const entry = /^([a-z][a-z0-9-]*)=(.+)$/;
const address = /^(\[[0-9a-fA-F:.]+\]|[^[\]:/]+):(\d{1,5})$/;
const ipv4 = /^\d{1,3}(\.\d{1,3}){3}$/;

const targetOf = (service: string, addresses: readonly string[]): string => {
  const hosts = addresses.map((one) => {
    const [, host = '', port = ''] = address.exec(one) ?? [];
    if (host === '' || Number(port) < 1 || Number(port) > 65_535) {
      throw new TypeError(`the address ${JSON.stringify(one)} of ${service} is not host:port`);
    }
    return host;
  });
  if (hosts.every((host) => ipv4.test(host))) return `ipv4:${addresses.join(',')}`;
  if (hosts.every((host) => host.startsWith('['))) return `ipv6:${addresses.join(',')}`;
  if (addresses.length === 1) return `dns:///${addresses[0]}`;
  throw new TypeError(`${service} has several addresses: they must all be IPv4 or all be [IPv6]`);
};

/**
 * A fixed list: `static:auth=127.0.0.1:7001,user=127.0.0.1:7002;127.0.0.1:7003` (services apart by commas, several
 * instances of one by semicolons). An instance that is away is skipped by the client until it is back. Throws a
 * sentence for a list it cannot read, and for a service that is not in it.
 */
export const staticDiscovery = (url: string): Discovery => {
  if (!url.startsWith('static:')) throw new TypeError('a static list starts with static:');
  const targets = new Map<string, string>();
  for (const item of url.slice('static:'.length).split(',')) {
    if (item.trim() === '') continue;
    const [, service = '', addresses = ''] = entry.exec(item.trim()) ?? [];
    if (service === '') throw new TypeError(`${JSON.stringify(item)} is not service=host:port`);
    if (targets.has(service)) throw new TypeError(`${service} is listed twice; join its addresses with ;`);
    targets.set(service, targetOf(service, addresses.split(';')));
  }
  return {
    id: 'discovery',
    run: async () => {},
    stop: async () => {},
    target: (service) => {
      const target = targets.get(service);
      if (target === undefined) throw new TypeError(`names no address of ${service}`);
      return target;
    },
    // The list is fixed: there is nobody to tell.
    register: ({ id }) => ({ id: `registration ${id}`, run: async () => {}, stop: async () => {} }),
  };
};
