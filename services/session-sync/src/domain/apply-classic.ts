import { isJsonObject, type Json, policyOf } from '@skein/sync-core';
import { type Decision, refuse, requireRole, unchanged } from './decision.ts';
import { documentBytes, documentEvent, sessionEvents } from './document.ts';
import type { Actor, NewEvent } from './event.ts';
import { type ConflictRow, type DocumentRow, keyOf, type SpaceState } from './state.ts';

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
  readonly conflictId: string;
  readonly nowMs: number;
  readonly hashOf: (value: Json) => string;
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
/** Clocks may be this far ahead. */
const maxAheadMs = 60_000;

/** A document as a classic client is told it. */
export const toSyncData = (row: DocumentRow): SyncData => ({
  id: row.id,
  type: row.collection,
  data: row.deleted ? 'null' : row.value,
  timestamp: row.clientTimeMs,
  version: row.version,
});

const merged = (server: Json, client: Json): Json =>
  isJsonObject(server) && isJsonObject(client)
    ? {
        ...server,
        ...Object.fromEntries(
          ['clientNotes', 'localTimestamp'].flatMap((key) =>
            Object.hasOwn(client, key) ? [[key, client[key] as Json]] : [],
          ),
        ),
      }
    : server;

/** Which value stands when both sides changed, by the type's strategy. */
const settledValue = (
  row: DocumentRow,
  sent: SyncData,
): { readonly winner: 'server' | 'client'; readonly data: string; readonly bump: number } | 'manual' => {
  const server = { winner: 'server', data: row.value, bump: 1 } as const;
  const client = { winner: 'client', data: sent.data, bump: 1 } as const;
  switch (policyOf(row.collection).strategy) {
    case 'server_wins':
      return server;
    case 'client_wins':
      return client;
    case 'newest_wins':
      return sent.timestamp > row.clientTimeMs ? client : server;
    case 'merge': {
      const value = merged(JSON.parse(row.value) as Json, JSON.parse(sent.data) as Json);
      return { winner: 'server', data: JSON.stringify(value), bump: 2 };
    }
    case 'manual':
      return 'manual';
  }
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
  if (Buffer.byteLength(command.sent.data) > documentBytes)
    return refuse('too_large', `A document must be at most ${documentBytes} bytes long`);
  if (command.sent.version > maxVersion) return refuse('invalid_request', 'version is too large');
  const sent = { ...command.sent, timestamp: Math.min(command.sent.timestamp, nowMs + maxAheadMs) };
  const row = state.documents.get(keyOf(sent.type, sent.id));

  const write = (
    data: string,
    version: number,
    timestamp: number,
    outcome: 'applied' | 'settled',
    more: {
      readonly conflicts?: readonly ConflictRow[];
    } = {},
  ): Decision<ClassicApplied> => {
    const offset = state.head + 1;
    const hlc = `${Math.max(0, timestamp).toString(16).padStart(12, '0')}-0000-${device}`;
    const next: DocumentRow = {
      space: state.id,
      collection: sent.type,
      id: sent.id,
      version,
      loggedVersion: version,
      value: data,
      hash: command.hashOf(JSON.parse(data) as Json),
      offset,
      // A whole value: every field of it was written now.
      fields: JSON.stringify({ '': { version, hlc } }),
      deleted: false,
      updatedAtMs: nowMs,
      clientTimeMs: timestamp,
    };
    const note = { timestamp, settled: outcome === 'settled' };
    const events: NewEvent[] = [
      documentEvent(next, { actor, device }, note),
      ...sessionEvents(row, next, actor),
    ];
    return {
      result: { outcome, offset, server: toSyncData(next), conflictId: more.conflicts?.[0]?.id },
      events,
      writes: { documents: [next], conflicts: more.conflicts ?? [] },
    };
  };

  if (!row) return write(sent.data, Math.max(1, sent.version), sent.timestamp, 'applied');
  const above = Math.max(row.version, sent.version) + 1;
  if (!row.deleted && row.value === sent.data) {
    if (sent.version <= row.version)
      return unchanged({ outcome: 'unchanged', offset: 0, server: toSyncData(row) });
    // Nobody needs to hear of it: whoever is ahead has the content already. So what the log says stays as well.
    const raised = { ...row, version: sent.version };
    return {
      result: { outcome: 'unchanged', offset: 0, server: toSyncData(raised) },
      events: [],
      writes: { documents: [raised] },
    };
  }
  const next = sent.version > row.version && sent.version <= row.version + maxJump;
  const sawHead = command.seenOffset >= row.offset;
  if (next && sawHead) return write(sent.data, sent.version, sent.timestamp, 'applied');
  // A deletion this device has not seen yet stays, whatever it sends. The version it is told holds from now on:
  // were it not kept, its echo would look like the next write of somebody who saw the deletion.
  if (row.deleted) {
    const raised = { ...row, version: above };
    return {
      result: { outcome: 'settled', offset: 0, server: toSyncData(raised) },
      events: [],
      writes: { documents: [raised] },
    };
  }

  const settled = settledValue(row, sent);
  const conflict = (winner: 'server' | 'client', open: boolean): ConflictRow => ({
    id: command.conflictId,
    space: state.id,
    collection: sent.type,
    documentId: sent.id,
    field: '',
    strategy: policyOf(sent.type).strategy,
    state: open ? 'open' : 'settled',
    winner,
    serverValue: row.value,
    clientValue: sent.data,
    baseVersion: sent.version,
    serverVersion: row.version,
    userId,
    device,
    seq: null,
    createdAtMs: nowMs,
  });
  if (settled === 'manual') {
    // The same value sent again is the same conflict.
    const known = [...state.conflicts.values()].find(
      (one) =>
        one.state === 'open' &&
        one.collection === sent.type &&
        one.documentId === sent.id &&
        one.clientValue === sent.data,
    );
    const answer = { outcome: 'conflict', server: toSyncData(row) } as const;
    if (known) return unchanged({ ...answer, offset: 0, conflictId: known.id });
    const opened = conflict('server', true);
    return {
      result: { ...answer, offset: state.head + 1, conflictId: opened.id },
      events: [
        {
          type: 'conflict.detected',
          actor,
          data: { conflictId: opened.id, collection: sent.type, id: sent.id, field: '' },
        },
      ],
      writes: { conflicts: [opened] },
    };
  }
  const version = above - 1 + settled.bump;
  const timestamp = settled.winner === 'client' ? sent.timestamp : row.clientTimeMs;
  return write(settled.data, version, timestamp, 'settled', { conflicts: [conflict(settled.winner, false)] });
};
