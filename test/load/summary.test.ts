import { expect, it } from 'vitest';
import type { History } from './history.ts';
import { printed, summaryOf } from './summary.ts';

const history: History = [
  {
    id: 'ann',
    log: [{ offset: 1, id: 'e1', type: 'message.created', clientMessageId: 'm1' }],
    writes: [
      {
        ...{ kind: 'message over REST', clientMessageId: 'm1', acknowledged: { offset: 1 } },
        ...{ startedMs: 0, endedMs: 40, failures: ['ECONNRESET'], done: true },
      },
      {
        ...{ kind: 'message over REST', clientMessageId: 'm2' },
        ...{ startedMs: 0, endedMs: 60, failures: ['503 unavailable', '503 unavailable'], done: false },
      },
    ],
    devices: [
      {
        ...{ id: 'phone', from: 0, seen: [{ offset: 1, id: 'e1' }], snapshots: 0 },
        outages: [
          { startedMs: 100, code: 4012, failures: [], backMs: 400 },
          { startedMs: 500, code: 1006, failures: ['ECONNREFUSED'], backMs: 1_500 },
        ],
      },
    ],
    calls: [{ kind: 'GET /v1/me', startedMs: 0, endedMs: 5, failures: [], done: true }],
  },
];

it('counts calls that failed for good apart from first tries, and outages by their cause', () => {
  expect(summaryOf(history)).toEqual({
    acknowledgedWrites: 1,
    deliveries: 1,
    faults: {
      ...{ lost: 0, doubled: 0, gap: 0, different: 0, behind: 0, unanswered: 0, diverged: 0, unfinished: 0 },
      ...{ failed: 1, ended: 0 },
    },
    examples: ['failed: message over REST by ann failed after 2 tries, at last: 503 unavailable'],
    calls: {
      'message over REST': {
        ...{ calls: 2, failed: 1, firstTryFailed: 2 },
        ...{ p50Ms: 40, p99Ms: 60, longestMs: 60 },
      },
      'GET /v1/me': { calls: 1, failed: 0, firstTryFailed: 0, p50Ms: 5, p99Ms: 5, longestMs: 5 },
    },
    failedTries: { 'message over REST: ECONNRESET': 1, 'message over REST: 503 unavailable': 2 },
    sockets: {
      ...{ sockets: 1, outages: { '4012': 1, '1006': 1 }, mostAtOne: 2 },
      failedAttempts: { ECONNREFUSED: 1 },
      ...{ backP50Ms: 300, backP99Ms: 1_000, backLongestMs: 1_000, snapshots: 0 },
    },
  });
});

it('is printed with every figure, and says what was wrong', () => {
  const text = printed(summaryOf(history));
  expect(text).toContain('| message over REST | 2 | 1 | 2 | 40 | 60 | 60 |');
  expect(text).toContain('2 times without a connection (by close code: 1006 1, 4012 1), at most 2 at one');
  expect(text).toContain('failed after 2 tries, at last: 503 unavailable');
});
