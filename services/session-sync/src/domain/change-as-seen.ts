import { encodeHlc, type Json, type Op, settle } from '@skein/sync-core';
import { type Refusal, refuse } from './decision.ts';
import { documentEvent, documentState, nextVersion } from './document.ts';
import type { Actor, NewEvent } from './event.ts';
import type { RulesOf } from './rules.ts';
import { type DocumentRow, keyOf, type SpaceState } from './state.ts';

/** A change of one document by the server itself. */
export interface SeenChange {
  readonly collection: string;
  readonly id: string;
  readonly ops: readonly Op[];
  readonly actor: Actor;
  readonly nowMs: number;
  readonly hashOf: (value: Json) => string;
  readonly rulesOf: RulesOf;
}

/** The document after it and the event that says so. */
export interface SeenChanged {
  readonly before: DocumentRow | undefined;
  readonly row: DocumentRow;
  readonly event: NewEvent;
}

/**
 * A mutation by somebody who sees the document as it is: it never conflicts. `place` counts the events of the command
 * that come before this one's. It is refused where the value may not be.
 */
export const changeAsSeen = (
  state: SpaceState,
  change: SeenChange,
  place = 0,
): SeenChanged | { readonly refused: Refusal } => {
  const { collection, id, actor, nowMs, ops } = change;
  const before = state.documents.get(keyOf(collection, id));
  const { policy, faultOf } = change.rulesOf(collection);
  const mutation = {
    ...{ seq: 0, collection, id, ops },
    baseVersion: before && !before.deleted ? before.loggedVersion : 0,
    hlc: encodeHlc({ ms: nowMs, counter: 0, device: actor.device ?? actor.platform }),
  };
  const settled = settle(documentState(before), mutation, policy, nowMs);
  if (!('document' in settled) || !settled.document)
    return refuse('invalid_request', `${collection} ${id} cannot be changed like this`);
  const { document } = settled;
  const fault = faultOf(document.value, before?.deleted ? undefined : documentState(before)?.value);
  if (fault !== undefined)
    return refuse('invalid_request', `A document of ${collection} is not allowed at "${fault}"`);
  const version = nextVersion(before, document.version);
  const row: DocumentRow = {
    ...{ space: state.id, collection, id, version, loggedVersion: version, deleted: false },
    ...{ value: JSON.stringify(document.value), hash: change.hashOf(document.value) },
    ...{ offset: state.head + place + 1, fields: JSON.stringify(document.fields) },
    ...{ updatedAtMs: nowMs, clientTimeMs: nowMs },
  };
  const event = documentEvent(row, { actor, device: actor.device }, { ops: JSON.stringify(settled.ops) });
  return { before, row, event };
};
