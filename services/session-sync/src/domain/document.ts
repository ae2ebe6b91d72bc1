import type { DocumentState, Fields, Json } from '@skein/sync-core';
import { type Refusal, refuse } from './decision.ts';
import type { Actor, NewEvent } from './event.ts';
import { jsonText } from './json-text.ts';
import { sessionDocument, sessionOf } from './session.ts';
import { type DocumentRow, keyOf } from './state.ts';

/** Largest value of a document, in bytes of its JSON. */
export const documentBytes = 256 * 1024;

/** Operations longer than this are left out of the event: clients replace by the value anyway. */
const maxOpsLength = 4_096;

/** Refuses a document that is too large. */
export const overSize = (json: string): { readonly refused: Refusal } | undefined =>
  Buffer.byteLength(json) > documentBytes
    ? refuse('too_large', `A document must be at most ${documentBytes} bytes long`)
    : undefined;

/** A row as the merging core sees it. */
export const documentState = (row: DocumentRow | undefined): DocumentState | undefined =>
  row && {
    version: row.loggedVersion,
    value: JSON.parse(row.value) as Json,
    fields: JSON.parse(row.fields) as Fields,
    deleted: row.deleted,
  };

/** Who writes, as the stamps of fields tell one writer from another. */
export const writerOf = (userId: string, device: string): string => `${userId}/${device}`;

/** The version of the next value: above everybody's, also that of classic clients. */
export const nextVersion = (row: DocumentRow | undefined, merged: number): number =>
  Math.max(merged, (row?.version ?? 0) + 1);

/** Who changed a document, with which mutation. */
export interface ChangedBy {
  readonly actor: Actor;
  readonly device?: string | undefined;
  readonly seq?: number | undefined;
}

/** What goes with the event beside the document itself. */
export interface ChangeNote {
  /** JSON text of the operations. */
  readonly ops?: string | undefined;
  /** Of a classic client. */
  readonly timestamp?: number | undefined;
  /** A conflict was settled: also the sender does not have this value. */
  readonly settled?: boolean | undefined;
}

/** `document.changed` or `document.deleted` for a row that was just made. */
export const documentEvent = (row: DocumentRow, by: ChangedBy, note: ChangeNote = {}): NewEvent => {
  const { collection, id, version } = row;
  const ops = (note.ops?.length ?? 0) > maxOpsLength ? undefined : note.ops;
  const author = by.device === undefined ? undefined : { device: by.device, seq: by.seq };
  if (row.deleted)
    return {
      type: 'document.deleted',
      actor: by.actor,
      data: { collection, id, version, by: author },
    };
  return {
    type: 'document.changed',
    actor: by.actor,
    data: {
      collection,
      id,
      version,
      value: jsonText(row.value),
      hash: row.hash,
      ops: ops === undefined ? undefined : jsonText(ops),
      by: author,
      timestamp: note.timestamp,
      settled: note.settled || undefined,
    },
  };
};

/** What else a change of the session's document means: the events everybody understands. */
export const sessionEvents = (
  before: DocumentRow | undefined,
  after: DocumentRow,
  actor: Actor,
): NewEvent[] => {
  if (after.collection !== sessionDocument.collection || after.id !== sessionDocument.id) return [];
  const read = (row: DocumentRow | undefined) =>
    sessionOf({ documents: new Map(row ? [[keyOf(row.collection, row.id), row]] : []) });
  const [was, is] = [read(before), read(after)];
  const events: NewEvent[] = [];
  if (was.persona !== is.persona)
    events.push({ type: 'persona.changed', actor, data: { persona: is.persona } });
  if (was.memoryEnabled !== is.memoryEnabled)
    events.push({ type: 'memory.toggled', actor, data: { enabled: is.memoryEnabled } });
  return events;
};
