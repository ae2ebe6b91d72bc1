import { describe, expect, it } from 'vitest';
import type { Call, History, Outage } from '../load/history.ts';
import { summaryOf } from '../load/summary.ts';
import { type Deletion, effectsOf } from './chaos.ts';
import { chaosSection, rolloutSection } from './drill-sections.ts';

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
    call(5_100, 5_300, ['503']),
  ],
  [
    { startedMs: 5_200, code: 4012, failures: [], backMs: 7_000 },
    { startedMs: 5_400, code: 4012, failures: ['503'] },
  ],
);

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

describe('the sections of the drills', () => {
  const load = {
    ...{ people: 25, devices: 20, messagesPerSecond: 100, answersPerSecond: 1, callsPerSecond: 10 },
    giveUpMs: 60_000,
  };
  const summary = summaryOf(history);

  it('name every kind of deletion with its times, and what never came back', () => {
    const text = chaosSection(
      { summary, effects: effectsOf([first, second], history) },
      load,
      5,
      'this machine',
    );
    expect(text).toContain('500 sockets (25 people with 20 devices each), 100 messages a second');
    expect(text).toContain('| auth, killed | 1 | 0.9 s / 0.9 s | 1 | 0.4 s / 0.4 s | 0 | 0.0 s / 0.0 s |');
    expect(text).toMatch(/\| gateway \| 1 \| never in this run .*\| 2 \| never in this run/);
  });

  it('tell failed first tries apart from calls that failed for good', () => {
    const stages = [{ name: 'upgrade', seconds: 41.2, replaced: 10 }];
    const text = rolloutSection({ summary, stages }, load, 'this machine');
    expect(text).toContain('upgrade 41 s, 10 pods');
    expect(text).toContain('| failed for good | 0 |');
    expect(text).toContain('| first try failed, done by a later one | 3 |');
    expect(text).not.toContain('NaN');
  });
});
