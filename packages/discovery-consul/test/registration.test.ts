import { createLogger } from '@skein/telemetry';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ConsulApi } from '../src/consul-api.ts';
import { registrationPart } from '../src/registration.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

const agent = () => {
  const calls: string[] = [];
  const state = { away: false, known: false };
  const ask = async (name: string) => {
    calls.push(name);
    if (state.away) throw new Error('connect ECONNREFUSED');
  };
  const api: ConsulApi = {
    passing: () => Promise.reject(new Error('not asked for here')),
    register: async () => {
      await ask('register');
      state.known = true;
    },
    beat: async () => {
      await ask('beat');
      return state.known;
    },
    deregister: async () => {
      await ask('deregister');
      state.known = false;
    },
  };
  const part = registrationPart({
    api,
    registration: {
      service: 'auth',
      id: 'auth-1',
      address: { host: '127.0.0.1', port: 7001 },
      ttlMs: 9_000,
      forgetMs: 60_000,
    },
    log,
    random: () => 0.5,
  });
  return { calls, state, part };
};

test('registers at once and beats every third of its time to live', async () => {
  const { calls, part } = agent();
  await part.run();
  expect(calls).toEqual(['register']);
  await vi.advanceTimersByTimeAsync(9_000);
  expect(calls).toEqual(['register', 'beat', 'beat', 'beat']);
  await part.stop();
});

test('an agent that has forgotten it gets it again with the next beat', async () => {
  const { calls, state, part } = agent();
  await part.run();
  state.known = false;
  await vi.advanceTimersByTimeAsync(3_000);
  expect(calls).toEqual(['register', 'beat', 'register']);
  expect(state.known).toBe(true);
  await part.stop();
});

test('a Consul that is away at the start delays nothing, and is never given up', async () => {
  const { calls, state, part } = agent();
  state.away = true;
  await part.run();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(calls.length).toBeGreaterThan(1_000);
  state.away = false;
  await vi.advanceTimersByTimeAsync(2_000);
  expect(state.known).toBe(true);
  await part.stop();
});

test('draining ends the beats before it deregisters, once', async () => {
  const { calls, part } = agent();
  await part.run();
  await part.drain?.();
  await part.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(calls).toEqual(['register', 'deregister']);
  expect(vi.getTimerCount()).toBe(0);
});

test('a beat in hand is waited for: it cannot bring back what was deregistered', async () => {
  const { calls, state, part } = agent();
  await part.run();
  state.known = false;
  vi.advanceTimersByTime(3_000);
  await part.drain?.();
  expect(calls.at(-1)).toBe('deregister');
  expect(state.known).toBe(false);
});

test('a Consul that is away does not keep a process from stopping', async () => {
  const { state, part } = agent();
  await part.run();
  state.away = true;
  await part.drain?.();
  await part.stop();
});

test('beats of different instances do not fall together', async () => {
  const times = [0, 0.999].map((random) => {
    const beats: number[] = [];
    const api: ConsulApi = {
      passing: () => Promise.reject(new Error('not asked for here')),
      register: async () => {},
      beat: async () => {
        beats.push(Date.now());
        return true;
      },
      deregister: async () => {},
    };
    const registration = {
      service: 'auth',
      id: 'auth-1',
      address: { host: '127.0.0.1', port: 1 },
      ttlMs: 9_000,
      forgetMs: 60_000,
    };
    return { beats, part: registrationPart({ api, registration, log, random: () => random }) };
  });
  for (const { part } of times) await part.run();
  await vi.advanceTimersByTimeAsync(3_600);
  expect((times[1]?.beats[0] ?? 0) - (times[0]?.beats[0] ?? 0)).toBeGreaterThan(1_000);
  for (const { part } of times) await part.stop();
});
