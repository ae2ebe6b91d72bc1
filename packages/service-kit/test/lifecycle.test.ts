import { AppError } from '@skein/contracts';
import { describe, expect, it } from 'vitest';
import { lifecycle, type Service } from '../src/index.ts';

const stage = () => {
  const said: string[] = [];
  const part = (id: string, over: Partial<Service> = {}): Service => ({
    id,
    run: async () => void said.push(`run ${id}`),
    drain: async () => void said.push(`drain ${id}`),
    stop: async () => void said.push(`stop ${id}`),
    ...over,
  });
  return { said, part };
};

describe('a lifecycle', () => {
  it('starts in order, drains everything before it stops anything, both in reverse', async () => {
    const { said, part } = stage();
    const whole = lifecycle('all', [part('database'), part('server')]);
    await whole.run();
    await whole.drain?.();
    await whole.stop();
    expect(said).toEqual([
      'run database',
      'run server',
      'drain server',
      'drain database',
      'stop server',
      'stop database',
    ]);
  });

  it('stops what was started when a later part fails, and passes the failure on', async () => {
    const { said, part } = stage();
    const failing = part('server', { run: () => Promise.reject(new Error('port taken')) });
    await expect(lifecycle('all', [part('database'), failing, part('never')]).run()).rejects.toThrow(
      'port taken',
    );
    expect(said).toEqual(['run database', 'stop server', 'stop database']);
  });

  it('goes on stopping when one part fails to, and tells of it', async () => {
    const { said, part } = stage();
    const told: string[] = [];
    const stubborn = part('server', { stop: () => Promise.reject(new Error('stuck')) });
    const whole = lifecycle('all', [part('database'), stubborn], { onError: (id) => told.push(id) });
    await whole.run();
    await whole.stop();
    expect(said.at(-1)).toBe('stop database');
    expect(told).toEqual(['server']);
  });

  it('does not wait for a part that never drains', async () => {
    const { said, part } = stage();
    const told: string[] = [];
    const hanging = part('server', { drain: () => new Promise(() => {}) });
    const whole = lifecycle('all', [part('database'), hanging], {
      drainTimeoutMs: 20,
      onError: (id) => told.push(id),
    });
    await whole.run();
    await whole.drain?.();
    expect(told).toContain('server');
    expect(said).toContain('drain database');
  });

  it('stops once however often it is asked', async () => {
    const { said, part } = stage();
    const whole = lifecycle('all', [part('server')]);
    await whole.run();
    await Promise.all([whole.stop(), whole.stop()]);
    expect(said.filter((line) => line === 'stop server')).toHaveLength(1);
  });

  it('checks all parts at once, starts none, and tells everything when one finds fault', async () => {
    const { said, part } = stage();
    const whole = (...parts: Service[]) => lifecycle('all', parts);
    const database = part('database', { check: async (waitMs) => `database reached within ${waitMs} ms` });
    const bus = part('bus', {
      check: () => Promise.reject(new AppError('unavailable', 'bus away: start it')),
    });
    expect(await whole(database, part('server')).check?.(10)).toBe('database reached within 10 ms');
    await expect(whole(bus, part('server'), whole(database)).check?.(10)).rejects.toThrow(
      /^bus away: start it\ndatabase reached within 10 ms$/,
    );
    expect(said).toEqual([]);
  });
});
