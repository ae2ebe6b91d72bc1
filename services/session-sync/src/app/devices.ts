import { AppError } from '@skein/contracts';
import { registerPlatform } from '../domain/register-platform.ts';
import { once } from './once.ts';
import type { AppParts } from './parts.ts';
import { personalAlias, personalSpaceId } from './personal-space.ts';
import type { Acknowledged, Call, DeviceInfo, ListedDevice } from './ports.ts';
import { checkedInteger, checkedText, nameBytes } from './validate.ts';
import type { Unit } from './writer.ts';

/** A person's devices. */
export const deviceUseCases = (parts: AppParts) => {
  const { writer, sha256, devices, sightings, names, hub } = parts;
  return {
    /** Offset of `platform.registered`, 0 when nothing was new. */
    register: async (
      call: Call,
      device: DeviceInfo,
    ): Promise<{ readonly offset: number; readonly deliveredTo: number }> => {
      const space = await names.resolve(call.userId, personalAlias);
      const command = {
        userId: call.userId,
        actor: { kind: 'user', user: call.userId, device: device.id, platform: device.platform },
        device,
      } as const;
      const unit: Unit<number> = {
        space,
        needs: { members: [call.userId], device: { userId: call.userId, id: device.id } },
        decide: (state, nowMs) => registerPlatform(state, { ...command, nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      const body = [device.id, device.platform, device.name];
      const offset = await writer.write(once(sha256, unit, call, 'RegisterPlatform', body), call.signal);
      await sightings.note({ userId: call.userId, device, login: call.login });
      return { offset, deliveredTo: hub.presence.others(space, call.userId, device.id) };
    },
    ack: async (call: Call, name: string, deviceId: string, reached: Acknowledged): Promise<void> => {
      const space = await names.resolve(call.userId, name);
      const device = checkedText('deviceId', deviceId, { max: nameBytes });
      const position = {
        epoch: checkedText('epoch', reached.epoch, { min: 0, max: nameBytes }),
        offset: checkedInteger('offset', reached.offset, 0, Number.MAX_SAFE_INTEGER),
        seq: checkedInteger('seq', reached.seq, 0, Number.MAX_SAFE_INTEGER),
      };
      if (!(await devices.ack(call.userId, device, space, position)))
        throw new AppError('not_found', 'There is no such space');
    },
    /** The person's devices, or the one that is named: none when there is no such device. */
    list: async (
      call: Call,
      id?: string,
    ): Promise<readonly (ListedDevice & { readonly connected: boolean })[]> => {
      const space = personalSpaceId(call.userId);
      const rows = await devices.list(call.userId, id);
      return rows.map((row) => ({ ...row, connected: hub.presence.isConnected(space, call.userId, row.id) }));
    },
    remove: async (call: Call, deviceId: string): Promise<void> => {
      const id = checkedText('deviceId', deviceId, { max: nameBytes });
      const removed = await devices.remove(call.userId, id);
      sightings.forget(call.userId, id);
      if (!removed) throw new AppError('not_found', 'There is no such device');
    },
  };
};
