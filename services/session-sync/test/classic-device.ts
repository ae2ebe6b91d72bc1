import { expect } from 'vitest';
import { actingFor, type Running } from './harness.ts';

/** Classic devices, and a deletion by another kind of device, on a running session-sync. */
export const classicDevices = (running: () => Running) => {
  /** A classic device that remembers what it was sent. */
  const classicDevice = (user: string, id: string) => {
    const ctx = actingFor(user);
    return {
      seen: 0,
      epoch: undefined as string | undefined,
      async send(
        type: string,
        data: unknown,
        version: number,
        more: { id?: string; timestamp?: number; raw?: string } = {},
      ) {
        return running().gateway.applyClassic(
          {
            origin: { device: { id, platform: 'classic', name: '' } },
            data: {
              id: more.id ?? 'doc',
              type,
              dataJson: more.raw ?? JSON.stringify(data),
              timestamp: more.timestamp ?? 1_000,
              version,
            },
            seenOffset: this.seen,
            epoch: this.epoch,
          },
          ctx,
        );
      },
      head: async () =>
        (await running().gateway.readEvents({ space: 'personal', epoch: '', after: 0, limit: 1 }, ctx)).head,
      compare: async (versions: { id: string; version: number }[]) =>
        (
          await running().gateway.readClassic(
            { afterOffset: 0, versions, compare: true, deviceId: '', cursor: '' },
            ctx,
          )
        ).items,
      since: (afterOffset: number, deviceId = '') =>
        running().gateway.readClassic(
          { afterOffset, versions: [], compare: false, deviceId, cursor: '' },
          ctx,
        ),
      ack: (offset: number) =>
        running().gateway.ackDevice({ space: 'personal', deviceId: id, offset, seq: 0, epoch: '' }, ctx),
    };
  };

  /** Deletes a task from another kind of device. */
  const deleteAs = async (user: string, id: string, collection = 'task') => {
    const hlc = '000000000fff-0000-web';
    const mutations = [{ seq: 1, collection, id, baseVersion: 1, ops: [{ op: 'delete' }], hlc }];
    const { resultsJson } = await running().gateway.mutate(
      {
        space: 'personal',
        origin: { device: { id: 'web', platform: 'web', name: '' } },
        mutationsJson: JSON.stringify(mutations),
      },
      actingFor(user),
    );
    expect(JSON.parse(resultsJson)).toMatchObject([{ outcome: 'applied' }]);
  };
  return { classicDevice, deleteAs };
};
