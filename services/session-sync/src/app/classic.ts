import { AppError } from '@skein/contracts';
import { isCollectionName, isDocumentId, type Json, valueFault, valueHash } from '@skein/sync-core';
import { applyClassic, type ClassicApplied, type SyncData, toSyncData } from '../domain/apply-classic.ts';
import { documentBytes } from '../domain/document.ts';
import { once } from './once.ts';
import type { AppParts } from './parts.ts';
import { personalAlias } from './personal-space.ts';
import type { Call, DeviceInfo } from './ports.ts';
import { byteLength, checkedInteger, checkedJson, checkedText, nameBytes } from './validate.ts';
import type { Unit } from './writer.ts';

/** Versions of one sync_request. */
const maxKnown = 5_000;

/** What a classic read answers; `offset` is how far it reaches. */
export interface ClassicItems {
  readonly items: readonly SyncData[];
  readonly offset: number;
  readonly epoch: string;
  /** Of a comparison: the cursor of the page after, undefined on the last one. */
  readonly next?: string | undefined;
}

const checked = (data: SyncData): SyncData => {
  if (!isCollectionName(data.type)) throw new AppError('invalid_request', 'data.type is not a name');
  if (!isDocumentId(data.id)) throw new AppError('invalid_request', 'data.id is not an id');
  if (byteLength(data.data) > documentBytes)
    throw new AppError('too_large', `A document must be at most ${documentBytes} bytes long`);
  if (data.data.includes('\u0000')) throw new AppError('invalid_request', 'data is not valid JSON');
  const fault = valueFault(checkedJson('data.data', data.data, documentBytes));
  if (fault) throw new AppError('invalid_request', `data.data${fault.path} ${fault.message}`);
  checkedInteger('data.version', data.version, 0, Number.MAX_SAFE_INTEGER);
  checkedInteger('data.timestamp', data.timestamp, 0, Number.MAX_SAFE_INTEGER);
  return data;
};

/** Documents for classic clients: whole values of the personal space. */
export const classicUseCases = (parts: AppParts) => {
  const { writer, documents, devices, names, hub, ids, sha256, rulesOf } = parts;
  return {
    apply: async (
      call: Call,
      device: DeviceInfo,
      data: SyncData,
      seen: { readonly seenOffset: number; readonly epoch?: string | undefined },
    ): Promise<ClassicApplied & { readonly deliveredTo: number }> => {
      const sent = checked(data);
      const space = await names.resolve(call.userId, personalAlias);
      const command = {
        userId: call.userId,
        actor: { kind: 'user', user: call.userId, device: device.id, platform: device.platform },
        device: device.id,
        sent,
        seenOffset: seen.seenOffset,
        epoch: seen.epoch,
        conflictId: ids.next(),
        hashOf: (value: Json) => valueHash(value, sha256),
        rulesOf,
      } as const;
      const unit: Unit<ClassicApplied> = {
        space,
        needs: {
          members: [call.userId],
          documents: [{ collection: sent.type, id: sent.id }],
          openConflicts: true,
        },
        decide: (state, nowMs) => applyClassic(state, { ...command, nowMs }),
        bytes: 2 * sent.data.length,
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      const body = [device.id, sent.id, sent.type, sent.data, sent.timestamp, sent.version];
      const applied = await writer.write(once(sha256, unit, call, 'ApplyClassic', body), call.signal);
      return { ...applied, deliveredTo: hub.presence.others(space, call.userId, device.id) };
    },
    /** What changed after an offset, or after what the device has acknowledged. */
    changed: async (call: Call, afterOffset: number, deviceId: string): Promise<ClassicItems> => {
      const space = await names.resolve(call.userId, personalAlias);
      const after =
        deviceId === ''
          ? checkedInteger('afterOffset', afterOffset, 0, Number.MAX_SAFE_INTEGER)
          : await devices.ackedOffset(
              call.userId,
              checkedText('deviceId', deviceId, { max: nameBytes }),
              space,
            );
      const { documents: rows, ...at } = await documents.changedAfter(space, after);
      return { ...at, items: rows.map(toSyncData) };
    },
    /** The answer to a sync_request: all that is not exactly as the client has it, and ids nobody knows. */
    compare: async (
      call: Call,
      known: readonly { readonly id: string; readonly version: number }[],
      cursor?: string,
    ): Promise<ClassicItems> => {
      if (known.length > maxKnown)
        throw new AppError('invalid_request', `versions must be at most ${maxKnown}`);
      for (const [at, { id }] of known.entries())
        checkedText(`versions[${at}].id`, id, { max: 4 * nameBytes });
      const space = await names.resolve(call.userId, personalAlias);
      const { documents: rows, unknown, ...at } = await documents.classicDifference(space, known, cursor);
      const nobodys = unknown.map((id) => ({ id, type: 'unknown', data: 'null', timestamp: 0, version: 0 }));
      return { ...at, items: [...rows.map(toSyncData), ...nobodys] };
    },
  };
};
