import { describe, expect, it } from 'vitest';
import {
  answered,
  emptyQueue,
  enqueue,
  expectedFrom,
  isForeign,
  type Mutation,
  type MutationQueue,
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
    expect(waiting(again.queue)).toEqual(['2b']);
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

  it('is not changed by an answer that is older than it', () => {
    const queue = queueOf('a', 'b');
    expect(expectedFrom(queue, 1)).toBe(queue);
    expect(expectedFrom(emptyQueue, 7)).toBe(emptyQueue);
  });

  it('knows a server that has more of this device than the device has done', () => {
    expect(isForeign(queueOf('a'), 1)).toBe(false);
    expect(isForeign(queueOf('a'), 2)).toBe(true);
  });
});
