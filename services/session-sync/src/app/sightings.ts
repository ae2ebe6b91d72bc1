import type { Clock } from '@skein/service-kit';
import { keyOf } from '../domain/state.ts';
import { coalesce } from './live/coalesce.ts';
import type { DeviceStore, OwnDevice } from './ports.ts';

/** A device noted this recently as what it is now is not noted again. */
const freshMs = 60_000;
/** Devices remembered as fresh; forgetting them costs a write each, nothing else. */
const remembered = 100_000;
/** Devices noted by one statement. */
const perStatement = 1_000;

/** Notes devices as seen with few writes: thousands open their sessions at once after a gateway has gone. */
export interface Sightings {
  /**
   * Resolves when the device is known, seen about now and with its login; platform and name of one that has announced
   * itself stay.
   */
  note(sight: OwnDevice): Promise<void>;
  /** The device was removed: it is noted at its next sight. */
  forget(userId: string, id: string): void;
}

/** Makes sightings over a store. */
export const createSightings = (store: Pick<DeviceStore, 'touch'>, clock: Clock): Sightings => {
  const fresh = new Map<
    string,
    { readonly atMs: number; readonly platform: string; readonly name: string; readonly login: string }
  >();
  const waiting = new Map<string, OwnDevice>();
  const loginKey = ({ login }: OwnDevice): string => (login ? keyOf(login.kind, login.id) : '');
  const write = coalesce(perStatement, async (keys) => {
    const devices = keys.flatMap((key) => waiting.get(key) ?? []);
    for (const key of keys) waiting.delete(key);
    const nowMs = clock.now();
    await store.touch(devices, nowMs);
    if (fresh.size + devices.length > remembered) fresh.clear();
    for (const sight of devices) {
      const { platform, name, id } = sight.device;
      fresh.set(keyOf(sight.userId, id), { atMs: nowMs, platform, name, login: loginKey(sight) });
    }
    return new Map<string, never>();
  });
  return {
    note: async (sight) => {
      const { userId, device } = sight;
      const login = loginKey(sight);
      const known = fresh.get(keyOf(userId, device.id));
      const same = known?.platform === device.platform && known.name === device.name && known.login === login;
      if (known && same && clock.now() - known.atMs < freshMs) return;
      // By login too: of two that come at once with one device neither may be missed.
      const key = keyOf(userId, device.id, login);
      waiting.set(key, sight);
      await write(key);
    },
    forget: (userId, id) => {
      fresh.delete(keyOf(userId, id));
    },
  };
};
