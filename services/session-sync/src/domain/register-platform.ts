import { type Decision, requireRole, unchanged } from './decision.ts';
import type { Actor } from './event.ts';
import { type DeviceRow, keyOf, type SpaceState } from './state.ts';

/** A device says where it is. */
export interface RegisterPlatform {
  readonly userId: string;
  readonly actor: Actor;
  readonly device: { readonly id: string; readonly platform: string; readonly name: string };
  readonly nowMs: number;
}

/** `platform.registered` in the personal space, only when it says something new. Returns its offset, else 0. */
export const registerPlatform = (state: SpaceState, command: RegisterPlatform): Decision<number> => {
  const { userId, device, actor, nowMs } = command;
  const denied = requireRole(state, userId, 'viewer');
  if (denied) return denied;
  const known = state.devices.get(keyOf(userId, device.id));
  const name = device.name || known?.name || '';
  if (known?.registered && known.platform === device.platform && known.name === name) return unchanged(0);
  const row: DeviceRow = {
    userId,
    id: device.id,
    platform: device.platform,
    name,
    lastSeenMs: nowMs,
    registered: true,
  };
  return {
    result: state.head + 1,
    events: [
      {
        type: 'platform.registered',
        actor,
        data: { device: device.id, platform: device.platform, name: name || undefined },
      },
    ],
    writes: { devices: [row] },
  };
};
