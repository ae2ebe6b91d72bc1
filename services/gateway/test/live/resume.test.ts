import { AppError } from '@skein/contracts';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startLive } from './harness.ts';
import type { TestSocket } from './test-socket.ts';

const upTo = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at);

const caughtUp = (socket: TestSocket, offset: number) => socket.first('event', { offset });

describe('resume', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive({ ringCount: 8 });
  });
  afterEach(() => live.stop());

  it('begins an interrupted snapshot again at its first part', async () => {
    live.sync.append(live.sync.personal('ann').id, 'message.created');
    live.sync.brokenSnapshots = 2;
    const ann = live.hello('ann', { streams: [{ space: 'space-ann' }] });
    await ann.first('snapshot', { part: 2 });
    expect(ann.of('snapshot').map(({ part }) => part)).toEqual([1, 1, 1, 2]);
  });

  it('stops following a space that is too large for a snapshot, and goes on with the others', async () => {
    live.sync.personal('ann');
    live.sync.space('huge', ['ann']);
    const { readSnapshot } = live.mesh.sync;
    live.mesh.sync.readSnapshot = async function* (request, ctx) {
      if (request.space === 'huge') throw new AppError('too_large');
      if (readSnapshot) yield* readSnapshot(request, ctx);
    };
    const ann = live.hello('ann', { streams: [{ space: 'huge' }, { space: 'space-ann' }] });
    expect(await ann.first('unsubscribed')).toMatchObject({ space: 'huge', reason: 'too_large' });
    await ann.first('snapshot', { space: 'space-ann', part: 2 });
    live.sync.append('space-ann', 'message.created');
    await caughtUp(ann, 1);
    expect(ann.closed).toBeUndefined();
  });
});

describe('a cut line to session-sync', () => {
  let live: Harness;
  beforeEach(async () => {
    live = await startLive();
  });
  afterEach(() => live.stop());

  it.each([
    ['breaks', (harness: Harness) => harness.sync.breakStreams()],
    ['ends by itself', (harness: Harness) => harness.sync.endStreams()],
  ])('leaves sockets open and loses nothing when it %s', async (_, cut) => {
    const ann = live.hello('ann');
    await ann.first('welcome');
    live.sync.append('space-ann', 'message.created');
    await caughtUp(ann, 1);
    live.sync.away = true;
    cut(live);
    await expect.poll(() => live.sync.streams.size).toBe(0);
    for (let at = 0; at < 5; at += 1) live.sync.append('space-ann', 'message.created');
    live.sync.away = false;
    await caughtUp(ann, 6);
    live.sync.append('space-ann', 'message.created');
    await caughtUp(ann, 7);
    expect(ann.offsets).toEqual(upTo(1, 7));
    expect(ann.closed).toBeUndefined();
  });

  it('says anew who is attached when the stream is opened again', async () => {
    const ann = live.hello('ann');
    await ann.first('welcome');
    const attaches = () => live.sync.commands.filter(({ $case }) => $case === 'attach').length;
    await expect.poll(attaches).toBe(1);
    live.sync.breakStreams();
    await expect.poll(attaches).toBe(2);
    ann.cut();
    await expect.poll(() => live.sync.commands.at(-1)?.$case).toBe('detach');
  });

  it('follows from its position when a replica is behind ours', async () => {
    live.sync.append(live.sync.personal('ann').id, 'message.created');
    const ann = live.hello('ann');
    await ann.first('welcome');
    live.sync.tell('space-ann', { $case: 'lost', value: { space: 'space-ann', epoch: 'e1', head: 0 } });
    live.sync.append('space-ann', 'message.created');
    await caughtUp(ann, 2);
    expect(ann.of('snapshot')).toEqual([]);
    expect(ann.offsets).toEqual([2]);
  });
});

describe('any cut, anywhere', () => {
  let live: Harness;
  beforeAll(async () => {
    live = await startLive({ ringCount: 8, ringBytes: 2_000 });
  });
  afterAll(() => live.stop());

  it('ends with every event once and in order', { timeout: 60_000 }, async () => {
    let person = 0;
    const step = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 12 }) }),
      fc.record({ kind: fc.constant('cut' as const), afterEvents: fc.integer({ min: 0, max: 6 }) }),
      fc.record({ kind: fc.constant('break' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
        person += 1;
        const user = `p${person}`;
        const space = live.sync.personal(user).id;
        const got: number[] = [];
        let position = { space, epoch: 'e1', offset: 0 } as Record<string, unknown>;
        const keep = (socket: TestSocket, count: number) => {
          const kept = socket.of('event').slice(0, count);
          for (const { offset, event } of kept) {
            got.push(Number(offset));
            position = { space, epoch: 'e1', offset, lastId: (event as { id: string }).id };
          }
        };
        let socket = live.hello(user, { streams: [position] });
        for (const one of steps) {
          if (one.kind === 'append') {
            for (let at = 0; at < one.count; at += 1) live.sync.append(space, 'message.created');
          } else if (one.kind === 'break') live.sync.breakStreams();
          else {
            await socket.first('welcome');
            const before = socket.of('event').length;
            const head = live.sync.get(space).events.length;
            const expected = Math.min(head - got.length, before + one.afterEvents);
            await expect
              .poll(() => socket.of('event').length, { timeout: 5_000 })
              .toBeGreaterThanOrEqual(expected);
            keep(socket, expected);
            socket.cut();
            socket = live.hello(user, { streams: [position] });
          }
        }
        const head = live.sync.get(space).events.length;
        await socket.first('welcome');
        await expect
          .poll(() => got.length + socket.of('event').length, { timeout: 5_000, interval: 5 })
          .toBe(head);
        keep(socket, Number.POSITIVE_INFINITY);
        socket.cut();
        expect(got).toEqual(upTo(1, head));
      }),
      { numRuns: 25 },
    );
  });
});
