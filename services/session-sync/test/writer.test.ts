import { AppError } from '@skein/contracts';
import { groupCommit } from '@skein/postgres';
import { describe, expect, it } from 'vitest';
import {
  type CommittedEvents,
  OutcomeUnknown,
  type SpacePlan,
  type SpaceStore,
  SpacesMoved,
} from '../src/app/ports.ts';
import { createWriter, type Unit } from '../src/app/writer.ts';
import type { NewEvent } from '../src/domain/event.ts';
import { emptyState } from '../src/domain/state.ts';

const note = (text: string): NewEvent => ({
  type: 'message.created',
  actor: { kind: 'system', platform: 'test' },
  data: { text },
});

/** A log in memory whose commits can be told to fail. */
const memoryStore = () => {
  const logs = new Map<string, { id: string; json: string }[]>();
  const lostReplies = { exclusively: 0 };
  const faults: ((plans: readonly SpacePlan[]) => Error | undefined)[] = [];
  const calls = { commit: 0, exclusively: 0 };
  const logOf = (space: string) => {
    const log = logs.get(space) ?? [];
    logs.set(space, log);
    return log;
  };
  const apply = (plans: readonly SpacePlan[]) => {
    const moved = plans.filter(
      ({ space, events }) => events[0] && events[0].offset !== logOf(space).length + 1,
    );
    if (moved.length > 0) throw new SpacesMoved(new Set(moved.map(({ space }) => space)));
    for (const { space, events } of plans) logOf(space).push(...events);
  };
  const state = (space: string) =>
    emptyState({ id: space, kind: 'team', title: '', epoch: 'e', head: logOf(space).length });
  const store: SpaceStore = {
    load: async (needs) => new Map([...needs.keys()].map((space) => [space, state(space)])),
    commit: async (plans) => {
      calls.commit += 1;
      const fault = faults.shift()?.(plans);
      if (fault) throw fault;
      apply(plans);
    },
    exclusively: async (needs, decide) => {
      calls.exclusively += 1;
      const plans = decide(new Map([...needs.keys()].map((space) => [space, state(space)])));
      const fault = faults.shift()?.(plans);
      if (fault) throw fault;
      apply(plans);
      if (lostReplies.exclusively > 0) {
        lostReplies.exclusively -= 1;
        throw new OutcomeUnknown(new Error('cut after COMMIT'));
      }
    },
    holds: async (space, offset, id) => logOf(space)[offset - 1]?.id === id,
  };
  return { store, faults, lostReplies, calls, logOf, apply };
};

const start = (memory: ReturnType<typeof memoryStore>) => {
  let id = 0;
  const told: CommittedEvents[] = [];
  const noticed: string[] = [];
  const writer = createWriter({
    store: memory.store,
    batcher: groupCommit,
    ids: { next: () => `id-${++id}` },
    clock: { now: () => 0 },
    committed: (batch) => told.push(...batch),
    noticed: (what) => noticed.push(what),
    wait: async () => {},
  });
  return { writer, told, noticed };
};

const says = (space: string, text: string): Unit<number> => ({
  space,
  needs: {},
  correlationId: 'c',
  decide: (state) => ({ result: state.head + 1, events: [note(text)], writes: {} }),
});

const offsets = (told: readonly CommittedEvents[], space: string) =>
  told.flatMap((one) => (one.space === space ? one.events.map(({ offset }) => offset) : []));

describe('the writer', () => {
  it('commits what waits together, in one batch, and tells of it before it answers', async () => {
    const memory = memoryStore();
    const { writer, told } = start(memory);
    const answers = await Promise.all(
      [says('a', '1'), says('b', '1'), says('a', '2')].map((unit) => writer.write(unit)),
    );
    expect(answers).toEqual([1, 1, 2]);
    expect(memory.calls.commit).toBe(1);
    expect(offsets(told, 'a')).toEqual([1, 2]);
  });

  it('commits the others when spaces lost, then has those for itself, all at once and on their new heads', async () => {
    const memory = memoryStore();
    const { writer, told, noticed } = start(memory);
    memory.faults.push(() => {
      memory.logOf('a').push({ id: 'foreign', json: '' });
      memory.logOf('c').push({ id: 'foreign', json: '' });
      return undefined;
    });
    const answers = await Promise.all(['a', 'b', 'c'].map((space) => writer.write(says(space, '1'))));
    expect(answers).toEqual([2, 1, 2]);
    expect(noticed).toEqual(['moved', 'exclusive']);
    expect(memory.calls).toEqual({ commit: 2, exclusively: 1 });
    expect(offsets(told, 'c')).toEqual([2]);
  });

  it('gives up a command that something outside its space keeps away, and that one alone', async () => {
    const memory = memoryStore();
    const { writer } = start(memory);
    const kept = (plans: readonly SpacePlan[]) =>
      plans.some(({ events }) => events.some(({ json }) => json.includes('kept')))
        ? new SpacesMoved(new Set(['a']))
        : undefined;
    memory.faults.push(...Array.from({ length: 20 }, () => kept));
    const outcomes = await Promise.allSettled(
      [says('a', '1'), says('a', 'kept'), says('b', '1')].map((unit) => writer.write(unit)),
    );
    expect(outcomes).toMatchObject([
      { status: 'fulfilled', value: 1 },
      { status: 'rejected', reason: { code: 'conflict' } },
      { status: 'fulfilled', value: 1 },
    ]);
  });

  it('does no more work for a caller that has gone, once the work so far came to nothing', async () => {
    const memory = memoryStore();
    const { writer } = start(memory);
    const caller = new AbortController();
    memory.faults.push(() => {
      caller.abort(new AppError('deadline_exceeded'));
      return new SpacesMoved(new Set(['a']));
    });
    const [late, stays] = await Promise.allSettled([
      writer.write(says('a', 'late'), caller.signal),
      writer.write(says('a', 'stays')),
    ]);
    expect(late).toMatchObject({ status: 'rejected', reason: { code: 'deadline_exceeded' } });
    expect(stays).toEqual({ status: 'fulfilled', value: 1 });
    expect(memory.logOf('a').map(({ json }) => JSON.parse(json).data.text)).toEqual(['stays']);
  });

  it('recognises its own write when the answer was lost while it had the space for itself', async () => {
    const memory = memoryStore();
    const { writer, told } = start(memory);
    memory.faults.push(() => new SpacesMoved(new Set(['a'])));
    memory.lostReplies.exclusively = 1;
    expect(await writer.write(says('a', '1'))).toBe(1);
    expect(memory.logOf('a')).toHaveLength(1);
    expect(offsets(told, 'a')).toEqual([1]);
  });

  it('finds out what became of a write whose answer was lost: it was committed', async () => {
    const memory = memoryStore();
    const { writer, told, noticed } = start(memory);
    memory.faults.push((plans) => {
      memory.apply(plans);
      return new OutcomeUnknown(new Error('cut'));
    });
    const answers = await Promise.all([writer.write(says('a', '1')), writer.write(says('b', '1'))]);
    expect(answers).toEqual([1, 1]);
    expect(memory.logOf('a')).toHaveLength(1);
    expect(offsets(told, 'a')).toEqual([1]);
    expect(noticed).toEqual(['unknown']);
  });

  it('finds out what became of a write whose answer was lost: somebody else took its place', async () => {
    const memory = memoryStore();
    const { writer } = start(memory);
    memory.faults.push(() => {
      memory.logOf('a').push({ id: 'foreign', json: '' });
      return new OutcomeUnknown(new Error('cut'));
    });
    expect(await writer.write(says('a', '1'))).toBe(2);
    expect(memory.logOf('a').map(({ id }) => id)).toEqual(['foreign', expect.stringMatching(/^id-/)]);
  });

  it('keeps the space out of every other flush until the outcome is known', async () => {
    const memory = memoryStore();
    const { writer } = start(memory);
    const away = new AppError('unavailable');
    memory.faults.push(
      (plans) => {
        memory.apply(plans);
        return new OutcomeUnknown(away);
      },
      ...Array.from({ length: 5 }, () => () => new OutcomeUnknown(away)),
    );
    const first = writer.write(says('a', '1'));
    const second = writer.write(says('a', '2'));
    expect(await Promise.all([first, second, writer.write(says('a', '3'))])).toEqual([1, 2, 3]);
    expect(memory.logOf('a')).toHaveLength(3);
  });

  it('fails the one command the database cannot take, not those beside it', async () => {
    const memory = memoryStore();
    const { writer, noticed } = start(memory);
    const poison = (plans: readonly SpacePlan[]) =>
      plans.some(({ events }) => events.some(({ json }) => json.includes('poison')))
        ? new Error('invalid byte sequence')
        : undefined;
    memory.faults.push(...Array.from({ length: 10 }, () => poison));
    const outcomes = await Promise.allSettled(
      [says('a', '1'), says('a', 'poison'), says('a', '2'), says('b', '1')].map((unit) => writer.write(unit)),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(memory.logOf('a')).toHaveLength(2);
    expect(noticed).toContain('split');
  });

  it('answers that it is committed even when telling the feeds fails', async () => {
    const memory = memoryStore();
    const writer = createWriter({
      store: memory.store,
      batcher: groupCommit,
      ids: { next: () => 'id' },
      clock: { now: () => 0 },
      committed: () => {
        throw new Error('bug');
      },
      wait: async () => {},
    });
    expect(await writer.write(says('a', '1'))).toBe(1);
    expect(memory.logOf('a')).toHaveLength(1);
  });

  it('refuses an event that would not fit a frame, and only that', async () => {
    const memory = memoryStore();
    const { writer } = start(memory);
    const [large, fine] = await Promise.allSettled([
      writer.write(says('a', 'x'.repeat(900_000))),
      writer.write(says('a', 'y')),
    ]);
    expect(large).toMatchObject({ status: 'rejected', reason: { code: 'too_large' } });
    expect(fine).toEqual({ status: 'fulfilled', value: 1 });
  });

  it('answers a refusal as a fault and writes nothing', async () => {
    const memory = memoryStore();
    const { writer } = start(memory);
    const refused = writer.write({
      ...says('a', '1'),
      decide: () => ({ refused: { code: 'forbidden', detail: 'no' } }),
    });
    await expect(refused).rejects.toMatchObject({ code: 'forbidden' });
    expect(memory.calls.commit).toBe(0);
  });

  it('lets a decision that throws fail alone', async () => {
    const memory = memoryStore();
    const { writer } = start(memory);
    const broken = writer.write({
      ...says('a', '1'),
      decide: () => {
        throw new Error('bug');
      },
    });
    const fine = writer.write(says('a', '2'));
    await expect(broken).rejects.toThrow('bug');
    expect(await fine).toBe(1);
  });
});
