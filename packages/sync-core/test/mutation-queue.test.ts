import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  answered,
  emptyQueue,
  enqueue,
  expectedFrom,
  isForeign,
  type Mutation,
  type MutationQueue,
  type MutationResult,
  notDone,
  rebased,
  sending,
  underNewId,
} from '../src/index.ts';

const change = (id: string): Omit<Mutation, 'seq'> => ({
  ...{ collection: 'task', id, baseVersion: 0, hlc: '000000000001-0000-phone' },
  ops: [{ op: 'set', path: ['title'], value: id }],
});
const queueOf = (...ids: string[]): MutationQueue =>
  ids.reduce((queue, id) => enqueue(queue, change(id)), emptyQueue);
const waiting = (queue: MutationQueue) => queue.waiting.map(({ seq, id }) => `${seq}${id}`);

describe('a queue of mutations', () => {
  it('numbers what is done from 1, in order', () => {
    expect(waiting(queueOf('a', 'b', 'c'))).toEqual(['1a', '2b', '3c']);
  });

  it('lets go of what was answered, and goes on counting', () => {
    const { queue, settled } = answered(queueOf('a', 'b', 'c'), [
      { seq: 1, outcome: 'applied' },
      { seq: 2, outcome: 'rejected', code: 'forbidden' },
    ]);
    expect(settled.map(({ mutation, result }) => `${mutation.id} ${result.outcome}`)).toEqual([
      'a applied',
      'b rejected',
    ]);
    expect(waiting(enqueue(queue, change('d')))).toEqual(['3c', '4d']);
  });

  it('passes over answers that come again', () => {
    const { queue } = answered(queueOf('a', 'b'), [{ seq: 1, outcome: 'applied' }]);
    const again = answered(queue, [{ seq: 1, outcome: 'duplicate' }]);
    expect(again.settled).toEqual([]);
    expect(again.reused).toBe(false);
    expect(waiting(again.queue)).toEqual(['2b']);
  });

  it('believes a repetition only with what became of it: somebody else has acknowledged the rest', () => {
    const original: MutationResult = { seq: 1, outcome: 'applied' };
    const { queue, settled, reused } = answered(sending(queueOf('a', 'b', 'c', 'd'), 3).queue, [
      { seq: 1, outcome: 'duplicate', original },
      { seq: 2, outcome: 'duplicate' },
      { seq: 3, outcome: 'applied' },
    ]);
    expect(settled.map(({ mutation }) => mutation.id)).toEqual(['a', 'c']);
    expect(reused).toBe(true);
    expect(waiting(underNewId(new Map([['home', queue]]))?.get('home') ?? emptyQueue)).toEqual(['1b', '2d']);
  });

  it('numbers anew from where a server that was set back is', () => {
    const { queue } = answered(queueOf('a', 'b', 'c', 'd'), [
      { seq: 1, outcome: 'applied' },
      { seq: 2, outcome: 'applied' },
    ]);
    const back = expectedFrom(queue, 1);
    expect(waiting(back)).toEqual(['1c', '2d']);
    expect(waiting(enqueue(back, change('e')))).toEqual(['1c', '2d', '3e']);
  });

  it('goes on from where a server that was set back is, also when nothing waits', () => {
    const { queue } = answered(sending(queueOf('a', 'b'), 9).queue, [
      { seq: 1, outcome: 'applied' },
      { seq: 2, outcome: 'applied' },
    ]);
    const back = expectedFrom(queue, 2);
    // Under 3 it would be refused, sent again under 2, and done once more by a late copy of the first frame.
    expect(waiting(enqueue(back, change('c')))).toEqual(['2c']);
    expect(back.sent).toBe(1);
    expect(expectedFrom(queue, 3)).toBe(queue);
  });

  it('is not changed by an answer that is older than it', () => {
    const queue = queueOf('a', 'b');
    expect(expectedFrom(queue, 1)).toBe(queue);
    expect(expectedFrom(emptyQueue, 7)).toBe(emptyQueue);
  });

  it('asks a restored log for what it may have as it was, and bases the rest on what was seen of that log', () => {
    const seen = (id: string, baseVersion: number) => ({ ...change(id), baseVersion });
    const queue = [seen('a', 3), seen('b', 7), seen('c', 7), seen('d', 0)].reduce(enqueue, emptyQueue);
    const sent = sending(queue, 9).queue;
    // The log has got 1, and of b what the device had seen; of c it has something else.
    const anew = rebased(sent, 1, ({ id }) => (id === 'b' ? 5 : undefined));
    expect(anew.waiting.map(({ seq, id, baseVersion }) => [seq, id, baseVersion])).toEqual([
      [1, 'a', 3],
      [2, 'b', 5],
      [3, 'c', 1],
      [4, 'd', 0],
    ]);
    // What is behind was never sent to this log: only 1 may be done already.
    expect(sending(anew, 9, true).mutations.map(({ id }) => id)).toEqual(['a']);
  });

  it('numbers from where a restored log is, also what it had acknowledged before', () => {
    const { queue } = answered(sending(queueOf('a', 'b', 'c', 'd'), 9).queue, [
      { seq: 1, outcome: 'applied' },
      { seq: 2, outcome: 'applied' },
    ]);
    const back = rebased(queue, 1, () => undefined);
    expect(waiting(enqueue(back, change('e')))).toEqual(['2c', '3d', '4e']);
    // Somebody else's: the device leaves its id instead.
    expect(rebased(queue, 9, () => undefined)).toBe(queue);
    expect(
      waiting(
        enqueue(
          rebased(emptyQueue, 0, () => undefined),
          change('a'),
        ),
      ),
    ).toEqual(['1a']);
  });

  it('knows a server that has more of this device than the device has done', () => {
    expect(isForeign(queueOf('a'), 1)).toBe(false);
    expect(isForeign(queueOf('a'), 2)).toBe(true);
  });
});

/** What a server has of one device in one space: what it did under each seq. */
const serverOf = () => {
  const done: string[] = [];
  let acknowledged = 0;
  return {
    done,
    /** Somebody else does something, and acknowledges it unless there is something that is not theirs. */
    write: (id: string) => {
      done.push(id);
      if (!done.some((one) => one.startsWith('own'))) acknowledged = done.length;
    },
    take: (mutations: readonly Mutation[]): MutationResult[] | 'seq_reused' => {
      const results: MutationResult[] = [];
      for (const { seq, id } of mutations) {
        const known = done[seq - 1];
        if (known === undefined) done.push(id);
        else if (seq <= acknowledged) {
          results.push({ seq, outcome: 'duplicate' });
          continue;
        } else if (known !== id) return results.length > 0 ? results : 'seq_reused';
        const result: MutationResult = { seq, outcome: 'applied' };
        results.push(known === undefined ? result : { seq, outcome: 'duplicate', original: result });
      }
      return results;
    },
  };
};

describe('a device that leaves its id', () => {
  const spaces = ['home', 'team', 'club'] as const;

  it('asks for what it has sent under the old id, and numbers the rest from 1', () => {
    const { queue } = sending(queueOf('a', 'b', 'c'), 2);
    const queues = new Map([
      ['home', notDone(sending(queueOf('x'), 9).queue)],
      ['team', enqueue(queue, change('d'))],
    ]);
    expect(underNewId(queues)).toBeUndefined();
    expect(sending(queues.get('home') ?? emptyQueue, 9, true).mutations).toEqual([]);
    const again = sending(queues.get('team') ?? emptyQueue, 9, true);
    expect(again.mutations.map(({ seq, id }) => `${seq}${id}`)).toEqual(['1a', '2b']);
    queues.set(
      'team',
      answered(again.queue, [
        { seq: 1, outcome: 'applied' },
        { seq: 2, outcome: 'applied' },
      ]).queue,
    );
    const renumbered = underNewId(queues) ?? new Map<string, MutationQueue>();
    expect([...renumbered].map(([space, one]) => `${space} ${waiting(one)}`)).toEqual([
      'home 1x',
      'team 1c,2d',
    ]);
  });

  it('does everything once in all its spaces, whichever answers are lost', () => {
    const step = fc.record({
      space: fc.constantFrom(...spaces),
      // Do something; somebody else writes under the same id; send, and lose something of it or nothing.
      what: fc.constantFrom('do', 'write', undefined, 'call', 'answer'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let name = 1;
        let leaving = false;
        let queues: ReadonlyMap<string, MutationQueue> = new Map(spaces.map((space) => [space, emptyQueue]));
        const servers = new Map<string, ReturnType<typeof serverOf>>();
        const serverAt = (space: string) => {
          const key = `${name} ${space}`;
          const server = servers.get(key) ?? serverOf();
          servers.set(key, server);
          return server;
        };
        const put = (space: string, queue: MutationQueue) => {
          queues = new Map([...queues, [space, queue]]);
        };
        const queueAt = (space: string) => queues.get(space) ?? emptyQueue;
        const send = (space: string, lost?: 'call' | 'answer'): void => {
          const { queue, mutations } = sending(queueAt(space), 3, leaving);
          put(space, queue);
          if (lost === 'call' || mutations.length === 0) return;
          // Somebody else is ahead of it here: the welcome says so.
          const foreign = isForeign(queue, serverAt(space).done.length);
          const answer = serverAt(space).take(mutations);
          if (lost === 'answer') return;
          const taken = answer === 'seq_reused' ? undefined : answered(queue, answer);
          leaving ||= foreign || !taken || taken.reused;
          put(space, taken ? taken.queue : notDone(queue));
          const renumbered = leaving ? underNewId(queues) : undefined;
          if (!renumbered) return;
          name += 1;
          leaving = false;
          queues = renumbered;
        };
        for (const [at, { space, what }] of steps.entries())
          if (what === 'do') put(space, enqueue(queueAt(space), change(`own${at}`)));
          else if (what === 'write') serverAt(space).write(`other${at}`);
          else send(space, what);
        for (let round = 0; round < 60; round += 1) for (const space of spaces) send(space);
        expect([...queues.values()].flatMap((queue) => [...queue.waiting, ...queue.displaced])).toEqual([]);
        const done = [...servers.values()].flatMap((server) => server.done);
        expect(done.filter((one) => one.startsWith('own')).sort()).toEqual(
          steps.flatMap(({ what }, at) => (what === 'do' ? [`own${at}`] : [])).sort(),
        );
      }),
    );
  });
});
