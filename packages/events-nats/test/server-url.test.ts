import { expect, test } from 'vitest';
import { readServerUrl } from '../src/index.ts';

test.each([
  ['nats://one:4222', { servers: ['one:4222'] }],
  ['nats://[::1]:4222', { servers: ['[::1]:4222'] }],
  ['nats://a:4222, nats://b:4223', { servers: ['a:4222', 'b:4223'] }],
  ['nats://skein:p%40ss%3A@a:4222', { servers: ['a:4222'], user: 'skein', pass: 'p@ss:' }],
  ['nats://s3cr3t@a:4222', { servers: ['a:4222'], token: 's3cr3t' }],
  ['nats://u:p@a:1,nats://b:2', { servers: ['a:1', 'b:2'], user: 'u', pass: 'p' }],
  ['tls://u:p@a:1,tls://u:p@b:2', { servers: ['a:1', 'b:2'], user: 'u', pass: 'p', tls: {} }],
])('%s says where the servers are and how to be let in', (url, address) => {
  expect(readServerUrl(url)).toEqual(address);
});

test.each([
  ['nats://', 'server 1 is not nats://host:port or tls://host:port'],
  ['nats://a:1,http://b', 'server 2 is not nats://host:port or tls://host:port'],
  ['nats://u:canary@a:99999', 'server 1 is not nats://host:port or tls://host:port'],
  ['nats://a:1,tls://b:1', 'the servers must all be nats: or all be tls:'],
  ['nats://u:canary@a:1,nats://v:canary@b:1', 'the servers must all have the same credentials'],
])('%s is refused with a sentence that repeats no credential', (url, sentence) => {
  expect(() => readServerUrl(url)).toThrow(new TypeError(sentence));
});
