import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { batchOf, eventFrame, eventPrefix, rawFrame } from '../../src/live/frame.ts';
import { Outbox } from '../../src/live/outbox.ts';

const stream = {
  space: 's',
  epoch: 'e',
  position: 1,
  lastId: '',
  settled: true,
  over: false,
  tokenSince: () => undefined,
};
const answer = (n: number) => rawFrame(`{"type":"result","id":${n}}`);
const event = eventFrame(eventPrefix('s', 'e'), { offset: 1, id: 'i', type: 't', json: '{}' });

const open = () => {
  const writes: string[] = [];
  // The little of a socket that an outbox needs while nothing waits.
  const socket = { writableLength: 0, writableNeedDrain: false, destroyed: false };
  const write = (wire: Buffer) => writes.push(wire.toString('latin1'));
  const outbox = new Outbox(
    { ...socket, write } as unknown as Socket,
    { budgetBytes: 1_000, lowBytes: 100, stallMs: 1_000 },
    () => {},
  );
  return { outbox, writes };
};
const text = (...frames: readonly { readonly wire: Buffer }[]) =>
  Buffer.concat(frames.map(({ wire }) => wire)).toString('latin1');

it('answers and the events of the same turn are one write, in the order in which they were given', async () => {
  const { outbox, writes } = open();
  outbox.soon(answer(1));
  outbox.soon(answer(2));
  outbox.batch(batchOf('s', [event]), stream);
  await expect.poll(() => writes).toEqual([text(answer(1), answer(2), event)]);
});

it('an answer waits for the end of its turn', async () => {
  const { outbox, writes } = open();
  outbox.soon(answer(1));
  expect(writes).toEqual([]);
  await expect.poll(() => writes).toEqual([text(answer(1))]);
});

it('an answer goes out before the end of the connection', () => {
  const { outbox, writes } = open();
  outbox.soon(answer(1));
  outbox.close();
  expect(writes).toEqual([text(answer(1))]);
});
