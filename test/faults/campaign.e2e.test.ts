import { expect, it } from 'vitest';
import { campaign } from './campaign.ts';
import { type FaultKind, faultKinds } from './kinds.ts';
import { usualLoad } from './load.ts';
import { faultyStack } from './stack.ts';

const kind = (component: string, how: string): FaultKind => {
  const found = faultKinds.find((one) => one.component === component && one.how === how);
  if (!found) throw new Error(`there is no fault "${component} ${how}"`);
  return found;
};

/** Less than a campaign puts on a machine: other tests run beside this one. */
const load = { ...usualLoad, people: 6, messagesPerSecond: 6 };

/** One of each sort; which process meets what is drawn by `npm run faults`. */
const faults: readonly FaultKind[] = [
  kind('session-sync.1', 'killed'),
  kind('line to postgres', 'half-open'),
  kind('gateway.1', 'killed'),
  kind('session-sync.2', 'stopped for a while'),
  kind('nats', 'killed, store lost'),
  kind('line to gateway.2', 'cut'),
  kind('postgres', 'killed'),
  kind('consul', 'killed, all forgotten'),
  kind('agent.2', 'killed'),
];

it('keeps every promise while processes, components and lines break under load', async () => {
  await using stack = await faultyStack();
  const left = [...faults];
  const { violations, excerpt, summary, effects } = await campaign(stack, {
    ...{ seed: 1, load, told: () => {} },
    next: () => left.shift(),
  });
  expect({ violations, excerpt }).toEqual({ violations: [], excerpt: [] });
  // It was loaded, everybody took part and something did break: otherwise this would say nothing.
  expect(effects).toHaveLength(faults.length);
  expect(Object.keys(summary.calls)).toEqual(
    expect.arrayContaining([
      'message over REST',
      'message over WebSocket',
      'mutation over WebSocket',
      'health record',
    ]),
  );
  expect(summary.sockets.sockets).toBe(load.people * 4);
  expect(effects.reduce((all, { repeatedCalls }) => all + repeatedCalls, 0)).toBeGreaterThan(0);
}, 400_000);
