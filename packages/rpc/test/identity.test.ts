import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Actor, identity } from '../src/index.ts';
import { secret } from './fixture.ts';

const actor: Actor = {
  userId: 'u1',
  sessionId: 's1',
  tokenId: 't1',
  scopes: ['chat'],
  deviceId: 'd1',
  platform: 'web',
};

const clockAt = (start: number) => {
  let time = start;
  return {
    now: () => time,
    advance: (ms: number) => {
      time += ms;
    },
  };
};

const forge = (header: unknown, claims: unknown, key = secret): string => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
};
const header = { alg: 'HS256', typ: 'JWT' };
const claims = { iss: 'gateway', aud: 'skein-internal', exp: 2_000_000_000 };
const auth = identity({ service: 'auth', secret });

test('a token says which service calls and for whom', () => {
  const gateway = identity({ service: 'gateway', secret });
  expect(auth.verify(gateway.sign(actor))).toMatchObject({ caller: 'gateway', actor });
  expect(auth.verify(gateway.sign(undefined))).toMatchObject({ caller: 'gateway', actor: undefined });
});

test('a well-formed token made by hand is accepted: the refusals below are for their own reasons', () => {
  expect(auth.verify(forge(header, claims)).caller).toBe('gateway');
});

test.each([
  ['nothing', undefined],
  ['an empty text', ''],
  ['no token at all', 'hello'],
  ['another secret', forge(header, claims, 'another-secret-of-32-characters!!!!')],
  ['the algorithm "none"', `${forge({ alg: 'none', typ: 'JWT' }, claims).split('.').slice(0, 2).join('.')}.`],
  ['another algorithm', forge({ alg: 'HS512', typ: 'JWT' }, claims)],
  ['another audience', forge(header, { ...claims, aud: 'skein' })],
  ['an expired one', forge(header, { ...claims, exp: 1_000_000_000 })],
  ['a fourth part', `${forge(header, claims)}.x`],
  ['a cut signature', forge(header, claims).slice(0, -2)],
  ['an endless one', forge(header, { ...claims, pad: 'x'.repeat(10_000) })],
])('%s is refused', (_, token) => {
  expect(() => auth.verify(token)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
});

test('while the secret is being changed both are accepted, and the first one signs', () => {
  const next = 'the-next-secret-of-32-characters!!!!';
  const service = 'gateway';
  const steps = [
    identity({ service, secret }),
    identity({ service, secret, also: next }),
    identity({ service, secret: next, also: secret }),
    identity({ service, secret: next }),
  ];
  for (const [at, one] of steps.entries())
    for (const other of steps.slice(Math.max(0, at - 1), at + 2))
      expect(one.verify(other.sign(actor))).toMatchObject({ caller: 'gateway', actor });
  expect(() => steps[0]?.verify(steps[3]?.sign(actor))).toThrow(
    expect.objectContaining({ code: 'unauthenticated' }),
  );
  expect(() => identity({ service, secret, also: 'short' })).toThrow('at least 32');
});

test('changed claims do not fit the signature', () => {
  const [head, , signature] = forge(header, claims).split('.');
  const changed = Buffer.from(JSON.stringify({ ...claims, iss: 'auth' })).toString('base64url');
  expect(() => auth.verify(`${head}.${changed}.${signature}`)).toThrow();
});

test('a token that was accepted is refused once it has expired', () => {
  const clock = clockAt(1_000_000);
  const token = identity({ service: 'gateway', secret, clock }).sign(actor);
  const reader = identity({ service: 'auth', secret, clock });
  expect(reader.verify(token).caller).toBe('gateway');
  clock.advance(5 * 60_000 + 31_000);
  expect(() => reader.verify(token)).toThrow();
});

test('one token serves a person for a minute, then a new one', () => {
  const clock = clockAt(1_000_000);
  const gateway = identity({ service: 'gateway', secret, clock });
  const first = gateway.sign(actor);
  expect(gateway.sign(actor)).toBe(first);
  expect(gateway.sign({ ...actor })).toBe(first);
  expect(gateway.sign({ ...actor, userId: 'u2' })).not.toBe(first);
  clock.advance(60_000);
  expect(gateway.sign(actor)).not.toBe(first);
});

test('a short secret is not accepted', () => {
  expect(() => identity({ service: 'auth', secret: 'short' })).toThrow('32 characters');
});
