import { describe, expect, test } from 'vitest';
import { staticDiscovery } from '../src/index.ts';
import { testDiscovery } from '../src/testing.ts';

testDiscovery('static', { dynamic: false }, async (instances) => {
  const addresses = instances.map(({ host, port }) => `${host}:${port}`).join(';');
  return {
    discovery: staticDiscovery(instances.length === 0 ? 'static:' : `static:echo=${addresses}`),
    stop: async () => {},
  };
});

describe('the list', () => {
  test('services are apart by commas, instances by semicolons', () => {
    const discovery = staticDiscovery('static:auth=127.0.0.1:7001,user=127.0.0.1:7002;127.0.0.1:7003');
    expect(discovery.target('auth')).toBe('ipv4:127.0.0.1:7001');
    expect(discovery.target('user')).toBe('ipv4:127.0.0.1:7002,127.0.0.1:7003');
  });

  test('a name and an IPv6 address work too', () => {
    const discovery = staticDiscovery('static:auth=auth.internal:7001,user=[::1]:7002');
    expect(discovery.target('auth')).toBe('dns:///auth.internal:7001');
    expect(discovery.target('user')).toBe('ipv6:[::1]:7002');
  });

  test.each([
    ['auth=127.0.0.1:7001', 'starts with static:'],
    ['static:auth', 'is not service=host:port'],
    ['static:auth=127.0.0.1', 'is not host:port'],
    ['static:auth=127.0.0.1:70000', 'is not host:port'],
    ['static:auth=127.0.0.1:0', 'is not host:port'],
    ['static:auth=127.0.0.1:1,auth=127.0.0.1:2', 'listed twice'],
    ['static:auth=one:1;two:2', 'all be IPv4'],
  ])('%s is refused with a sentence', (url, sentence) => {
    expect(() => staticDiscovery(url)).toThrow(sentence);
  });
});
