import type { Clock } from '@skein/service-kit';
import { keyOf } from '../domain/state.ts';
import { coalesce } from './live/coalesce.ts';
import type { DeviceInfo, DeviceStore } from './ports.ts';

/** A device noted this recently as what it is now is not noted again. */
const freshMs = 60_000;
/** Devices remembered as fresh; forgetting them costs a write each, nothing else. */
const remembered = 100_000;
/** Devices noted by one statement. */
const perStatement = 1_000;

/** Notes devices as seen with few writes: thousands open their sessions at once after a gateway has gone. */
export interface Sightings {
  /** Resolves when the device is known, seen about now; platform and name of one that has announced itself stay. */
  note(userId: string, device: DeviceInfo): Promise<void>;
  /** The device was removed: it is noted at its next sight. */
  forget(userId: string, id: string): void;
}

/** Makes sightings over a store. */
export const createSightings = (store: Pick<DeviceStore, 'touch'>, clock: Clock): Sightings => {
  const fresh = new Map<
    string,
    { readonly atMs: number; readonly platform: string; readonly name: string }
  >();
  const waiting = new Map<string, { readonly userId: string; readonly device: DeviceInfo }>();
  const write = coalesce(perStatement, async (keys) => {
    const devices = keys.flatMap((key) => waiting.get(key) ?? []);
    for (const key of keys) waiting.delete(key);
    const nowMs = clock.now();
    await store.touch(devices, nowMs);
    if (fresh.size + devices.length > remembered) fresh.clear();
    for (const { userId, device } of devices)
      fresh.set(keyOf(userId, device.id), { atMs: nowMs, platform: device.platform, name: device.name });
    return new Map<string, never>();
  });
  return {
    note: async (userId, device) => {
      const key = keyOf(userId, device.id);
      const known = fresh.get(key);
      const same = known?.platform === device.platform && known.name === device.name;
      if (known && same && clock.now() - known.atMs < freshMs) return;
      waiting.set(key, { userId, device });
      await write(key);
    },
    forget: (userId, id) => {
      fresh.delete(keyOf(userId, id));
    },
  };
};
