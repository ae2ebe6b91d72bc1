import { describe, expect, it } from 'vitest';
import type { OutboxRow } from '../src/index.ts';
import { streamOrder } from '../src/stream-order.ts';
import { loginEvent } from '../src/testing.ts';

const database = { query: async () => [] };
const row = (seq: number, stream: string, offset: number): OutboxRow => ({
  position: { era: 1, xid: '5', seq },
  event: loginEvent(stream, offset),
  place: { stream, offset },
});
const told = (rows: readonly OutboxRow[]) => rows.flatMap(({ event }) => (event ? [event.data] : []));

describe('the order of streams', () => {
  it('fetches what a row has overtaken, and passes over it when it comes', async () => {
    const log = [row(1, 'a', 1), row(4, 'a', 2), row(2, 'a', 3), row(3, 'b', 1)];
    const order = streamOrder({
      between: async (_, stream, after, before) =>
        log.filter(({ place }) => place?.stream === stream && place.offset > after && place.offset < before),
    });
    // In the order of positions: a1, a3, b1, a2.
    const inOrder = log.toSorted((one, other) => one.position.seq - other.position.seq);
    const first = await order(database, inOrder.slice(0, 2));
    expect(told(first)).toMatchObject([{ at: 1 }, { at: 2 }, { at: 3 }]);
    // What was fetched does not move the position past what is still to come.
    expect(first.map(({ position }) => position.seq)).toEqual([1, 1, 2]);
    expect(told(await order(database, inOrder.slice(2)))).toMatchObject([{ at: 1, userId: 'b' }]);
  });

  it('takes a stream as it comes when it does not know it', async () => {
    const order = streamOrder({ between: async () => [] });
    expect(await order(database, [row(1, 'a', 7), row(2, 'a', 8)])).toHaveLength(2);
  });
});
