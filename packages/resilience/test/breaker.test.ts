import { AppError, type Code } from '@skein/contracts';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Breaker, type BreakerOptions, type Breakers, breakers, bulkhead } from '../src/index.ts';

let open: Breakers[] = [];
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  for (const one of open) one.stop();
  open = [];
  vi.useRealTimers();
});

const breaker = (options: BreakerOptions = {}): Breaker => {
  const all = breakers({ random: () => 0.5, ...options });
  open.push(all);
  return all.breaker('probe');
};

const succeed = (one: Breaker) => one.run(async () => 'fine', { timeoutMs: 1_000 });
const fail = (one: Breaker, code: Code = 'unavailable') =>
  one.run(() => Promise.reject(new AppError(code)), { timeoutMs: 1_000 }).catch((error: unknown) => error);
const repeat = async (times: number, work: () => Promise<unknown>) => {
  for (let n = 0; n < times; n += 1) await work();
};
const openIt = async (one: Breaker) => {
  await repeat(20, () => fail(one));
  expect(one.state).toBe('open');
};
/** Outcomes reach the circuit a few microtasks after they were reported. */
const told = () => vi.advanceTimersByTimeAsync(0);
const untilHalfOpen = async (one: Breaker) => {
  await vi.advanceTimersByTimeAsync(2_000);
  expect(one.state).toBe('half_open');
};

test('one failure, or a few, do not open a circuit: there is a volume threshold', async () => {
  const one = breaker();
  await repeat(19, () => fail(one));
  expect(one.state).toBe('closed');
  await fail(one);
  expect(one.state).toBe('open');
});

test('an open circuit refuses at once, says for how long, and closes after a probe that succeeds', async () => {
  const states: string[] = [];
  const one = breaker({ onState: (_, state) => states.push(state) });
  await openIt(one);
  await vi.advanceTimersByTimeAsync(500);
  const work = vi.fn(async () => {});
  await expect(one.run(work, { timeoutMs: 1_000 })).rejects.toMatchObject({
    code: 'unavailable',
    retryAfterMs: 1_500,
  });
  expect(work).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1_500);
  await expect(succeed(one)).resolves.toBe('fine');
  expect(states).toEqual(['open', 'half_open', 'closed']);
});

test('half of the calls failing is not more than half', async () => {
  const one = breaker();
  await repeat(50, async () => {
    await succeed(one);
    await fail(one);
  });
  expect(one.state).toBe('closed');
});

test('failures are forgotten when the window has passed', async () => {
  const one = breaker();
  await repeat(19, () => fail(one));
  await vi.advanceTimersByTimeAsync(11_000);
  await repeat(19, () => fail(one));
  expect(one.state).toBe('closed');
});

test('timed-out work keeps its place: a bulkhead outside never lets more run than allowed', async () => {
  const one = breaker();
  const two = bulkhead({ name: 'probe', concurrency: 2, queue: 1_000 });
  let running = 0;
  let most = 0;
  const slow = async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    running -= 1;
  };
  const calls = Array.from({ length: 20 }, () =>
    two.run(async () => {
      let settled: Promise<void> | undefined;
      await one
        .run(
          () => {
            settled = slow();
            return settled;
          },
          { timeoutMs: 100 },
        )
        .catch(() => {});
      await settled;
    }),
  );
  await vi.advanceTimersByTimeAsync(100_000);
  await Promise.all(calls);
  expect(most).toBe(2);
});

test('a full bulkhead does not count against the other side', async () => {
  const one = breaker();
  await succeed(one);
  await repeat(100, () => fail(one, 'overloaded'));
  expect(one.state).toBe('closed');
});

test('the timeout of one call aborts that call and no other', async () => {
  const one = breaker();
  const signals: AbortSignal[] = [];
  const work = (signal: AbortSignal) => {
    signals.push(signal);
    return new Promise<string>((resolve) => setTimeout(() => resolve('fine'), 500));
  };
  const innocent = one.run(work, { timeoutMs: 1_000 });
  const late = one.run(work, { timeoutMs: 100 });
  const refused = expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
  await vi.advanceTimersByTimeAsync(600);
  await refused;
  await expect(innocent).resolves.toBe('fine');
  await expect(succeed(one)).resolves.toBe('fine');
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, true]);
});

test('a probe that hangs ends at its timeout and the circuit is probed again', async () => {
  const one = breaker();
  await openIt(one);
  await untilHalfOpen(one);
  const hung = one.run(() => new Promise(() => {}), { timeoutMs: 1_000 }).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await hung).toMatchObject({ code: 'deadline_exceeded' });
  expect(one.state).toBe('open');
  await untilHalfOpen(one);
  await succeed(one);
  expect(one.state).toBe('closed');
});

test('a probe whose end is never reported does not block the circuit for ever', async () => {
  let now = 0;
  const one = breaker({ now: () => now, probeTimeoutMs: 30_000 });
  await openIt(one);
  await untilHalfOpen(one);
  one.enter();
  expect(() => one.enter()).toThrow();
  now += 30_001;
  expect(one.enter()).toBe('probe');
});

test('only one probe goes through at a time', async () => {
  const one = breaker();
  await openIt(one);
  await untilHalfOpen(one);
  const pass = one.enter();
  await expect(succeed(one)).rejects.toMatchObject({ code: 'unavailable' });
  one.leave(pass, 'success');
  await told();
  expect(one.state).toBe('closed');
});

test('a probe that proves nothing does not close the circuit', async () => {
  const one = breaker();
  await openIt(one);
  await untilHalfOpen(one);
  await fail(one, 'cancelled');
  expect(one.state).toBe('half_open');
  await fail(one, 'overloaded');
  expect(one.state).toBe('half_open');
  await succeed(one);
  expect(one.state).toBe('closed');
});

test('an expected fault is an answer: it never opens a circuit, and as a probe it closes one', async () => {
  const one = breaker();
  await repeat(100, () => fail(one, 'not_found'));
  await repeat(100, () => fail(one, 'invalid_request'));
  expect(one.state).toBe('closed');
  const other = breaker();
  await openIt(other);
  await untilHalfOpen(other);
  await fail(other, 'not_found');
  expect(other.state).toBe('closed');
});

test('callers who went away do not make the other side look ill or well', async () => {
  const one = breaker();
  await repeat(19, () => fail(one));
  const caller = new AbortController();
  const calls = Array.from({ length: 100 }, () =>
    one.run(() => new Promise(() => {}), { timeoutMs: 1_000, signal: caller.signal }).catch(() => {}),
  );
  caller.abort(new AppError('cancelled'));
  await Promise.all(calls);
  expect(one.state).toBe('closed');
  await fail(one);
  expect(one.state).toBe('open');
});

test('nothing is remembered from one call to the next: each gets the answer to its own question', async () => {
  const one = breaker();
  const answers = await Promise.all(
    ['a', 'b'].map((tenant) => one.run(async () => `data of ${tenant}`, { timeoutMs: 1_000 })),
  );
  expect(answers).toEqual(['data of a', 'data of b']);
});

test('a call from before the circuit opened neither closes nor reopens it', async () => {
  const one = breaker();
  const early = one.enter();
  await openIt(one);
  await untilHalfOpen(one);
  one.leave(early, 'success');
  await told();
  expect(one.state).toBe('half_open');
  one.leave(early, 'failure');
  await told();
  expect(one.state).toBe('half_open');
});

test('openings are spread in time', async () => {
  const resets: number[] = [];
  for (const random of [0, 0.999]) {
    const one = breaker({ random: () => random });
    await openIt(one);
    const error = await one.run(async () => {}, { timeoutMs: 1 }).catch((thrown: AppError) => thrown);
    resets.push((error as AppError).retryAfterMs ?? 0);
  }
  expect(resets).toEqual([1_600, 2_400]);
});

test('all breakers of a process share one timer', async () => {
  const before = vi.getTimerCount();
  const all = breakers();
  open.push(all);
  for (let n = 0; n < 50; n += 1) all.breaker(`method-${n}`);
  expect(vi.getTimerCount() - before).toBe(1);
  expect(all.breaker('method-7')).toBe(all.breaker('method-7'));
});
