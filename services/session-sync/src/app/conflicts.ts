import { AppError } from '@skein/contracts';
import { type Json, valueFault, valueHash } from '@skein/sync-core';
import {
  type ConflictEnded,
  type ResolveConflict,
  resolveConflict,
  type UndoConflict,
  undoConflict,
} from '../domain/conflict.ts';
import type { Decision } from '../domain/decision.ts';
import { documentBytes } from '../domain/document.ts';
import type { ConflictRow, SpaceState } from '../domain/state.ts';
import { once } from './once.ts';
import { type AppParts, visibleSpace } from './parts.ts';
import { isId } from './personal-space.ts';
import type { Call, Page, PageRequest } from './ports.ts';
import { checkedInteger, checkedJson, checkedOneOf } from './validate.ts';

/** What a person chooses. */
export interface Choice {
  readonly choice: string;
  /** JSON text; of the choice `value` only. */
  readonly value: string | undefined;
  readonly version: number;
}

const states = ['', 'open', 'settled', 'resolved', 'undone'] as const;

const checkedValue = (text: string): Json => {
  const value = checkedJson('value', text, documentBytes);
  const fault = valueFault(value);
  if (fault)
    throw new AppError('invalid_request', `value ${fault.message}`, {
      errors: [{ path: `value${fault.path}`, message: fault.message }],
    });
  return value as Json;
};

/** Conflicts of a space: what lost and why, and what people make of it. */
export const conflictUseCases = (parts: AppParts) => {
  const { writer, conflicts, names, sha256, rulesOf } = parts;

  const end = async (
    call: Call,
    name: string,
    conflictId: string,
    method: string,
    body: readonly unknown[],
    decide: (state: SpaceState, command: UndoConflict) => Decision<ConflictEnded>,
  ): Promise<ConflictEnded> => {
    const space = await names.resolve(call.userId, name);
    if (!isId(conflictId)) throw new AppError('not_found', 'There is no such conflict');
    const command: Omit<UndoConflict, 'nowMs'> = {
      ...{ userId: call.userId, conflictId, rulesOf },
      actor: { kind: 'user', user: call.userId, device: call.device?.id, platform: call.platform },
      hashOf: (value) => valueHash(value, sha256),
    };
    const unit = {
      space,
      needs: { members: [call.userId], conflict: conflictId },
      decide: (state: SpaceState, nowMs: number) => decide(state, { ...command, nowMs }),
      bytes: 2 * documentBytes,
      correlationId: call.correlationId,
      traceparent: call.traceparent,
    };
    return writer.write(once(sha256, unit, call, method, [space, conflictId, ...body]), call.signal);
  };

  return {
    /** Newest first; all of them, or those of one state. */
    list: async (call: Call, name: string, state: string, page: PageRequest): Promise<Page<ConflictRow>> => {
      const wanted = checkedOneOf('state', state, states);
      const { id } = await visibleSpace(parts, call, name);
      return conflicts.list(id, wanted, page);
    },
    resolve: (call: Call, name: string, conflictId: string, chosen: Choice): Promise<ConflictEnded> => {
      const choice = checkedOneOf('choice', chosen.choice, ['server', 'client', 'value']);
      if ((choice === 'value') !== (chosen.value !== undefined))
        throw new AppError('invalid_request', 'value goes with the choice "value", and only with it', {
          errors: [{ path: 'value', message: 'goes with the choice "value", and only with it' }],
        });
      const value = chosen.value === undefined ? undefined : checkedValue(chosen.value);
      const version = checkedInteger('version', chosen.version, 0, Number.MAX_SAFE_INTEGER);
      return end(
        call,
        name,
        conflictId,
        'ResolveConflict',
        [choice, chosen.value, version],
        (state, command) =>
          resolveConflict(state, { ...command, choice, value, version } satisfies ResolveConflict),
      );
    },
    undo: (call: Call, name: string, conflictId: string): Promise<ConflictEnded> =>
      end(call, name, conflictId, 'UndoConflict', [], undoConflict),
  };
};
