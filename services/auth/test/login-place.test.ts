import { describe, expect, it } from 'vitest';
import { deviceFaults, deviceLimits, isUnusual, networkOf, placeOf } from '../src/domain/login-place.ts';
import { loginScopes, refusedScopes } from '../src/domain/scopes.ts';

describe('the place of a login', () => {
  it('is the device, or platform and network of a client without one', () => {
    expect(placeOf({ id: 'phone', platform: 'ios', name: '' }, '192.0.2.1')).toBe('device:phone');
    expect(placeOf({ id: '', platform: 'cli', name: '' }, '192.0.2.1')).toBe('platform:cli 192.0.2.0/24');
    expect(placeOf({ id: '', platform: '', name: '' }, '')).toBe('platform:unknown');
  });

  it.each([
    ['192.0.2.77', '192.0.2.0/24'],
    ['::ffff:192.0.2.77', '192.0.2.0/24'],
    ['2001:db8:0001:2::77', '2001:db8:1::/48'],
    ['2001:DB8:1:ffff:1:2:3:4', '2001:db8:1::/48'],
    ['fe80::1%eth0', 'fe80:0:0::/48'],
    ['::1', '0:0:0::/48'],
    ['1::2::3', ''],
    ['2001:db8:1:2:3:4:5:6:7', ''],
    ['not an address', ''],
  ])('takes the network of %s to be %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });

  it('is unusual when it is new and others are known', () => {
    expect(isUnusual({ thisPlace: false, otherPlaces: true })).toBe(true);
    expect(isUnusual({ thisPlace: true, otherPlaces: true })).toBe(false);
    expect(isUnusual({ thisPlace: false, otherPlaces: false })).toBe(false);
  });

  it('has bounds', () => {
    const fits = { id: 'x'.repeat(deviceLimits.id), platform: 'web', name: 'Ada’s phone' };
    expect(deviceFaults(fits)).toEqual([]);
    const faults = deviceFaults({ id: `${fits.id}x`, platform: 'a\nb', name: 'x'.repeat(101) });
    expect(faults.map(({ path }) => path)).toEqual(['device.id', 'device.platform', 'device.name']);
  });
});

describe('scopes', () => {
  it('of a login are everything its person may do', () => {
    expect(loginScopes('ada@example.org', 'root@example.org')).toEqual(['session']);
    expect(loginScopes('root@example.org', 'root@example.org')).toEqual(['session', 'operator']);
    expect(loginScopes('ada@example.org', '')).toEqual(['session']);
  });

  it('of a token are at most those of its maker; what reaches other people is for operators', () => {
    expect(refusedScopes(['session'], ['session', 'documents:read'])).toEqual([]);
    expect(refusedScopes(['session'], ['channel', 'service', 'operator', 'root'])).toEqual([
      'channel',
      'service',
      'operator',
      'root',
    ]);
    expect(refusedScopes(['session', 'operator'], ['channel', 'service', 'operator'])).toEqual([]);
    expect(refusedScopes(['messages:write'], ['messages:write'])).toEqual(['messages:write']);
  });
});
