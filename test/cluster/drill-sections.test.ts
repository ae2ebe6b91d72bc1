import { describe, expect, it } from 'vitest';
import { summaryOf } from '../load/summary.ts';
import type { Effect } from './chaos.ts';
import { chaosSection, rolloutSection, soakSection } from './drill-sections.ts';

const times = { startedMs: 0, endedMs: 5 };

const summary = summaryOf([
  {
    ...{ id: 'ann', log: [], writes: [], devices: [] },
    calls: [
      { ...times, kind: 'GET /v1/me', failures: ['ECONNRESET'], done: true },
      { ...times, kind: 'GET /v1/me', failures: [], done: true },
    ],
  },
]);

const effects: readonly Effect[] = [
  {
    ...{ component: 'auth', how: 'killed', atMs: 1_000, replacedMs: 900 },
    ...{ repeatedCalls: 1, callsWholeMs: 400, cutSockets: 0, socketsWholeMs: 0 },
  },
  {
    ...{ component: 'gateway', how: 'asked', atMs: 5_000, replacedMs: undefined },
    ...{ repeatedCalls: 1, callsWholeMs: 300, cutSockets: 2, socketsWholeMs: Number.POSITIVE_INFINITY },
  },
];

describe('the sections of the drills', () => {
  const load = {
    ...{ people: 25, devices: 20, messagesPerSecond: 100, answersPerSecond: 1, callsPerSecond: 10 },
    giveUpMs: 60_000,
  };

  it('name every kind of deletion with its times, and what never came back', () => {
    const text = chaosSection({ summary, effects }, load, 5, 'this machine');
    expect(text).toContain('500 sockets (25 people with 20 devices each), 100 messages a second');
    expect(text).toContain('| auth, killed | 1 | 0.9 s / 0.9 s | 1 | 0.4 s / 0.4 s | 0 | 0.0 s / 0.0 s |');
    expect(text).toMatch(/\| gateway \| 1 \| never in this run .*\| 2 \| never in this run/);
    expect(text).toContain('every 10 s, 1 of them without time to drain (killed)');
    expect(text).not.toContain('Not all held');
  });

  it('say in words when calls failed for good', () => {
    const bad = { ...summary, faults: { ...summary.faults, failed: 11 } };
    const text = chaosSection({ summary: bad, effects }, load, 5, 'this machine');
    expect(text).toContain('**Not all held:** 11 calls failed for good');
  });

  it('tell failed first tries apart from calls that failed for good', () => {
    const stages = [{ name: 'upgrade', seconds: 41.2, replaced: 10 }];
    const text = rolloutSection({ summary, stages }, load, 'this machine');
    expect(text).toContain('upgrade 41 s, 10 pods');
    expect(text).toContain('| failed for good | 0 |');
    expect(text).toContain('| first try failed, done by a later one | 1 |');
    expect(text).not.toContain('NaN');
  });

  it('compare what the pods of a service need in the middle of a soak and at its end', () => {
    const usage = (pod: string, workingSetMib: number, cpuMillicores: number) => ({
      ...{ namespace: 'skein', pod, container: 'auth', rssMib: 0, workingSetMib, cpuMillicores },
    });
    const middle = [usage('auth-1', 90, 10), usage('auth-2', 110, 30)];
    const end = [usage('auth-1', 91, 12), usage('auth-2', 111, 32)];
    const text = soakSection({ summary, middle, end }, load, 60, 'this machine');
    expect(text).toContain('| auth | 100 | 101 | 20 | 22 |');
  });
});
