import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Harness, startLive } from './harness.ts';

let live: Harness;
beforeEach(async () => {
  live = await startLive();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await live.stop();
});

const asked = (method: 'openSession' | 'readSnapshot') => live.mesh.calls(method).length;

describe('a log that became another one', () => {
  it('is told to the client before its snapshot, also when the snapshot knows it before the live feed', async () => {
    // Nothing waits between two attempts: what may fail a few times only would be over at once.
    await live.stop();
    vi.spyOn(Math, 'random').mockReturnValue(0);
    live = await startLive();
    live.sync.space('team', ['ann', 'bob']);
    live.sync.append('team', 'message.created');
    const bob = live.hello('bob');
    await bob.first('welcome');
    live.sync.get('team').epoch = 'e2';
    const ann = live.hello('ann', { streams: [{ space: 'team' }] });
    expect(await ann.first('welcome')).toMatchObject({ streams: [{ epoch: 'e1', recovered: false }] });
    await expect.poll(() => asked('readSnapshot')).toBe(1);
    // Whatever the gateway would do in no time it has done when the answer to this is here.
    for (let id = 1; id <= 5; id += 1) {
      ann.send({ type: 'subscribe', id, space: 'personal', epoch: 'e1', offset: 0 });
      await ann.first('result', { id });
    }
    live.sync.lastSeq = 5;
    live.sync.reanchor('team', 'e2');
    await ann.first('snapshot', { space: 'team', part: 2 });
    const ofTeam = ann.frames.filter(({ space }) => space === 'team');
    expect(ofTeam.map(({ type, epoch, lastSeq }) => [type, epoch, lastSeq])).toEqual([
      ['subscribed', 'e2', 5],
      ['snapshot', 'e2', undefined],
      ['snapshot', 'e2', undefined],
    ]);
    live.sync.append('team', 'message.created');
    await ann.first('event', { space: 'team', epoch: 'e2', offset: 2 });
  });

  it('is asked about once for all spaces of a connection', async () => {
    const teams = ['a', 'b', 'c', 'd'];
    for (const id of [...teams, 'last']) live.sync.space(id, ['ann']);
    const ann = live.hello('ann');
    await ann.first('welcome');
    const { openSession } = live.mesh.sync;
    if (!openSession) throw new Error('the space log opens sessions');
    const held = Promise.withResolvers<void>();
    live.mesh.sync.openSession = async (request, ctx) => {
      await held.promise;
      return openSession(request, ctx);
    };
    const before = asked('openSession');
    for (const id of teams) live.sync.reanchor(id, 'e2');
    // What comes behind on the same stream: by then all followers have asked.
    live.sync.append('last', 'message.created');
    await ann.first('event', { space: 'last' });
    held.resolve();
    for (const space of teams) await ann.first('subscribed', { space, epoch: 'e2' });
    expect(asked('openSession')).toBe(before + 1);
  });

  it('has nothing to do with what is acknowledged before its snapshot is there', async () => {
    live.sync.append(live.sync.personal('ann').id, 'message.created');
    const ann = live.hello('ann');
    await ann.first('welcome');
    const held = Promise.withResolvers<void>();
    const { readSnapshot } = live.sync.script();
    live.mesh.sync.readSnapshot = async function* (request, ctx) {
      await held.promise;
      yield* readSnapshot?.(request, ctx) ?? [];
    };
    live.sync.reanchor('space-ann', 'e2');
    await ann.first('subscribed', { epoch: 'e2' });
    ann.send({ type: 'ack', space: 'personal', offset: 1, seq: 9 });
    await expect.poll(() => live.sync.acks).toMatchObject([{ epoch: 'e1', offset: 1, seq: 9 }]);
    held.resolve();
    await ann.first('snapshot', { epoch: 'e2', part: 2 });
    ann.send({ type: 'ack', space: 'personal', offset: 1, seq: 2 });
    await expect.poll(() => live.sync.acks.at(-1)).toMatchObject({ epoch: 'e2', offset: 1, seq: 2 });
  });
});
