import { expect, it, vi } from 'vitest';
import { keptComponent } from '../src/kept-component.ts';

/** Lives that a test ends by hand. */
const factory = () => {
  const lives: { readonly die: () => void; stopped: boolean }[] = [];
  const failing = { times: 0 };
  let gate: Promise<void> = Promise.resolve();
  const start = async () => {
    if (failing.times-- > 0) throw new Error('the port is taken');
    const exited = Promise.withResolvers<void>();
    const life = { die: exited.resolve, stopped: false };
    await gate;
    lives.push(life);
    const stop = async () => {
      life.stopped = true;
      exited.resolve();
    };
    return { id: lives.length, exited: exited.promise, stop };
  };
  return { lives, failing, start, hold: (until: Promise<void>) => (gate = until) };
};

const stage = () => {
  vi.useFakeTimers();
  const made = factory();
  const told: string[] = [];
  const kept = keptComponent('consul', made.start, (line) => told.push(line));
  return { ...made, told, kept, [Symbol.dispose]: () => vi.useRealTimers() };
};

it('starts a component again when it dies', async () => {
  using at = stage();
  await at.kept.run();
  at.lives[0]?.die();
  await vi.advanceTimersByTimeAsync(500);
  expect(at.kept.current()?.id).toBe(2);
  expect(at.told).toEqual(['ended, starting it again in 500 ms']);
});

it('tries again at the same pace for as long as it cannot be started', async () => {
  using at = stage();
  await at.kept.run();
  at.failing.times = 3;
  at.lives[0]?.die();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(at.lives).toHaveLength(2);
  expect(at.told.filter((line) => line === 'could not be started: the port is taken')).toHaveLength(3);
});

it('fails its first start at once', async () => {
  using at = stage();
  at.failing.times = 1;
  await expect(at.kept.run()).rejects.toThrow('the port is taken');
  await at.kept.stop();
  expect(vi.getTimerCount()).toBe(0);
});

it('stays down between pause and resume, and for good after stop', async () => {
  using at = stage();
  await at.kept.run();
  await at.kept.pause();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(at.lives.map((life) => life.stopped)).toEqual([true]);
  await at.kept.resume();
  expect(at.lives).toHaveLength(2);
  at.lives[1]?.die();
  await at.kept.stop();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(at.lives).toHaveLength(2);
});

it('stops a life too that was being born when it was asked to stop', async () => {
  using at = stage();
  const gate = Promise.withResolvers<void>();
  at.hold(gate.promise);
  const running = at.kept.run();
  const stopping = at.kept.stop();
  gate.resolve();
  await Promise.all([running, stopping]);
  expect(at.lives.map((life) => life.stopped)).toEqual([true]);
});
