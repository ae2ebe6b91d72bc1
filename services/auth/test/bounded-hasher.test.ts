import { expect, it } from 'vitest';
import { boundedHasher } from '../src/adapters/bounded-hasher.ts';

/** A hasher whose work ends when the test says so. */
const heldHasher = () => {
  const inHand: { finish: () => void; fail: () => void }[] = [];
  const work = () =>
    new Promise<string>((resolve, reject) => {
      inHand.push({ finish: () => resolve('hash'), fail: () => reject(new Error('no memory')) });
    });
  return { inHand, inner: { hash: work, verify: async () => true, outdated: () => false } };
};

it('works on a few passwords at once, lets some wait, and turns the rest away with a time to come back', async () => {
  const { inHand, inner } = heldHasher();
  const hasher = boundedHasher(inner, { concurrency: 2, queue: 3 });
  const five = Array.from({ length: 5 }, (_, n) => hasher.hash(`password ${n}`));
  await expect(hasher.hash('one too many')).rejects.toMatchObject({
    code: 'overloaded',
    retryAfterMs: 1_000,
  });
  expect(inHand).toHaveLength(2);
  for (let done = 0; done < 5; done += 1) {
    await expect.poll(() => inHand.length).toBe(1 + Math.min(done + 1, 4));
    inHand[done]?.finish();
    await five[done];
  }
  const next = hasher.hash('there is room again');
  inHand.at(-1)?.finish();
  await next;
});

it('gives its place on when hashing fails', async () => {
  const { inHand, inner } = heldHasher();
  const hasher = boundedHasher(inner, { concurrency: 1, queue: 1 });
  const [first, second] = [hasher.hash('a'), hasher.hash('b')];
  inHand[0]?.fail();
  await expect(first).rejects.toThrow('no memory');
  await expect.poll(() => inHand.length).toBe(2);
  inHand[1]?.finish();
  expect(await second).toBe('hash');
});
