import { expect, it } from 'vitest';
import { type TestMesh, testMesh } from '../e2e/support/mesh.ts';
import { faultsOf } from './check.ts';
import type { History } from './history.ts';
import { type Load, startLoad } from './load.ts';
import { summaryOf } from './summary.ts';

const people = 4;
const devices = 3;
const messagesPerSecond = 20;
const giveUpMs = 60_000;

const underLoad = async (on: TestMesh, work: (load: Load) => Promise<void>): Promise<History> => {
  const load = await startLoad({
    ...{ address: () => on.url, people, devices, messagesPerSecond, giveUpMs },
    ...{ answersPerSecond: 2, callsPerSecond: 8 },
  });
  await work(load);
  return load.end();
};

/** Kills a process and waits until it is there again, and all sockets with it. */
const killed = async (on: TestMesh, load: Load, name: string): Promise<void> => {
  const life = on.mesh.processes.get(name);
  const starts = life?.starts ?? 0;
  expect(life?.kill('SIGKILL')).toBe(true);
  await expect.poll(() => life?.starts, { timeout: giveUpMs }).toBe(starts + 1);
  await life?.ready();
  await expect.poll(() => load.connected, { timeout: giveUpMs }).toBe(people * devices);
};

it('keeps every promise of the log and of resuming while processes are killed under load', async () => {
  await using on = await testMesh();
  const history = await underLoad(on, async (load) => {
    for (const name of ['session-sync', 'gateway']) await killed(on, load, name);
  });
  expect(faultsOf(history)).toEqual([]);
  // It was loaded, and something did break: otherwise this would say nothing.
  const { acknowledgedWrites, calls, sockets } = summaryOf(history);
  expect(acknowledgedWrites).toBeGreaterThan(messagesPerSecond);
  expect(Object.keys(calls).sort()).toEqual([
    'GET /v1/me',
    'GET /v1/personas',
    'GET /v1/spaces/personal/conversations',
    'POST /v1/auth/refresh',
    'message over REST',
    'message over WebSocket',
  ]);
  expect(sockets).toMatchObject({ outages: { '1006': people * devices }, mostAtOne: 1, snapshots: 0 });
}, 180_000);
