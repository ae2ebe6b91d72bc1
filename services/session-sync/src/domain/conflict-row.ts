import type { Clash, Json } from '@skein/sync-core';
import type { Actor, NewEvent } from './event.ts';
import { type ConflictEndRow, type ConflictRow, keyOf, type OpenConflict } from './state.ts';

/** Open conflicts one document may have: each is a choice somebody has to make. */
export const maxOpenConflicts = 50;

/** The write that met another one. */
export interface ClashingWrite {
  readonly id: string;
  readonly space: string;
  readonly collection: string;
  readonly documentId: string;
  readonly strategy: string;
  readonly baseVersion: number;
  readonly serverVersion: number;
  readonly version: number;
  readonly userId: string;
  readonly device: string;
  readonly seq: number | null;
  readonly createdAtMs: number;
}

/** Both sides of a clash as JSON texts; null: not there. */
interface Sides {
  readonly serverValue: string | null;
  readonly clientValue: string | null;
}

/** The row that keeps a clash; byte for byte when the texts are given. */
export const conflictRow = (
  { field, resolver, winner, open, serverValue, clientValue }: Clash,
  write: ClashingWrite,
  hashOf: (value: Json) => string,
  sides: Sides = {
    serverValue: serverValue === undefined ? null : JSON.stringify(serverValue),
    clientValue: clientValue === undefined ? null : JSON.stringify(clientValue),
  },
): ConflictRow => ({
  ...write,
  ...{ field, resolver, winner, ...sides },
  state: open ? 'open' : 'settled',
  clientHash: clientValue === undefined ? '' : hashOf(clientValue),
  ...{ choice: null, closedVersion: null, closedAtMs: null, closedBy: null },
});

/** The open conflict that asks the same already. */
export const askedAlready = (known: Iterable<OpenConflict>, row: ConflictRow): OpenConflict | undefined => {
  const questionOf = (one: OpenConflict) => keyOf(one.collection, one.documentId, one.field, one.clientHash);
  for (const one of known) if (questionOf(one) === questionOf(row)) return one;
  return undefined;
};

/** What a kept conflict becomes where a side of it is erased. */
type WithoutSides = Pick<ConflictRow, 'state' | 'serverValue' | 'clientValue' | 'clientHash'>;

/**
 * A conflict without the sides that are erased. An erased side is not the same as one that was never there, which
 * would take the document away: nobody may bring it back. Undefined when that was all the conflict was kept for; where
 * what stands was erased, the other side can still be brought back.
 */
export const withoutSides = (
  { state, winner, serverValue, clientValue, clientHash }: WithoutSides & Pick<ConflictRow, 'winner'>,
  erased: (side: string) => boolean,
): WithoutSides | undefined => {
  const gone = (side: string | null) => side !== null && erased(side);
  const [server, client] = [gone(serverValue), gone(clientValue)];
  const ended = state === 'resolved' || state === 'undone';
  if (!ended && (winner === 'server' ? client : server)) return undefined;
  return {
    state: state === 'open' && (server || client) ? 'settled' : state,
    serverValue: server ? null : serverValue,
    ...(client ? { clientValue: null, clientHash: '' } : { clientValue, clientHash }),
  };
};

/** How many conflicts of a document are open. */
export const openOf = (known: Iterable<OpenConflict>, collection: string, documentId: string): number => {
  let count = 0;
  for (const one of known) if (one.collection === collection && one.documentId === documentId) count += 1;
  return count;
};

/**
 * `conflict.resolved`: a person has ended it. Its parents are the version of the document that was seen, and the
 * mutation that lost.
 */
export const conflictResolved = (
  conflict: OpenConflict,
  { state, choice, closedVersion }: ConflictEndRow,
  seenVersion: number,
  actor: Actor,
): NewEvent => {
  const { id: conflictId, collection, documentId: id, field, userId: user, device, baseVersion } = conflict;
  const seq = conflict.seq === null ? {} : { seq: conflict.seq };
  const parents = { server: { version: seenVersion }, client: { user, device, baseVersion, ...seq } };
  return {
    type: 'conflict.resolved',
    actor,
    data: { conflictId, collection, id, field, state, choice, version: closedVersion, parents },
  };
};
