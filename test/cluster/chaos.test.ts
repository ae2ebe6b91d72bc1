import { describe, expect, it } from 'vitest';
import { effectsOf } from '../load/effects.ts';
import type { Call, History, Outage } from '../load/history.ts';
import { type Deletion, turnOf } from './chaos.ts';
import { services } from './support/loaded-stack.ts';

const call = (startedMs: number, endedMs: number, failures: readonly string[] = []): Call => ({
  ...{ kind: 'GET /v1/me', startedMs, endedMs, failures, done: true },
});

const historyOf = (calls: readonly Call[], outages: readonly Outage[]): History => [
  {
    id: 'ann',
    log: [],
    writes: [],
    devices: [{ id: 'phone', from: 0, seen: [], outages, snapshots: 0 }],
    calls,
  },
];

const first: Deletion = { component: 'auth', how: 'killed', atMs: 1_000, replacedMs: 900 };
const second: Deletion = { component: 'gateway', how: 'asked', atMs: 5_000, replacedMs: undefined };

const history = historyOf(
  [
    call(0, 900, ['too early']),
    call(990, 1_400, ['ECONNRESET']),
    call(2_000, 2_010),
    call(4_990, 5_300, ['503']),
  ],
  [
    { startedMs: 5_200, code: 4012, failures: [], backMs: 7_000 },
    { startedMs: 5_400, code: 4012, failures: ['503'] },
  ],
);

describe('the deletions', () => {
  it('take a pod of every service in both ways before any of them again', () => {
    const turns = Array.from({ length: 4 * services.length }, (_, nth) => turnOf(nth));
    const cells = turns.map(({ component, how }) => `${component} ${how}`);
    const round = 2 * services.length;
    expect(new Set(cells.slice(0, round))).toEqual(
      new Set(services.flatMap((name) => [`${name} asked`, `${name} killed`])),
    );
    expect(cells.slice(round)).toEqual(cells.slice(0, round));
  });
});

describe('what clients felt', () => {
  it('counts towards the deletion that came last before it', () => {
    expect(effectsOf([second, first], history)).toEqual([
      { ...first, repeatedCalls: 1, callsWholeMs: 400, cutSockets: 0, socketsWholeMs: 0 },
      {
        ...second,
        ...{ repeatedCalls: 1, callsWholeMs: 300, cutSockets: 2, socketsWholeMs: Number.POSITIVE_INFINITY },
      },
    ]);
  });
});
