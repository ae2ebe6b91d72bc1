import { type Clash, type Json, type Mutation, maxAheadMs, settle } from '@skein/sync-core';
import { askedAlready, conflictRow, maxOpenConflicts, openOf } from './conflict-row.ts';
import { type Decision, refuse, requireRole } from './decision.ts';
import {
  type ChangedBy,
  documentBytes,
  documentEvent,
  documentState,
  nextVersion,
  sessionEvents,
  writerOf,
} from './document.ts';
import type { Actor, NewEvent } from './event.ts';
import { encodeObject, jsonText } from './json-text.ts';
import type { RulesOf } from './rules.ts';
import {
  type ConflictRow,
  type DocumentRow,
  keyOf,
  type OpenConflict,
  type ResultRow,
  type SpaceState,
} from './state.ts';

/** A mutation as it came: decoded, or known to be malformed, with a hash that tells repetitions. */
export interface ReceivedMutation {
  readonly seq: number;
  readonly hash: string;
  readonly mutation?: Mutation | undefined;
  /** Where it is malformed; `code` when that is not the whole story. */
  readonly fault?: { readonly path: string; readonly message: string; readonly code?: string } | undefined;
}

/** Mutations of one device, in its order. */
export interface Mutate {
  readonly userId: string;
  readonly actor: Actor;
  readonly device: string;
  /** Of the log that the device has seen; undefined: the present one. */
  readonly epoch?: string | undefined;
  readonly mutations: readonly ReceivedMutation[];
  readonly nowMs: number;
  readonly newId: () => string;
  readonly hashOf: (value: Json) => string;
  readonly rulesOf: RulesOf;
}

/**
 * One JSON text of a MutationResult per mutation that was taken, and how far the device has got. They may be fewer
 * than were sent: a batch also ends where its answer or its events would become too large, never before its first.
 */
export interface Mutated {
  readonly results: readonly string[];
  readonly lastSeq: number;
}

/** Results of one batch together: they fit a frame of 1,000,000 bytes. */
const resultsBytes = 900_000;
/** Values one batch may write, into the log or as the losing sides of conflicts. */
const writtenBytes = 2_000_000;
/** A losing value is kept when it could be a document. */
const fits = (value: Json | undefined): boolean =>
  value === undefined || Buffer.byteLength(JSON.stringify(value)) <= documentBytes;

/** A result beside its value. */
const resultBytes = 1_000;

/** What became of one mutation, before it is text: a later result about the same document may take its value over. */
interface Outcome {
  readonly fields: Readonly<Record<string, unknown>>;
  /** JSON text of the document's value, when it is not what the device expects. */
  readonly value?: string | undefined;
  /** Key of the document. */
  readonly about?: string | undefined;
  /** Where in the batch the same mutation stands already. */
  readonly sameAs?: number | undefined;
}

/**
 * Takes mutations in seq order. Every outcome advances the device, also a refusal: a poison mutation is a result the
 * person sees, never a wedge. One ahead of its turn is refused; one behind is answered as it was the first time.
 */
export const mutate = (state: SpaceState, command: Mutate): Decision<Mutated> => {
  const { userId, device, actor, nowMs } = command;
  const denied = requireRole(state, userId, 'viewer');
  if (denied) return denied;
  // Its numbers and base versions are of a log that there is no more.
  if (command.epoch !== undefined && command.epoch !== state.epoch)
    return refuse('position_lost', 'The log of this space is another one now: take its snapshot first', {
      epoch: state.epoch,
      head: String(state.head),
    });
  const readOnly = requireRole(state, userId, 'editor') !== undefined;

  const before = state.seqs.get(keyOf(userId, device)) ?? 0;
  let lastSeq = before;
  const outcomes: Outcome[] = [];
  // Document → the one result that tells its value.
  const teller = new Map<string, number>();
  let answered = 0;
  let written = 0;
  const events: NewEvent[] = [];
  const documents = new Map<string, DocumentRow>();
  const taken: { readonly seq: number; readonly hash: string; readonly at: number }[] = [];
  const conflicts: ConflictRow[] = [];
  const open = new Map(state.openConflicts);

  /** Keeps what lost. Returns the conflict to look at, undefined when there is none. */
  const remember = (
    clashes: readonly Clash[],
    mutation: Mutation,
    strategy: string,
    met: number,
    version: number,
  ): string | undefined => {
    const kept = clashes.map((clash): OpenConflict & Pick<ConflictRow, 'state'> => {
      const { collection, id: documentId, baseVersion } = mutation;
      const write = {
        ...{ id: command.newId(), space: state.id, collection, documentId, strategy, baseVersion },
        ...{ serverVersion: met, version, userId, device, seq: mutation.seq, createdAtMs: nowMs },
      };
      const row = conflictRow(clash, write, command.hashOf);
      const known = clash.open ? askedAlready(open.values(), row) : undefined;
      if (known) return { ...known, state: 'open' };
      conflicts.push(row);
      written += (row.serverValue?.length ?? 0) + (row.clientValue?.length ?? 0) + resultBytes;
      if (!clash.open) return row;
      open.set(row.id, row);
      const { id: conflictId, field } = row;
      events.push({
        type: 'conflict.detected',
        actor,
        data: { conflictId, collection, id: documentId, field },
      });
      return row;
    });
    return (kept.find((one) => one.state === 'open') ?? kept[0])?.id;
  };

  const rejected = (
    seq: number,
    code: string,
    more: { path?: string; conflictId?: string } = {},
  ): Outcome => ({
    fields: { seq, outcome: 'rejected', code, ...more },
  });

  const take = ({ seq, mutation, fault }: ReceivedMutation): Outcome => {
    if (!mutation)
      return rejected(seq, fault?.code ?? 'invalid_request', fault?.path ? { path: fault.path } : {});
    if (readOnly) return rejected(seq, 'forbidden');
    const { collection, id } = mutation;
    const { policy, faultOf } = command.rulesOf(collection);
    if (policy.direction === 'pull') return rejected(seq, 'read_only');
    const key = keyOf(collection, id);
    const row = documents.get(key) ?? state.documents.get(key);
    const current = documentState(row);
    const met = row?.loggedVersion ?? 0;
    const settled = settle(current, mutation, policy, nowMs, writerOf(userId, device));
    if (settled.outcome === 'stale')
      return {
        fields: { seq, outcome: 'stale', version: met },
        value: row && !row.deleted ? row.value : undefined,
        about: key,
      };
    if (settled.outcome === 'rejected') {
      const kept = settled.clashes.filter(({ clientValue }) => fits(clientValue));
      const conflictId = remember(kept, mutation, policy.strategy, met, met);
      return rejected(seq, settled.code, conflictId === undefined ? {} : { conflictId });
    }
    const { document } = settled;
    const opening = settled.clashes.filter((clash) => clash.open).length;
    if (opening > 0 && openOf(open.values(), collection, id) + opening > maxOpenConflicts)
      return rejected(seq, 'too_many_conflicts');
    if (!settled.clashes.every(({ clientValue }) => fits(clientValue))) return rejected(seq, 'too_large');
    let offset: number | undefined;
    let now = row;
    if (document && document !== current) {
      const value = JSON.stringify(document.value);
      if (Buffer.byteLength(value) > documentBytes) return rejected(seq, 'too_large');
      if (!document.deleted) {
        const path = faultOf(document.value, row?.deleted ? undefined : current?.value);
        if (path !== undefined) return rejected(seq, 'invalid_value', path === '' ? {} : { path });
      }
      offset = state.head + events.length + 1;
      const version = nextVersion(row, document.version);
      now = {
        ...{ space: state.id, collection, id, version, loggedVersion: version, value, offset },
        hash: command.hashOf(document.value),
        fields: JSON.stringify(document.fields),
        deleted: document.deleted,
        updatedAtMs: nowMs,
        clientTimeMs: Math.min(Number.parseInt(mutation.hlc.slice(0, 12), 16), nowMs + maxAheadMs),
      };
      const by: ChangedBy = { actor, device, seq };
      events.push(
        documentEvent(now, by, { ops: JSON.stringify(settled.ops) }),
        ...sessionEvents(row, now, actor),
      );
      documents.set(key, now);
      written += value.length;
    }
    const conflictId = remember(settled.clashes, mutation, policy.strategy, met, now?.loggedVersion ?? 0);
    return {
      fields: { seq, outcome: settled.outcome, version: now?.loggedVersion, offset, conflictId },
      // What the device expects it knows already.
      value: settled.outcome !== 'applied' && now && !now.deleted ? now.value : undefined,
      about: key,
    };
  };

  const answer = (outcome: Outcome): void => {
    const { value, about } = outcome;
    if (value !== undefined && about !== undefined) {
      const before = teller.get(about);
      // Older values of a document are no news beside its newest.
      if (before !== undefined) answered -= Buffer.byteLength(outcomes[before]?.value ?? '');
      teller.set(about, outcomes.length);
      answered += Buffer.byteLength(value);
    }
    answered += resultBytes;
    outcomes.push(outcome);
  };

  /** Whether one more might not fit. */
  const full = (): boolean =>
    outcomes.length > 0 &&
    (answered > resultsBytes - documentBytes - resultBytes || written > writtenBytes - documentBytes);

  for (const received of command.mutations) {
    const { seq, hash } = received;
    if (full()) break;
    if (seq <= lastSeq) {
      const own = taken.find((one) => one.seq === seq);
      const known = own ?? state.results.get(keyOf(userId, device, seq));
      if (known && known.hash !== hash) {
        if (outcomes.length === 0) return refuse('seq_reused', 'This seq was used with other content');
        break;
      }
      const original = state.results.get(keyOf(userId, device, seq))?.result ?? undefined;
      const before = own ? outcomes[own.at]?.value : original;
      answered += Buffer.byteLength(before ?? '');
      answer({
        fields: {
          seq,
          outcome: 'duplicate',
          original: original === undefined ? undefined : jsonText(original),
        },
        sameAs: own?.at,
      });
      continue;
    }
    if (seq > lastSeq + 1) {
      if (outcomes.length === 0)
        return refuse('expected_seq', `The next seq of this device is ${lastSeq + 1}`, {
          expectedSeq: String(lastSeq + 1),
        });
      break;
    }
    taken.push({ seq, hash, at: outcomes.length });
    lastSeq = seq;
    answer(take(received));
  }
  const results: string[] = [];
  for (const [at, { fields, value, about, sameAs }] of outcomes.entries()) {
    const first = sameAs === undefined ? undefined : results[sameAs];
    const tells = about !== undefined && teller.get(about) === at;
    results.push(
      encodeObject({
        ...fields,
        ...(value !== undefined && tells ? { value: jsonText(value) } : {}),
        ...(first === undefined ? {} : { original: jsonText(first) }),
      }),
    );
  }
  return {
    result: { results, lastSeq },
    events,
    writes: {
      documents: [...documents.values()],
      conflicts,
      results: taken.map(
        ({ seq, hash, at }): ResultRow => ({
          ...{ space: state.id, userId, device, seq, hash },
          result: results[at] ?? null,
        }),
      ),
      seqs: lastSeq === before ? [] : [{ space: state.id, userId, device, lastSeq }],
    },
  };
};
