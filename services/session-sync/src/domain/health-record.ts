import { encodeHlc, type Json } from '@skein/sync-core';
import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import { documentEvent, nextVersion, overSize, writerOf } from './document.ts';
import type { Actor } from './event.ts';
import { ledgerCollection, nextEntry } from './ledger.ts';
import type { RulesOf } from './rules.ts';
import { type DocumentRow, keyOf, type SpaceState } from './state.ts';

/** A record becomes a document of its space. */
export interface AppendRecord {
  readonly id: string;
  readonly userId: string;
  readonly actor: Actor;
  /** JSON text. */
  readonly value: string;
  readonly nowMs: number;
  readonly hashOf: (value: Json) => string;
  readonly rulesOf: RulesOf;
}

/** Where it is: in the log, and in the ledger. */
export interface RecordAppended {
  readonly version: number;
  readonly offset: number;
  readonly entry: number;
}

/** Who may write the record at all, and why not; undefined when nothing is wrong. */
export const recordFault = (rulesOf: RulesOf, value: string) => {
  const { policy, faultOf } = rulesOf(ledgerCollection);
  const tooLarge = overSize(value);
  if (tooLarge) return tooLarge;
  if (policy.direction === 'pull') return refuse('forbidden', 'Devices do not write this type');
  const fault = faultOf(JSON.parse(value) as Json);
  return fault === undefined ? undefined : refuse('invalid_request', `value is not allowed at "${fault}"`);
};

/** `document.changed`, once; the ledger's entry goes with it. */
export const appendRecord = (state: SpaceState, command: AppendRecord): Decision<RecordAppended> => {
  const { id, userId, actor, value, nowMs } = command;
  const denied = requireRole(state, userId, 'editor') ?? recordFault(command.rulesOf, value);
  if (denied) return denied;
  if (state.documents.has(keyOf(ledgerCollection, id)))
    return refuse('superseded', 'There is a record with this id already');
  const offset = state.head + 1;
  const device = actor.device ?? 'server';
  const stamp = {
    version: 1,
    hlc: encodeHlc({ ms: nowMs, counter: 0, device }),
    by: writerOf(userId, device),
  };
  const row: DocumentRow = {
    ...{ space: state.id, collection: ledgerCollection, id, version: 1, loggedVersion: 1, value, offset },
    ...{ hash: command.hashOf(JSON.parse(value) as Json), fields: JSON.stringify({ '': stamp }) },
    ...{ deleted: false, updatedAtMs: nowMs, clientTimeMs: nowMs },
  };
  return {
    result: { version: 1, offset, entry: nextEntry(state) },
    events: [documentEvent(row, { actor, device: actor.device })],
    writes: { documents: [row] },
  };
};

/** A record is taken back. */
export interface TakeRecordBack {
  readonly id: string;
  readonly actor: Actor;
  /** The entry that says it was recorded. */
  readonly entry: number;
  readonly nowMs: number;
}

/**
 * `document.deleted`, and an entry in the ledger that names the one it takes back. A record that somebody has deleted
 * meanwhile is gone already, and its deletion is in the ledger.
 */
export const takeRecordBack = (state: SpaceState, command: TakeRecordBack): Decision<undefined> => {
  const { id, actor, entry, nowMs } = command;
  const known = state.documents.get(keyOf(ledgerCollection, id));
  if (!known || known.deleted) return unchanged(undefined);
  const version = nextVersion(known, known.loggedVersion + 1);
  const row: DocumentRow = {
    ...known,
    ...{ version, loggedVersion: version, offset: state.head + 1, deleted: true, updatedAtMs: nowMs },
  };
  return {
    result: undefined,
    events: [documentEvent(row, { actor })],
    writes: { documents: [row] },
    reverses: entry,
  };
};
