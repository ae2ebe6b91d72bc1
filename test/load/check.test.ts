import { stateHashOf } from '@skein/sync-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { faultsOf } from './check.ts';
import type { Call, DeviceHistory, DocumentHistory, Logged, PersonHistory, Write } from './history.ts';

const times = { startedMs: 0, endedMs: 5 };

const logged = (offset: number, more: Partial<Logged> = {}): Logged => ({
  ...{ offset, id: `event-${offset}`, type: 'message.created', clientMessageId: `message-${offset}` },
  ...more,
});

const write = (offset: number, more: Partial<Write> = {}): Write => ({
  ...{ ...times, kind: 'message over REST', failures: [], done: true },
  ...{ clientMessageId: `message-${offset}`, acknowledged: { offset } },
  ...more,
});

const device = (id: string, from: number, to: number, more: Partial<DeviceHistory> = {}): DeviceHistory => ({
  ...{ id, from, outages: [], snapshots: 0 },
  seen: Array.from({ length: to - from }, (_, at) => ({
    offset: from + at + 1,
    id: `event-${from + at + 1}`,
  })),
  ...more,
});

const good: PersonHistory = {
  id: 'ann',
  log: [1, 2, 3, 4].map((offset) => logged(offset)),
  writes: [1, 2, 3, 4].map((offset) => write(offset)),
  devices: [device('phone', 0, 4), device('laptop', 2, 4)],
  calls: [{ ...times, kind: 'GET /v1/me', failures: ['ECONNRESET'], done: true }],
};

const found = (more: Partial<PersonHistory>): (readonly [string, string])[] =>
  faultsOf([{ ...good, ...more }]).map(({ kind, detail }) => [kind, detail] as const);

/** Without the device that saw what the log of a case does not have. */
const unseen = { devices: [] };

describe('the history checker', () => {
  it('finds nothing in a good history', () => {
    expect(faultsOf([good])).toEqual([]);
  });

  it('takes a write that was never acknowledged, whether it happened or not', () => {
    const { acknowledged: _, ...open } = write(4);
    expect(found({ writes: [1, 2, 3].map((offset) => write(offset)).concat(open) })).toEqual([]);
    expect(found({ writes: [...good.writes, { ...open, clientMessageId: 'never arrived' }] })).toEqual([]);
  });

  it('finds an acknowledged write that is lost', () => {
    expect(found({ writes: [...good.writes, write(9)] })).toEqual([
      ['lost', 'message message-9 of ann, acknowledged at 9, is nowhere'],
    ]);
  });

  it('finds an acknowledged write that is somewhere else', () => {
    const moved = write(2, { acknowledged: { offset: 3 } });
    expect(found({ writes: [moved] })).toEqual([
      ['lost', 'message message-2 of ann, acknowledged at 3, is at 2'],
    ]);
  });

  it('finds a write that is kept twice', () => {
    const log = [...good.log, logged(5, { clientMessageId: 'message-2' })];
    expect(found({ ...unseen, log, writes: [] })).toEqual([
      ['doubled', 'message message-2 was written twice into the log of ann'],
    ]);
  });

  it('finds a gap and a doubled event in the log', () => {
    const log = [logged(1), logged(2), logged(4, { id: 'event-1' })];
    expect(found({ ...unseen, log, writes: [] }).map(([kind]) => kind)).toEqual(['gap', 'doubled']);
  });

  it('finds a device that missed an event, though it saw the end', () => {
    const { seen } = device('phone', 0, 4);
    expect(found({ devices: [device('phone', 0, 4, { seen: seen.filter((_, at) => at !== 1) })] })).toEqual([
      ['gap', 'phone saw 3 where 2 was to come'],
    ]);
  });

  it('finds a device that saw an event twice', () => {
    const { seen } = device('phone', 0, 4);
    expect(found({ devices: [device('phone', 0, 4, { seen: [...seen, ...seen.slice(-1)] })] })).toEqual([
      ['doubled', 'phone saw offset 4 again, 5 was to come'],
    ]);
  });

  it('finds a device that saw another event, or one the log does not have', () => {
    const other = device('phone', 3, 4, { seen: [{ offset: 4, id: 'event-0' }] });
    expect(found({ devices: [other] })).toEqual([
      ['different', 'phone saw event-0 at 4, the log has event-4'],
    ]);
    expect(found({ devices: [device('phone', 3, 5)] })).toEqual([
      ['different', 'phone saw event-5 at 5, the log has nothing'],
    ]);
  });

  it('finds a device that was left behind or told not to come back', () => {
    expect(found({ devices: [device('phone', 0, 3, { ended: 4001 })] })).toEqual([
      ['behind', 'phone is at 3 of 4'],
      ['ended', 'phone was closed with 4001'],
    ]);
  });

  it('finds a call whose retries ended in vain, and counts no other as failed', () => {
    const failed: Call = { ...times, kind: 'GET /v1/me', failures: ['ECONNRESET', '503'], done: false };
    expect(found({ calls: [...good.calls, failed] })).toEqual([
      ['failed', 'GET /v1/me by ann failed after 2 tries, at last: 503'],
    ]);
  });

  it.each([
    ['never', []],
    ['twice', ['message.completed', 'message.completed']],
    ['badly', ['turn.failed']],
  ])('finds an answer that ended %s', (_, types) => {
    const asked = write(1, { acknowledged: { offset: 1, turnId: 'turn-1' } });
    const log = [
      logged(1, { turnId: 'turn-1' }),
      ...types.map((type, at) => ({ offset: at + 2, id: `end-${at}`, type, turnId: 'turn-1' })),
    ];
    expect(found({ ...unseen, log, writes: [asked] })).toEqual([
      ['unanswered', `turn turn-1 of ann ended with [${types.join(', ')}]`],
    ]);
  });

  it('finds any one event taken away from, doubled for or swapped at any device', () => {
    const spoilt = fc
      .tuple(fc.integer({ min: 2, max: 30 }), fc.nat(), fc.constantFrom('gone', 'doubled', 'swapped'))
      .map(([length, seed, how]) => {
        const { seen } = device('phone', 0, length);
        const at = seed % (length - 1);
        const [one, next] = [seen[at], seen[at + 1]];
        if (!one || !next) throw new Error('bug: within the length');
        const instead = how === 'gone' ? [next] : how === 'doubled' ? [one, one, next] : [next, one];
        return { length, seen: [...seen.slice(0, at), ...instead, ...seen.slice(at + 2)] };
      });
    fc.assert(
      fc.property(spoilt, ({ length, seen }) => {
        const log = Array.from({ length }, (_, at) => logged(at + 1));
        const whole = { ...good, log, writes: [], devices: [device('phone', 0, length)] };
        expect(faultsOf([whole])).toEqual([]);
        const faults = faultsOf([{ ...whole, devices: [device('phone', 0, length, { seen })] }]);
        expect(faults.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('the checker of documents', () => {
  const tally = { collection: 'tally', id: 'shared' };
  const changed = (offset: number) => ({
    ...{ offset, id: `event-${offset}` },
    document: { ...tally, version: offset, hash: `hash-${offset}` },
  });
  const addition = { ...times, kind: 'mutation over REST', failures: [], done: true, device: 'phone' };
  const recording = {
    ...{ ...times, kind: 'health record', failures: [], done: true, state: 'done' },
    acknowledged: { recordId: 'r', sagaId: 's' },
  };
  const documents: DocumentHistory = {
    additions: [addition, addition],
    tally: { all: 2, phone: 2 },
    recordings: [recording],
    ledger: { intact: true, entries: 1 },
    stateHash: stateHashOf([{ ...tally, version: 2, hash: 'hash-2' }]),
  };
  const person: PersonHistory = {
    ...{ id: 'ann', writes: [], calls: [], documents },
    log: [1, 2].map((offset) => ({ type: 'document.changed', ...changed(offset) })),
    devices: [device('phone', 1, 2, { seen: [changed(2)] })],
  };
  const kinds = (more: Partial<PersonHistory>, of: Partial<DocumentHistory> = {}) =>
    faultsOf([{ ...person, ...more, documents: { ...documents, ...of } }]).map(({ kind }) => kind);

  it('finds nothing when everything counts once and all have the same', () => {
    expect(kinds({})).toEqual([]);
  });

  it('takes a change whose outcome nobody knows for done or not', () => {
    const open = { ...addition, done: false, failures: ['ECONNRESET'] };
    for (const count of [2, 3])
      expect(
        kinds({}, { additions: [addition, addition, open], tally: { all: count, phone: count } }),
      ).toEqual(['failed']);
  });

  it.each<[string, Partial<DocumentHistory>, string]>([
    ['a change that is lost', { tally: { all: 1, phone: 2 } }, 'lost'],
    ['a change that counts twice', { tally: { all: 3, phone: 2 } }, 'doubled'],
    ['a record without a ledger entry', { ledger: { intact: true, entries: 0 } }, 'lost'],
    ['a record with two', { ledger: { intact: true, entries: 2 } }, 'doubled'],
    ['a ledger that was tampered with', { ledger: { intact: false, entries: 1 } }, 'different'],
    ['a saga that is not done', { recordings: [{ ...recording, state: 'parked' }] }, 'unfinished'],
  ])('finds %s', (_, of, kind) => {
    expect(kinds({}, of)).toEqual([kind]);
  });

  it('finds a device, and a log, that make other documents than the server has', () => {
    const other = { ...changed(2), document: { ...tally, version: 2, hash: 'another' } };
    expect(kinds({ devices: [device('phone', 1, 2, { seen: [other] })] })).toEqual(['diverged']);
    expect(kinds({}, { stateHash: '1:0000000000000000' })).toEqual(['diverged', 'diverged']);
  });

  it('forgets what was deleted', () => {
    const gone = { offset: 3, id: 'event-3', document: { ...tally, version: 3 } };
    const log = [...person.log, { type: 'document.deleted', ...gone }];
    const seen = [changed(2), gone];
    expect(
      kinds({ log, devices: [device('phone', 1, 3, { seen })] }, { stateHash: stateHashOf([]) }),
    ).toEqual([]);
  });
});
