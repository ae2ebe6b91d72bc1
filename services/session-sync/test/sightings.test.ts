import { describe, expect, it, vi } from 'vitest';
import type { DeviceInfo, DeviceStore } from '../src/app/ports.ts';
import { createSightings } from '../src/app/sightings.ts';

const device = (id: string, name = '') => ({ id, platform: 'web', name });
const ann = (from: DeviceInfo, sid = 's1') => ({
  userId: 'ann',
  device: from,
  login: { kind: 'session' as const, id: sid },
});

const start = () => {
  let nowMs = 0;
  const touch = vi.fn<DeviceStore['touch']>(async () => {});
  const sightings = createSightings({ touch }, { now: () => nowMs });
  return {
    ...{ sightings, touch },
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** What was written, statement by statement. */
    written: () =>
      touch.mock.calls.map(([devices]) => devices.map(({ userId, device: { id } }) => userId + id)),
  };
};

describe('sightings of devices', () => {
  it('are written together when they come together, each device once', async () => {
    const { sightings, written } = start();
    const ids = Array.from({ length: 1_500 }, (_, at) => `-${at}`);
    await Promise.all([...ids, '-0', '-1'].map((id) => sightings.note(ann(device(id)))));
    expect(written().map((one) => one.length)).toEqual([1_000, 500]);
    expect(new Set(written().flat()).size).toBe(1_500);
  });

  it('are not written again within a minute, unless the device says something else or was removed', async () => {
    const { sightings, touch, pass } = start();
    await sightings.note(ann(device('phone')));
    pass(59_999);
    await sightings.note(ann(device('phone')));
    expect(touch).toHaveBeenCalledTimes(1);
    await sightings.note({ userId: 'bob', device: device('phone') });
    await sightings.note(ann(device('phone', 'My phone')));
    expect(touch).toHaveBeenCalledTimes(3);
    sightings.forget('ann', 'phone');
    await sightings.note(ann(device('phone', 'My phone')));
    expect(touch).toHaveBeenCalledTimes(4);
    pass(60_000);
    await sightings.note(ann(device('phone', 'My phone')));
    expect(touch).toHaveBeenCalledTimes(5);
  });

  it('are written for every login the device comes with, also for two at once', async () => {
    const { sightings, touch } = start();
    const phone = device('phone');
    await Promise.all([sightings.note(ann(phone, 's1')), sightings.note(ann(phone, 's2'))]);
    expect(touch.mock.calls[0]?.[0].map(({ login }) => login?.id)).toEqual(['s1', 's2']);
    await sightings.note(ann(phone, 's3'));
    await sightings.note(ann(phone, 's3'));
    expect(touch).toHaveBeenCalledTimes(2);
  });

  it('fail together, and are tried again the next time', async () => {
    const { sightings, touch } = start();
    touch.mockRejectedValueOnce(new Error('away'));
    const both = await Promise.allSettled(['a', 'b'].map((id) => sightings.note(ann(device(id)))));
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await sightings.note(ann(device('a')));
    expect(touch).toHaveBeenCalledTimes(2);
  });
});
