import { keyOf, type Writes } from '../domain/state.ts';

/** Adds one decision's rows to those before it: a later row of the same key replaces the earlier one. */
export const mergeWrites = (rows: Map<keyof Writes, Map<string, unknown>>, writes: Writes): void => {
  const put = <K extends keyof Writes>(name: K, key: (row: NonNullable<Writes[K]>[number]) => string) => {
    for (const row of (writes[name] ?? []) as NonNullable<Writes[K]>[number][]) {
      let known = rows.get(name);
      if (!known) {
        known = new Map();
        rows.set(name, known);
      }
      known.set(key(row), row);
    }
  };
  put('conversations', (row) => row.id);
  put('messages', (row) => row.id);
  put('turns', (row) => row.id);
  put('turnEnds', (row) => row.turnId);
  put('documents', (row) => keyOf(row.collection, row.id));
  put('seqs', (row) => keyOf(row.userId, row.device));
  put('results', (row) => keyOf(row.userId, row.device, row.seq));
  put('conflicts', (row) => row.id);
  put('conflictEnds', (row) => row.id);
  put('members', (row) => row.userId);
  put('invitations', (row) => row.id);
  put('invitationUses', (row) => row.id);
  put('invitationsGone', (row) => row.id);
  put('devices', (row) => keyOf(row.userId, row.id));
  put('requests', (row) => keyOf(row.userId, row.method, row.key));
  put('ledger', (row) => String(row.position));
  put('steps', (row) => row.key);
};

/** The rows as one set of writes. */
export const writesOf = (rows: ReadonlyMap<keyof Writes, ReadonlyMap<string, unknown>>): Writes =>
  Object.fromEntries([...rows].map(([name, byKey]) => [name, [...byKey.values()]])) as Writes;
