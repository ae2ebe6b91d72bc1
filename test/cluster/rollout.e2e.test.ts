import { afterAll, expect, it } from 'vitest';
import { printed } from '../load/summary.ts';
import { rollout } from './rollout.ts';
import { loadedStack } from './support/loaded-stack.ts';
import { remove } from './support/stack.ts';
import { useStack } from './support/use-stack.ts';

/** Far less than `npm run drill -- rollout`: one rollout of everything takes two cores a minute by itself. */
const load = {
  people: 6,
  devices: 5,
  messagesPerSecond: 15,
  answersPerSecond: 1,
  callsPerSecond: 5,
  giveUpMs: 90_000,
};

useStack(loadedStack);
afterAll(() => remove(loadedStack), 360_000);

it('loses no message, call or socket while every service is upgraded and rolled back under load', async () => {
  const told = (line: string) => process.stdout.write(`${line}\n`);
  const { summary, stages } = await rollout(loadedStack, load, told);
  told(printed(summary));
  expect(summary).toMatchObject({
    ...{ examples: [], faults: { lost: 0, doubled: 0, gap: 0, behind: 0, unanswered: 0, failed: 0 } },
    sockets: { sockets: load.people * load.devices, failedAttempts: {}, snapshots: 0 },
  });
  // Two pods of five services, each time.
  expect(stages.map(({ replaced }) => replaced)).toEqual([10, 10]);
  // Every close was the gateway's farewell, and every socket came back at its first attempt.
  expect(Object.keys(summary.sockets.outages)).toEqual(['4012']);
}, 600_000);
