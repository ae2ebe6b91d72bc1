import type { syncV1 } from '@skein/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startLive } from './harness.ts';

const hash = (documents: number): string => `1:${String(documents).padStart(16, '0')}`;

describe('check', () => {
  let live: Harness;
  beforeEach(async () => {
    // Pings far apart: the clock of these tests jumps.
    live = await startLive({}, { PING_MS: 3_600_000 });
    live.sync.tellsHashes = true;
    live.sync.personal('ann');
    for (let at = 0; at < 2; at += 1) live.sync.append('space-ann', 'document.changed');
  });
  afterEach(() => live.stop());

  const device = (id: string) => ({ id, platform: 'web' });
  const at = (offset: number) => [{ space: 'space-ann', epoch: 'e1', offset }];
  const document = () => live.sync.append('space-ann', 'document.changed');
  const message = () => live.sync.append('space-ann', 'message.created');

  it('comes after a replay, with the position it holds at', async () => {
    const ann = live.hello('ann', { streams: at(1) });
    expect(await ann.first('check')).toEqual({
      ...{ type: 'check', space: 'space-ann', epoch: 'e1', offset: 2, stateHash: hash(2) },
    });
    expect(ann.frames.map(({ type }) => type)).toEqual(['welcome', 'event', 'check']);
  });

  it('is read once for all who replay, as long as no document changes, and moves with the head', async () => {
    const first = live.hello('ann', { device: device('one'), streams: at(1) });
    await first.first('check');
    message();
    await first.first('event', { offset: 3 });
    const second = live.hello('ann', { device: device('two'), streams: at(1) });
    expect(await second.first('check')).toMatchObject({ offset: 3, stateHash: hash(2) });
    expect(second.frames.map(({ type }) => type)).toEqual(['welcome', 'event', 'event', 'check']);
    expect(live.sync.hashReads).toEqual([['space-ann']]);
  });

  it('comes once a minute at most while documents change, to all who have a state, behind its events', async () => {
    const resumed = live.hello('ann', { device: device('one'), streams: at(1) });
    const whole = live.hello('ann', { device: device('two'), streams: [{ space: 'space-ann' }] });
    const fresh = live.hello('ann', { device: device('three') });
    await resumed.first('check');
    await Promise.all([whole.first('snapshot', { part: 2 }), fresh.first('welcome')]);
    for (let n = 0; n < 3; n += 1) document();
    await resumed.first('event', { offset: 5 });
    live.pass(59_000);
    document();
    await resumed.first('event', { offset: 6 });
    expect(live.sync.hashReads).toHaveLength(1);
    live.pass(1_500);
    for (const one of [resumed, whole])
      expect(await one.first('check', { offset: 6 })).toMatchObject({ stateHash: hash(6) });
    expect(resumed.frames.at(-2)).toMatchObject({ type: 'event', offset: 6 });
    // Whoever went live from the head has no state to compare.
    expect(fresh.of('check')).toEqual([]);
    live.pass(120_000);
    message();
    await resumed.first('event', { offset: 7 });
    await fresh.first('event', { offset: 7 });
    expect(live.sync.hashReads).toHaveLength(2);
  });

  it('waits for the events before it when it is read ahead of them, and is dropped when it is overtaken', async () => {
    const ann = live.hello('ann', { streams: at(0) });
    await ann.first('check');
    const space = live.sync.get('space-ann');
    let answer = (_: syncV1.StateHash) => {};
    live.mesh.sync.readStateHashes = async ({ spaces }) => {
      live.sync.hashReads.push(spaces);
      const item = await new Promise<syncV1.StateHash>((resolve) => {
        answer = resolve;
      });
      return { items: [item] };
    };
    document();
    live.pass(61_000);
    await expect.poll(() => live.sync.hashReads.length).toBe(2);
    // Made of two events more than this gateway has.
    answer({ ...live.sync.stateHash(space), offset: 5, stateHash: hash(5) });
    await ann.first('event', { offset: 3 });
    ann.send({ type: 'ping', t: 1 });
    await ann.first('pong', { t: 1 });
    document();
    await ann.first('event', { offset: 4 });
    expect(ann.of('check')).toHaveLength(1);
    message();
    expect(await ann.first('check', { offset: 5 })).toMatchObject({ stateHash: hash(5) });
    expect(ann.frames.at(-2)).toMatchObject({ type: 'event', offset: 5 });

    document();
    live.pass(61_000);
    await expect.poll(() => live.sync.hashReads.length).toBe(3);
    const stale = live.sync.stateHash(space);
    document();
    await ann.first('event', { offset: 7 });
    answer(stale);
    live.pass(61_000);
    await expect.poll(() => live.sync.hashReads.length).toBe(4);
    answer(live.sync.stateHash(space));
    await ann.first('check', { offset: 7 });
    expect(ann.of('check').map(({ offset }) => offset)).toEqual([2, 5, 7]);
  });

  it('is read for a hundred spaces in one call', async () => {
    const ids = Array.from({ length: 150 }, (_, n) => `team-${n}`);
    for (const id of ids) {
      live.sync.space(id, ['ann']);
      live.sync.append(id, 'document.changed');
    }
    const ann = live.hello('ann', { streams: ids.map((space) => ({ space, epoch: 'e1', offset: 0 })) });
    await expect.poll(() => ann.of('check').length, { timeout: 5_000 }).toBe(150);
    expect(Math.max(...live.sync.hashReads.map((spaces) => spaces.length))).toBeLessThanOrEqual(100);
    expect(live.sync.hashReads.flat()).toHaveLength(150);
  });

  it('is left out while it cannot be read, and nothing else is', async () => {
    live.sync.tellsHashes = false;
    const ann = live.hello('ann', { streams: at(0) });
    await ann.first('event', { offset: 2 });
    message();
    await ann.first('event', { offset: 3 });
    expect(ann.of('check')).toEqual([]);
  });
});
