import { type Clash, type Json, type Mutation, policyOf, settle } from '@skein/sync-core';
import { type Decision, refuse, requireRole } from './decision.ts';
import {
  type ChangedBy,
  documentBytes,
  documentEvent,
  documentState,
  nextVersion,
  sessionEvents,
} from './document.ts';
import type { Actor, NewEvent } from './event.ts';
import { encodeObject, jsonText } from './json-text.ts';
import { type ConflictRow, type DocumentRow, keyOf, type ResultRow, type SpaceState } from './state.ts';

/** A mutation as it came: decoded, or known to be malformed, with a hash that tells repetitions. */
export interface ReceivedMutation {
  readonly seq: number;
  readonly hash: string;
  readonly mutation?: Mutation | undefined;
  /** Where it is malformed. */
  readonly fault?: { readonly path: string; readonly message: string } | undefined;
}

/** Mutations of one device, in its order. */
export interface Mutate {
  readonly userId: string;
  readonly actor: Actor;
  readonly device: string;
  readonly mutations: readonly ReceivedMutation[];
  readonly nowMs: number;
  readonly newId: () => string;
  readonly hashOf: (value: Json) => string;
}

/** One JSON text of a MutationResult per mutation that was taken, and how far the device has got. */
export interface Mutated {
  readonly results: readonly string[];
  readonly lastSeq: number;
}

/** Operations longer than this are left out of the event: clients replace by the value anyway. */
const maxOpsLength = 4_096;
/** Keys a session may have are everybody's; these two have a type. */
const sessionTypes: Readonly<Record<string, string>> = { persona: 'string', memoryEnabled: 'boolean' };

const badSession = (value: Json): boolean =>
  typeof value !== 'object' ||
  value === null ||
  Object.entries(sessionTypes).some(([key, type]) => {
    const field = (value as Record<string, Json | undefined>)[key];
    return field !== undefined && typeof field !== type;
  });

const sideText = (value: Json | undefined): string | null =>
  value === undefined ? null : JSON.stringify(value);

/**
 * Takes mutations in seq order. Every outcome advances the device, also a refusal: a poison mutation is a result the
 * person sees, never a wedge. One ahead of its turn is refused; one behind is answered as it was the first time.
 */
export const mutate = (state: SpaceState, command: Mutate): Decision<Mutated> => {
  const { userId, device, actor, nowMs } = command;
  const denied = requireRole(state, userId, 'viewer');
  if (denied) return denied;
  const readOnly = requireRole(state, userId, 'editor') !== undefined;

  const before = state.seqs.get(keyOf(userId, device)) ?? 0;
  let lastSeq = before;
  const results: string[] = [];
  const events: NewEvent[] = [];
  const documents = new Map<string, DocumentRow>();
  const kept: ResultRow[] = [];
  const conflicts: ConflictRow[] = [];

  const remember = (
    clashes: readonly Clash[],
    mutation: Mutation,
    strategy: string,
    version: number,
  ): string | undefined => {
    const rows = clashes.map((clash) => ({
      id: command.newId(),
      space: state.id,
      collection: mutation.collection,
      documentId: mutation.id,
      field: clash.field,
      strategy,
      state: clash.open ? ('open' as const) : ('settled' as const),
      winner: clash.winner,
      serverValue: sideText(clash.serverValue),
      clientValue: sideText(clash.clientValue),
      baseVersion: mutation.baseVersion,
      serverVersion: version,
      userId,
      device,
      seq: mutation.seq,
      createdAtMs: nowMs,
    }));
    conflicts.push(...rows);
    const open = rows.filter((row) => row.state === 'open');
    for (const row of open)
      events.push({
        type: 'conflict.detected',
        actor,
        data: { conflictId: row.id, collection: row.collection, id: row.documentId, field: row.field },
      });
    return (open[0] ?? rows[0])?.id;
  };

  const rejected = (seq: number, code: string): string => encodeObject({ seq, outcome: 'rejected', code });

  const take = ({ seq, mutation }: ReceivedMutation): string => {
    if (!mutation) return rejected(seq, 'invalid_request');
    if (readOnly) return rejected(seq, 'forbidden');
    const key = keyOf(mutation.collection, mutation.id);
    const row = documents.get(key) ?? state.documents.get(key);
    const policy = policyOf(mutation.collection);
    const current = documentState(row);
    const settled = settle(current, mutation, policy, nowMs);
    if (settled.outcome === 'stale')
      return encodeObject({
        seq,
        outcome: 'stale',
        version: row?.loggedVersion ?? 0,
        value: row && !row.deleted ? jsonText(row.value) : undefined,
      });
    if (settled.outcome === 'rejected') return rejected(seq, settled.code);
    const { document } = settled;
    let offset: number | undefined;
    let now = row;
    if (document && document !== current) {
      const value = JSON.stringify(document.value);
      if (Buffer.byteLength(value) > documentBytes) return rejected(seq, 'too_large');
      if (mutation.collection === 'session' && !document.deleted && badSession(document.value))
        return rejected(seq, 'invalid_value');
      offset = state.head + events.length + 1;
      const version = nextVersion(row, document.version);
      now = {
        space: state.id,
        collection: mutation.collection,
        id: mutation.id,
        version,
        loggedVersion: version,
        value,
        hash: command.hashOf(document.value),
        offset,
        fields: JSON.stringify(document.fields),
        deleted: document.deleted,
        updatedAtMs: nowMs,
        clientTimeMs: Math.min(Number.parseInt(mutation.hlc.slice(0, 12), 16), nowMs + 60_000),
      };
      const ops = JSON.stringify(settled.ops);
      const by: ChangedBy = { actor, device, seq };
      events.push(
        documentEvent(now, by, ops.length <= maxOpsLength ? { ops } : {}),
        ...sessionEvents(row, now, actor),
      );
      documents.set(key, now);
    }
    const conflictId = remember(settled.clashes, mutation, policy.strategy, now?.loggedVersion ?? 0);
    return encodeObject({
      seq,
      outcome: settled.outcome,
      version: now?.loggedVersion,
      offset,
      // What the device expects it knows already.
      value: settled.outcome !== 'applied' && now && !now.deleted ? jsonText(now.value) : undefined,
      conflictId,
    });
  };

  for (const received of command.mutations) {
    const { seq, hash } = received;
    if (seq <= lastSeq) {
      const known = kept.find((row) => row.seq === seq) ?? state.results.get(keyOf(userId, device, seq));
      if (known && known.hash !== hash) {
        if (results.length === 0) return refuse('seq_reused', 'This seq was used with other content');
        break;
      }
      results.push(
        encodeObject({ seq, outcome: 'duplicate', original: known ? jsonText(known.result) : undefined }),
      );
      continue;
    }
    if (seq > lastSeq + 1) {
      if (results.length === 0)
        return refuse('expected_seq', `The next seq of this device is ${lastSeq + 1}`, {
          expectedSeq: String(lastSeq + 1),
        });
      break;
    }
    const result = take(received);
    lastSeq = seq;
    results.push(result);
    kept.push({ space: state.id, userId, device, seq, hash, result });
  }
  return {
    result: { results, lastSeq },
    events,
    writes: {
      documents: [...documents.values()],
      conflicts,
      results: kept,
      seqs: lastSeq === before ? [] : [{ space: state.id, userId, device, lastSeq }],
    },
  };
};
