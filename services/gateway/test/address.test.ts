import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { addressBehind, addressKey } from '../src/http/address.ts';

const request = (peer: string, forwarded?: string) =>
  ({
    socket: { remoteAddress: peer },
    headers: { 'x-forwarded-for': forwarded },
  }) as unknown as IncomingMessage;

it('believes nobody without a proxy', () => {
  expect(addressBehind(0)(request('::ffff:192.0.2.1', '203.0.113.9'))).toBe('192.0.2.1');
});

it('tells of a proxy nobody was told to expect, once', () => {
  let told = 0;
  const count = () => {
    told += 1;
  };
  const behind = addressBehind(0, count);
  behind(request('10.0.0.1'));
  expect(told).toBe(0);
  for (const forwarded of ['203.0.113.9', '203.0.113.10']) behind(request('10.0.0.1', forwarded));
  expect(told).toBe(1);
  addressBehind(1, count)(request('10.0.0.1', '203.0.113.9'));
  expect(told).toBe(1);
});

it('counts exactly the configured proxies from the right, whatever the client wrote', () => {
  const seen = (hops: number, forwarded?: string) => addressBehind(hops)(request('10.0.0.1', forwarded));
  expect(seen(1, '203.0.113.9')).toBe('203.0.113.9');
  expect(seen(1, 'spoofed, 203.0.113.9')).toBe('203.0.113.9');
  expect(seen(2, 'spoofed, 203.0.113.9, 10.0.0.2')).toBe('203.0.113.9');
  expect(seen(2, '203.0.113.9'), 'fewer proxies than said').toBe('203.0.113.9');
  expect(seen(1)).toBe('10.0.0.1');
});

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['2001:0db8:0000:0001:aaaa:bbbb:cccc:dddd', '2001:db8:0:1'],
  ['::1', '0:0:0:0'],
  ['fe80::', 'fe80:0:0:0'],
])('counts %s as %s', (address, key) => {
  expect(addressKey(address)).toBe(key);
});
