import { type Clash, encodeHlc, type Json, maxAheadMs, resolverOf, settle } from '@skein/sync-core';
import { askedAlready, conflictResolved, conflictRow, maxOpenConflicts, openOf } from './conflict-row.ts';
import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import { documentEvent, overSize, sessionEvents, writerOf } from './document.ts';
import type { Actor, NewEvent } from './event.ts';
import type { Rules, RulesOf } from './rules.ts';
import {
  type ConflictEndRow,
  type ConflictRow,
  type DocumentRow,
  keyOf,
  type SpaceState,
  type Writes,
} from './state.ts';

/** A document as classic clients have it; `data` is JSON text, kept byte for byte. */
export interface SyncData {
  readonly id: string;
  readonly type: string;
  readonly data: string;
  readonly timestamp: number;
  readonly version: number;
}

/** A classic client's whole-value write. */
export interface ApplyClassic {
  readonly userId: string;
  readonly actor: Actor;
  readonly device: string;
  readonly sent: SyncData;
  /** The highest offset this device was sent. */
  readonly seenOffset: number;
  /** Of the log that the offset belongs to; undefined: the present one. */
  readonly epoch?: string | undefined;
  readonly conflictId: string;
  readonly nowMs: number;
  readonly hashOf: (value: Json) => string;
  readonly rulesOf: RulesOf;
}

/** What became of it, and what the server has now. */
export interface ClassicApplied {
  readonly outcome: 'unchanged' | 'applied' | 'settled' | 'conflict';
  /** 0 when nothing was logged. */
  readonly offset: number;
  readonly server: SyncData;
  readonly conflictId?: string | undefined;
}

/** Higher jumps are no successors but another history: they are settled, not taken. */
const maxJump = 10_000;
/** Versions beyond it could not be counted on from. */
const maxVersion = 2 ** 52;

/** A document as a classic client is told it. */
export const toSyncData = (row: DocumentRow): SyncData => ({
  id: row.id,
  type: row.collection,
  data: row.deleted ? 'null' : row.value,
  timestamp: row.clientTimeMs,
  version: row.version,
});

const hlcOf = (timestamp: number, device: string): string =>
  encodeHlc({ ms: Math.max(0, timestamp), counter: 0, device });

/**
 * Two whole values, settled field by field: each differs from what the other side saw. What both make together may be
 * no document of the collection; then the server's stands.
 */
const merged = (
  row: DocumentRow,
  sent: SyncData,
  { policy, faultOf }: Rules,
  device: string,
  nowMs: number,
) => {
  const value = JSON.parse(row.value) as Json;
  const { collection, id, clientTimeMs } = row;
  const fields = { '': { version: 1, hlc: hlcOf(clientTimeMs, '') } };
  const mutation = {
    ...{ seq: 1, collection, id, baseVersion: 0, hlc: hlcOf(sent.timestamp, device) },
    ops: [{ op: 'set', path: [], value: JSON.parse(sent.data) as Json }] as const,
  };
  const settled = settle({ version: 1, value, fields, deleted: false }, mutation, policy, nowMs);
  if (!('document' in settled) || !settled.document) return row.value;
  const text = JSON.stringify(settled.document.value);
  return overSize(text) || faultOf(settled.document.value, value) !== undefined ? row.value : text;
};

/** Which value stands when both sides changed, by the type's strategy. */
const settledValue = (
  row: DocumentRow,
  sent: SyncData,
  rules: Rules,
  device: string,
  nowMs: number,
): { readonly winner: 'server' | 'client'; readonly data: string; readonly bump: number } | 'manual' => {
  const server = { winner: 'server', data: row.value, bump: 1 } as const;
  const client = { winner: 'client', data: sent.data, bump: 1 } as const;
  switch (rules.policy.strategy) {
    case 'server_wins':
      return server;
    case 'client_wins':
      return client;
    case 'newest_wins':
      return sent.timestamp > row.clientTimeMs ? client : server;
    case 'merge':
      return { winner: 'server', data: merged(row, sent, rules, device, nowMs), bump: 2 };
    case 'manual':
      return 'manual';
  }
};

/** Why a value cannot be written at all. */
const refusal = ({ policy, faultOf }: Rules, { data }: SyncData, row: DocumentRow | undefined) => {
  const tooLarge = overSize(data);
  if (tooLarge) return tooLarge;
  if (policy.direction === 'pull') return refuse('forbidden', 'Devices do not write this type');
  const before = row && !row.deleted ? (JSON.parse(row.value) as Json) : undefined;
  const fault = faultOf(JSON.parse(data) as Json, before);
  return fault === undefined ? undefined : refuse('invalid_request', `data is not allowed at "${fault}"`);
};

/**
 * The open conflicts of this device about the document end with its next write: it was told both sides, and has no
 * other way to say what its person chose.
 */
const chosenBy = (
  { openConflicts }: SpaceState,
  { userId, device, actor, nowMs, hashOf }: ApplyClassic,
  before: DocumentRow | undefined,
  after: DocumentRow,
): { readonly events: readonly NewEvent[]; readonly conflictEnds: readonly ConflictEndRow[] } => {
  const own = [...openConflicts.values()].filter(
    (one) =>
      one.collection === after.collection &&
      one.documentId === after.id &&
      one.userId === userId &&
      one.device === device,
  );
  const hash = own.length > 0 ? hashOf(JSON.parse(after.value) as Json) : '';
  const conflictEnds = own.map(
    ({ id, clientHash }): ConflictEndRow => ({
      ...{
        id,
        state: 'resolved',
        choice: before?.value === after.value ? 'server' : clientHash === hash ? 'client' : 'value',
      },
      ...{ closedVersion: after.version, closedAtMs: nowMs, closedBy: userId },
    }),
  );
  const seen = before?.loggedVersion ?? 0;
  const events = own.map((one, at) => conflictResolved(one, conflictEnds[at] as ConflictEndRow, seen, actor));
  return { events, conflictEnds };
};

/**
 * Settles a classic write. The same content changes nothing but may raise the head; the next version of a device
 * that was sent the head applies; everything else is a conflict, settled by the strategy of the type. A settled value
 * gets a version above everybody's, so that echoes and re-sent values end.
 */
export const applyClassic = (state: SpaceState, command: ApplyClassic): Decision<ClassicApplied> => {
  const { actor, device, nowMs, userId } = command;
  const denied = requireRole(state, userId, 'editor');
  if (denied) return denied;
  if (command.sent.version > maxVersion) return refuse('invalid_request', 'version is too large');
  const sent = { ...command.sent, timestamp: Math.min(command.sent.timestamp, nowMs + maxAheadMs) };
  const rules = command.rulesOf(sent.type);
  const row = state.documents.get(keyOf(sent.type, sent.id));
  const unfit = refusal(rules, sent, row);
  if (unfit) return unfit;
  const { policy } = rules;

  const write = (
    data: string,
    version: number,
    timestamp: number,
    outcome: 'applied' | 'settled',
    conflict?: ConflictRow,
  ): Decision<ClassicApplied> => {
    const offset = state.head + 1;
    const stamp = { version, hlc: hlcOf(timestamp, device), by: writerOf(userId, device) };
    const next: DocumentRow = {
      ...{ space: state.id, collection: sent.type, id: sent.id, version, loggedVersion: version },
      ...{ value: data, hash: command.hashOf(JSON.parse(data) as Json), offset },
      // A whole value: every field of it was written now.
      fields: JSON.stringify({ '': stamp }),
      ...{ deleted: false, updatedAtMs: nowMs, clientTimeMs: timestamp },
    };
    const note = { timestamp, settled: outcome === 'settled' };
    const chosen =
      outcome === 'applied' ? chosenBy(state, command, row, next) : { events: [], conflictEnds: [] };
    const events: NewEvent[] = [
      documentEvent(next, { actor, device }, note),
      ...sessionEvents(row, next, actor),
      ...chosen.events,
    ];
    const writes: Writes = {
      documents: [next],
      conflicts: conflict ? [conflict] : [],
      conflictEnds: chosen.conflictEnds,
    };
    return {
      result: { outcome, offset, server: toSyncData(next), conflictId: conflict?.id },
      events,
      writes,
    };
  };

  if (!row) return write(sent.data, Math.max(1, sent.version), sent.timestamp, 'applied');
  const above = Math.max(row.version, sent.version) + 1;
  if (!row.deleted && row.value === sent.data) {
    if (sent.version <= row.version)
      return unchanged({ outcome: 'unchanged', offset: 0, server: toSyncData(row) });
    // Nobody needs to hear of it: whoever is ahead has the content already. So what the log says stays as well.
    const raised = { ...row, version: sent.version };
    const { events, conflictEnds } = chosenBy(state, command, row, raised);
    return {
      result: { outcome: 'unchanged', offset: 0, server: toSyncData(raised) },
      events,
      writes: { documents: [raised], conflictEnds },
    };
  }
  const next = sent.version > row.version && sent.version <= row.version + maxJump;
  const sameLog = command.epoch === undefined || command.epoch === state.epoch;
  const sawHead = sameLog && command.seenOffset >= row.offset;
  if (next && sawHead) return write(sent.data, sent.version, sent.timestamp, 'applied');
  /** What lost against what is there, or was: `open` while a person has to choose. */
  const conflict = (
    how: { readonly winner: 'server' | 'client'; readonly resolver: Clash['resolver']; readonly open?: true },
    version: number,
  ): ConflictRow =>
    conflictRow(
      {
        ...{ open: false, ...how, field: '', serverValue: undefined },
        clientValue: JSON.parse(sent.data) as Json,
      },
      {
        ...{ id: command.conflictId, space: state.id, collection: sent.type, documentId: sent.id },
        ...{
          strategy: policy.strategy,
          baseVersion: sent.version,
          serverVersion: row.loggedVersion,
          version,
        },
        ...{ userId, device, seq: null, createdAtMs: nowMs },
      },
      command.hashOf,
      { serverValue: row.deleted ? null : row.value, clientValue: sent.data },
    );
  if (row.deleted) {
    const edited = row.value !== sent.data;
    if (edited && policy.deletes === 'edit_wins') return write(sent.data, above, sent.timestamp, 'settled');
    // A deletion this device has not seen yet stays, whatever it sends. The version it is told holds from now on:
    // were it not kept, its echo would look like the next write of somebody who saw the deletion.
    const raised = { ...row, version: above };
    const kept = edited ? [conflict({ winner: 'server', resolver: 'delete' }, row.loggedVersion)] : [];
    return {
      result: { outcome: 'settled', offset: 0, server: toSyncData(raised), conflictId: kept[0]?.id },
      events: [],
      writes: { documents: [raised], conflicts: kept },
    };
  }

  const settled = settledValue(row, sent, rules, device, nowMs);
  if (settled === 'manual') {
    const opened = conflict({ winner: 'server', resolver: 'manual', open: true }, row.loggedVersion);
    // The same value sent again is the same conflict.
    const known = askedAlready(state.openConflicts.values(), opened);
    const answer = { outcome: 'conflict', server: toSyncData(row) } as const;
    if (known) return unchanged({ ...answer, offset: 0, conflictId: known.id });
    if (openOf(state.openConflicts.values(), sent.type, sent.id) >= maxOpenConflicts)
      return refuse(
        'forbidden',
        `A document has at most ${maxOpenConflicts} open conflicts: settle some first`,
      );
    const data = { conflictId: opened.id, collection: sent.type, id: sent.id, field: '' };
    return {
      result: { ...answer, offset: state.head + 1, conflictId: opened.id },
      events: [{ type: 'conflict.detected', actor, data }],
      writes: { conflicts: [opened] },
    };
  }
  const version = above - 1 + settled.bump;
  const timestamp = settled.winner === 'client' ? sent.timestamp : row.clientTimeMs;
  const lost = conflict({ winner: settled.winner, resolver: resolverOf(policy, '') }, version);
  return write(settled.data, version, timestamp, 'settled', lost);
};
