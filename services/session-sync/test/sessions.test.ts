import { expect, it } from 'vitest';
import type { AppParts } from '../src/app/parts.ts';
import type { SpaceReads, SpaceView } from '../src/app/ports.ts';
import { spaceLimits, spaceUseCases } from '../src/app/spaces.ts';

it('reads the sessions of devices that come together with one query for a hundred, each its own', async () => {
  const asked: number[] = [];
  const reads: Pick<SpaceReads, 'sessionsOf'> = {
    sessionsOf: async (devices) => {
      asked.push(devices.length);
      return devices.map(({ userId, device }) => [{ id: `${userId} ${device}` } as SpaceView]);
    },
  };
  const parts = {
    reads,
    names: { resolve: async () => '' },
    sightings: { note: async () => {} },
  } as unknown as AppParts;
  const { openSession } = spaceUseCases(parts, spaceLimits, { tell: () => {}, invitation: () => {} });
  const devices = Array.from({ length: 250 }, (_, at) => [`person-${at >> 2}`, `device-${at & 3}`] as const);
  const opened = await Promise.all(
    devices.map(([userId, id]) =>
      openSession({ userId } as Parameters<typeof openSession>[0], { id, platform: 'web', name: '' }),
    ),
  );
  expect(opened.map(([space]) => space?.id)).toEqual(devices.map((one) => one.join(' ')));
  expect(asked).toEqual([100, 100, 50]);
});
