import { createMetrics } from '@skein/telemetry';
import { expect, it } from 'vitest';
import { boundedHasher } from '../src/adapters/bounded-hasher.ts';

/** A hasher whose work ends when the test says so. */
const heldHasher = () => {
  const inHand: (() => void)[] = [];
  const held = <T>(result: T) => new Promise<T>((resolve) => inHand.push(() => resolve(result)));
  const inner = { hash: () => held('hash'), verify: () => held(true), outdated: () => false };
  return { inHand, inner };
};

it('works on a few passwords at once, lets some wait, and turns the rest away with a time to come back', async () => {
  const { inHand, inner } = heldHasher();
  const metrics = createMetrics();
  const hasher = boundedHasher(inner, { concurrency: 2, queue: 1, metrics });
  const admitted = [hasher.hash('a'), hasher.verify('hash', 'b'), hasher.verify('hash', 'c')];
  for (const refused of [hasher.hash('d'), hasher.verify('hash', 'e')])
    await expect(refused).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 1_000 });
  expect(inHand).toHaveLength(2);
  expect(metrics.print()).toContain('skein_auth_hashes_waiting 1');
  inHand[0]?.();
  await expect.poll(() => inHand.length).toBe(3);
  for (const finish of inHand) finish();
  expect(await Promise.all(admitted)).toEqual(['hash', true, true]);
});

it('hashes nothing for somebody who has gone away while waiting', async () => {
  const { inHand, inner } = heldHasher();
  const hasher = boundedHasher(inner, { concurrency: 1, queue: 1, metrics: createMetrics() });
  const first = hasher.hash('a');
  const gone = new AbortController();
  const second = hasher.hash('b', gone.signal);
  gone.abort(new Error('gone'));
  await expect(second).rejects.toThrow('gone');
  inHand[0]?.();
  await first;
  expect(inHand).toHaveLength(1);
});
