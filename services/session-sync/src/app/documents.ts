import { AppError } from '@skein/contracts';
import {
  decodeMutation,
  isCollectionName,
  isDocumentId,
  isJsonObject,
  type Json,
  valueHash,
} from '@skein/sync-core';
import { changeSession, type SessionChanged } from '../domain/change-session.ts';
import { type Mutated, mutate, type ReceivedMutation } from '../domain/mutate.ts';
import { isManual } from '../domain/rules.ts';
import { isPersona, sessionDocument } from '../domain/session.ts';
import type { DocumentRow } from '../domain/state.ts';
import { once } from './once.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import type { Call, DeviceInfo, KnownDocument, Page, PageRequest } from './ports.ts';
import { checkedJson, checkedText, nameBytes } from './validate.ts';
import type { Unit } from './writer.ts';

/** Mutations of one call. */
const maxMutations = 100;
/**
 * All of them together. A frame of 1,000,000 bytes grows up to 4.4 times when its numbers are written out: the gateway
 * sends as many of its mutations as fit, and says of one that never would that it was `refused`.
 */
const mutationsBytes = 2_000_000;
const maxKnown = 5_000;

const malformed = (path: string, message: string): AppError =>
  new AppError('invalid_request', `${path} ${message}`, { errors: [{ path, message }] });

/** Refuses names no document can have, by the rule that also guards writing. */
const checkedNames = (path: string, { collection, id }: { collection: string; id?: string }): void => {
  if (!isCollectionName(collection)) throw malformed(`${path}collection`, 'is not a name');
  if (id !== undefined && !isDocumentId(id)) throw malformed(`${path}id`, 'is not an id');
};

/** Documents and the session's own. */
export const documentUseCases = (parts: AppParts) => {
  const { writer, documents, names, hub, ids, sha256, rulesOf } = parts;
  const hashOf = (value: Json) => valueHash(value, sha256);

  const checkedPersona = (path: string, persona: string): string => {
    if (!isPersona(persona)) throw malformed(path, 'must be a short name');
    return persona;
  };

  /** Reads the list strictly; a malformed mutation whose seq is known becomes a result of its own. */
  const received = (json: string): ReceivedMutation[] => {
    const list = checkedJson('mutations', json, mutationsBytes);
    if (!Array.isArray(list) || list.length === 0 || list.length > maxMutations)
      throw malformed('mutations', `must be a list of 1 to ${maxMutations} mutations`);
    return list.map((input: Json, at) => {
      const decoded = decodeMutation(input);
      if ('mutation' in decoded)
        return {
          seq: decoded.mutation.seq,
          mutation: decoded.mutation,
          hash: hashOf(decoded.mutation as unknown as Json),
        };
      const { seq } = decoded;
      const tooLarge = isJsonObject(input) && input.refused === 'too_large';
      const fault = tooLarge ? { path: '', message: 'is too large', code: 'too_large' } : decoded.fault;
      if (seq === undefined) throw malformed(`mutations[${at}].${fault.path}`, fault.message);
      // Too deep to be hashed canonically is still one and the same mutation when it is repeated.
      return { seq, fault, hash: hashOf(JSON.stringify(input)) };
    });
  };

  /** Devices connected to the space beside the one that did something. */
  const deliveredTo = (space: string, call: Call): number =>
    hub.presence.others(space, call.userId, call.device?.id);

  return {
    mutate: async (
      call: Call,
      device: DeviceInfo,
      name: string,
      { mutationsJson: json, epoch }: { readonly mutationsJson: string; readonly epoch?: string | undefined },
    ): Promise<Mutated & { readonly deliveredTo: number }> => {
      const mutations = received(json);
      const space = await names.resolve(call.userId, name);
      const command = {
        userId: call.userId,
        actor: { kind: 'user', user: call.userId, device: device.id, platform: call.platform },
        device: device.id,
        epoch,
        mutations,
        newId: () => ids.next(),
        hashOf,
        rulesOf,
      } as const;
      const mutated = await writer.write(
        {
          space,
          needs: {
            members: [call.userId],
            documents: mutations.flatMap(({ mutation }) => (mutation ? [mutation] : [])),
            seq: {
              userId: call.userId,
              device: device.id,
              seqs: mutations.map(({ seq }) => seq),
            },
            openConflicts: mutations.some(
              ({ mutation }) => mutation && isManual(rulesOf(mutation.collection).policy),
            ),
          },
          decide: (state, nowMs) => mutate(state, { ...command, nowMs }),
          bytes: 2 * json.length,
          correlationId: call.correlationId,
          traceparent: call.traceparent,
        },
        call.signal,
      );
      return { ...mutated, deliveredTo: deliveredTo(space, call) };
    },
    changeSession: async (
      call: Call,
      name: string,
      change: { readonly persona?: string | undefined; readonly memoryEnabled?: boolean | undefined },
    ): Promise<SessionChanged & { readonly deliveredTo: number }> => {
      const space = await names.resolve(call.userId, name);
      const command = {
        userId: call.userId,
        actor: { kind: 'user', user: call.userId, device: call.device?.id, platform: call.platform },
        persona: change.persona === undefined ? undefined : checkedPersona('persona', change.persona),
        memoryEnabled: change.memoryEnabled,
        hashOf,
        rulesOf,
      } as const;
      const unit: Unit<SessionChanged> = {
        space,
        needs: { members: [call.userId], documents: [sessionDocument] },
        decide: (state, nowMs) => changeSession(state, { ...command, nowMs }),
        correlationId: call.correlationId,
        traceparent: call.traceparent,
      };
      const body = [space, command.persona, command.memoryEnabled];
      const changed = await writer.write(once(sha256, unit, call, 'ChangeSession', body), call.signal);
      return { ...changed, deliveredTo: deliveredTo(space, call) };
    },
    list: async (
      call: Call,
      name: string,
      collection: string,
      page: PageRequest,
    ): Promise<Page<DocumentRow>> => {
      if (collection !== '') checkedNames('', { collection });
      const { id } = await visibleSpace(parts, call, name);
      return documents.list(id, collection, page);
    },
    get: async (call: Call, name: string, collection: string, document: string): Promise<DocumentRow> => {
      checkedNames('', { collection, id: document });
      const { id } = await visibleSpace(parts, call, name);
      const row = await documents.get(id, collection, document);
      if (!row) throw new AppError('not_found', 'There is no such document');
      return row;
    },
    compare: async (call: Call, name: string, known: readonly KnownDocument[], cursor?: string) => {
      if (known.length > maxKnown) throw malformed('versions', `must be at most ${maxKnown}`);
      for (const [at, one] of known.entries()) {
        checkedNames(`versions[${at}].`, one);
        checkedText(`versions[${at}].hash`, one.hash, { min: 0, max: nameBytes });
      }
      const { id } = await visibleSpace(parts, call, name);
      return documents.compare(id, known, cursor);
    },
  };
};
