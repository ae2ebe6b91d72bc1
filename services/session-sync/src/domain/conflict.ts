import {
  applyOp,
  encodeHlc,
  type Fields,
  fieldPath,
  type Json,
  type Op,
  parseHlc,
  receiveHlc,
  stampFields,
  unseenAt,
} from '@skein/sync-core';
import { conflictResolved } from './conflict-row.ts';
import { type Decision, type Refusal, refuse, requireRole, unchanged } from './decision.ts';
import { documentEvent, overSize, sessionEvents } from './document.ts';
import type { Actor, NewEvent } from './event.ts';
import type { RulesOf } from './rules.ts';
import { type ConflictEndRow, type ConflictRow, type DocumentRow, keyOf, type SpaceState } from './state.ts';

/** A person undoes a settled conflict: the losing side comes back. */
export interface UndoConflict {
  readonly userId: string;
  readonly actor: Actor;
  readonly conflictId: string;
  readonly nowMs: number;
  readonly hashOf: (value: Json) => string;
  readonly rulesOf: RulesOf;
}

/** A person chooses between the two sides of an open conflict, or says what stands instead of both. */
export interface ResolveConflict extends UndoConflict {
  readonly choice: 'server' | 'client' | 'value';
  /** Of the choice `value`. */
  readonly value?: Json | undefined;
  /** The version of the document the person saw: one parent of the resolution; the other is the losing mutation. */
  readonly version: number;
}

/** How a conflict ended. */
export interface ConflictEnded {
  readonly conflictId: string;
  readonly state: 'resolved' | 'undone';
  readonly collection: string;
  readonly documentId: string;
  /** Of the document after it. */
  readonly version: number;
  /** Of `conflict.resolved`; 0 when it had ended like this before. */
  readonly offset: number;
}

type Refused = { readonly refused: Refusal };

/** The end of a conflict as its command has worked it out. */
interface Ending {
  readonly state: ConflictEnded['state'];
  readonly choice: ResolveConflict['choice'];
  /** What the field becomes; undefined takes it away. */
  readonly value: Json | undefined;
  /** The version of the document it was decided on. */
  readonly parent: number;
}

const superseded = (row: DocumentRow | undefined): Refused =>
  refuse('superseded', 'The document was changed since: look at it again', {
    version: String(row?.loggedVersion ?? 0),
  });

const closed = ({ state }: ConflictRow): Refused =>
  refuse('superseded', `The conflict is ${state} already`, { state });

/** Whether somebody has written the field, or deleted the document, after a version. */
const changedAfter = (row: DocumentRow, field: string, version: number): boolean =>
  (row.deleted && (row.loggedVersion > version || field !== '')) ||
  unseenAt(JSON.parse(row.fields) as Fields, fieldPath(field), version) !== undefined;

const side = (text: string | null): Json | undefined =>
  text === null ? undefined : (JSON.parse(text) as Json);

/** The document with its field as the person wants it; above what everybody has, also a classic client that lost. */
const rewritten = (
  state: SpaceState,
  row: DocumentRow,
  conflict: ConflictRow,
  value: Json | undefined,
  { actor, nowMs, hashOf, rulesOf }: UndoConflict,
): DocumentRow | Refused => {
  const path = fieldPath(conflict.field);
  const takeAway: Op = path.length === 0 ? { op: 'delete', path: [] } : { op: 'unset', path };
  const op: Op = value === undefined ? takeAway : { op: 'set', path, value };
  const before = JSON.parse(row.value) as Json;
  const after = applyOp(row.deleted ? undefined : before, op);
  if ('fault' in after) return superseded(row);
  const next = after.value ?? before;
  const text = JSON.stringify(next);
  const tooLarge = overSize(text);
  if (tooLarge) return tooLarge;
  const fault = rulesOf(row.collection).faultOf(next, row.deleted ? undefined : before);
  if (fault !== undefined)
    return refuse('invalid_request', `The collection does not allow this at "${fault}"`);
  const fields = JSON.parse(row.fields) as Fields;
  const seen = parseHlc(unseenAt(fields, path, 0)?.hlc ?? '');
  const device = actor.device ?? actor.platform;
  const hlc = encodeHlc(
    seen ? receiveHlc(undefined, seen, nowMs, device) : { ms: nowMs, counter: 0, device },
  );
  const version = Math.max(row.version, conflict.baseVersion) + 1;
  return {
    ...row,
    ...{ version, loggedVersion: version, value: text, hash: hashOf(next), offset: state.head + 1 },
    fields: JSON.stringify(stampFields(fields, [op], { version, hlc })),
    ...{ deleted: after.value === undefined, updatedAtMs: nowMs, clientTimeMs: nowMs },
  };
};

const end = (
  state: SpaceState,
  conflict: ConflictRow,
  row: DocumentRow,
  ending: Ending,
  command: UndoConflict,
): Decision<ConflictEnded> => {
  const { actor, userId, nowMs } = command;
  const after = rewritten(state, row, conflict, ending.value, command);
  if ('refused' in after) return after;
  const ended: ConflictEndRow = {
    ...{ id: conflict.id, state: ending.state, choice: ending.choice },
    ...{ closedVersion: after.version, closedAtMs: nowMs, closedBy: userId },
  };
  const events: NewEvent[] = [
    documentEvent(after, { actor, device: actor.device }, { settled: true }),
    ...sessionEvents(row, after, actor),
    conflictResolved(conflict, ended, ending.parent, actor),
  ];
  return {
    result: {
      ...{ conflictId: conflict.id, state: ending.state },
      ...{ collection: conflict.collection, documentId: conflict.documentId },
      ...{ version: after.version, offset: state.head + events.length },
    },
    events,
    writes: { documents: [after], conflictEnds: [ended] },
  };
};

const endedBefore = (conflict: ConflictRow, state: ConflictEnded['state']): Decision<ConflictEnded> =>
  unchanged({
    ...{ conflictId: conflict.id, state, collection: conflict.collection, documentId: conflict.documentId },
    ...{ version: conflict.closedVersion ?? conflict.version, offset: 0 },
  });

const find = (
  state: SpaceState,
  { userId, conflictId }: UndoConflict,
): { readonly conflict: ConflictRow; readonly row: DocumentRow | undefined } | Refused => {
  const denied = requireRole(state, userId, 'editor');
  if (denied) return denied;
  const conflict = state.conflicts.get(conflictId);
  if (!conflict) return refuse('not_found', 'There is no such conflict');
  return { conflict, row: state.documents.get(keyOf(conflict.collection, conflict.documentId)) };
};

/**
 * Settles an open conflict by a person's choice, as a change of the document whose parents are the version that was
 * seen and the mutation that lost. The same choice again changes nothing; `superseded` when somebody was quicker.
 */
export const resolveConflict = (state: SpaceState, command: ResolveConflict): Decision<ConflictEnded> => {
  const found = find(state, command);
  if ('refused' in found) return found;
  const { conflict, row } = found;
  const { choice, version, rulesOf } = command;
  if (conflict.state === 'resolved' && conflict.choice === choice && choice !== 'value')
    return endedBefore(conflict, 'resolved');
  if (conflict.state !== 'open') return closed(conflict);
  if (!row || changedAfter(row, conflict.field, version)) return superseded(row);
  if (version > row.loggedVersion) return refuse('invalid_request', 'The document has no such version yet');
  // Either side was let in when it came; a value of one's own is a new write.
  if (choice === 'value' && rulesOf(row.collection).policy.direction === 'pull')
    return refuse('forbidden', 'Devices do not write this type');
  const value =
    choice === 'value'
      ? command.value
      : side(choice === 'server' ? conflict.serverValue : conflict.clientValue);
  return end(state, conflict, row, { state: 'resolved', choice, value, parent: version }, command);
};

/**
 * Brings the losing side of a settled conflict back. Again changes nothing; `superseded` when the field was written
 * or the document deleted since.
 */
export const undoConflict = (state: SpaceState, command: UndoConflict): Decision<ConflictEnded> => {
  const found = find(state, command);
  if ('refused' in found) return found;
  const { conflict, row } = found;
  if (conflict.state === 'undone') return endedBefore(conflict, 'undone');
  if (conflict.state === 'open') return refuse('invalid_request', 'A person has to choose: resolve it');
  if (conflict.state === 'resolved') return closed(conflict);
  if (!row || changedAfter(row, conflict.field, conflict.version)) return superseded(row);
  const choice = conflict.winner === 'server' ? 'client' : 'server';
  const value = side(choice === 'server' ? conflict.serverValue : conflict.clientValue);
  return end(state, conflict, row, { state: 'undone', choice, value, parent: conflict.version }, command);
};
