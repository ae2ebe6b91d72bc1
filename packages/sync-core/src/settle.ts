import { type ApplyFault, applyOps, leafAfter, type Owned, putAt, valueAt } from './apply.ts';
import { jsonEqual } from './equal.ts';
import { type Fields, fieldKey, stampFields, unseenAt } from './fields.ts';
import { clampHlc, compareHlc } from './hlc.ts';
import { isJsonObject, type Json } from './json.ts';
import { type Mutation, mutationLimits, type Op } from './mutation.ts';
import { type Policy, type Resolver, resolve, resolverOf } from './policy.ts';

/** A document as both sides of a conflict see it. A deleted one keeps its last value. */
export interface DocumentState {
  readonly version: number;
  readonly value: Json;
  readonly fields: Fields;
  readonly deleted: boolean;
}

/** A field both sides wrote. Nothing is thrown away: the losing value is here. */
export interface Clash {
  /** Field key; '' is the whole document. */
  readonly field: string;
  readonly winner: 'server' | 'client';
  /** Why. */
  readonly resolver: Resolver | 'delete';
  /** Undefined: not there. */
  readonly serverValue: Json | undefined;
  readonly clientValue: Json | undefined;
  /** A person must choose; the winner is only for the time being. */
  readonly open: boolean;
}

/** What a mutation does to a document. */
export type Settlement =
  | {
      readonly outcome: 'applied' | 'merged' | 'conflict';
      /** The document after it; the same object when nothing changed. */
      readonly document: DocumentState | undefined;
      /** The operations that took effect. */
      readonly ops: readonly Op[];
      readonly clashes: readonly Clash[];
    }
  | { readonly outcome: 'stale' }
  | {
      readonly outcome: 'rejected';
      readonly code: ApplyFault | 'deleted' | 'edited';
      readonly clashes: readonly Clash[];
    };

/** Parts one mutation is taken apart into; what has more is settled as a whole. */
const maxParts = 1_000;

const commutes = (op: Op): boolean => op.op === 'add' || op.op === 'remove' || op.op === 'increment';

const unchanged = (document: DocumentState | undefined) =>
  ({ outcome: 'applied', document, ops: [], clashes: [] }) as const;

const rejected = (code: ApplyFault | 'deleted' | 'edited', clashes: readonly Clash[] = []) =>
  ({ outcome: 'rejected', code, clashes }) as const;

const settleDelete = (
  document: DocumentState,
  { baseVersion, ops }: Mutation,
  policy: Policy,
  writer: string | undefined,
): Settlement => {
  if (document.deleted) return unchanged(document);
  const edited = unseenAt(document.fields, [], baseVersion, writer) !== undefined;
  if (edited && policy.deletes === 'edit_wins') return rejected('edited');
  const clash: Clash = {
    ...{ field: '', winner: 'client', resolver: 'delete', open: false },
    ...{ serverValue: document.value, clientValue: undefined },
  };
  return {
    outcome: document.version > baseVersion ? 'merged' : 'applied',
    // The stamps stay: an edit that brings the document back conflicts with edits, not with the delete.
    document: { ...document, version: document.version + 1, deleted: true },
    ops,
    clashes: edited ? [clash] : [],
  };
};

/** An edit of what was deleted meanwhile: it is refused, and what it would have made is kept. */
const refusedEdit = ({ value }: DocumentState, ops: readonly Op[]): Settlement => {
  const edited = applyOps(value, ops);
  if ('fault' in edited) return rejected('deleted');
  const clash: Clash = {
    ...{ field: '', winner: 'server', resolver: 'delete', open: false },
    ...{ serverValue: undefined, clientValue: edited.value },
  };
  return rejected('deleted', [clash]);
};

/**
 * A whole that meets changed parts, as its parts: each is settled by itself. Keys it lacks stay, because lacking a key
 * does not say that somebody took it away. Undefined when it has no parts, or more than `most`: then it is settled
 * as one.
 */
const partsOf = (op: Op, server: Json | undefined, most: number): Op[] | undefined => {
  if (op.op !== 'set' || !isJsonObject(server) || !isJsonObject(op.value)) return undefined;
  if (op.path.length >= mutationLimits.pathDepth) return undefined;
  const parts: Op[] = [];
  for (const [key, value] of Object.entries(op.value)) {
    if (Object.hasOwn(server, key) && jsonEqual(server[key], value)) continue;
    parts.push({ op: 'set', path: [...op.path, key], value });
    if (parts.length > most) return undefined;
  }
  return parts;
};

/**
 * Settles one mutation against the document as it is. A field conflicts exactly when somebody else wrote it after the
 * version the device saw; only then the policy decides, field by field. Pure and deterministic: the same inputs give
 * the same answer on every replica and every attempt. `writer` is the device: its mutations come in its order, so
 * what it wrote itself is no news to it.
 */
export const settle = (
  document: DocumentState | undefined,
  mutation: Mutation,
  policy: Policy,
  nowMs: number,
  writer?: string,
): Settlement => {
  const { baseVersion, ops } = mutation;
  const hlc = clampHlc(mutation.hlc, nowMs);
  const deleting = ops[0]?.op === 'delete';
  if (!document) {
    // Nothing is made out of a version nobody has: it was deleted long ago.
    if (baseVersion > 0) return deleting ? unchanged(undefined) : rejected('deleted');
    if (deleting) return unchanged(undefined);
  } else if (baseVersion > document.version) return { outcome: 'stale' };
  else if (deleting) return settleDelete(document, mutation, policy, writer);
  else if (document.deleted && baseVersion > 0 && policy.deletes === 'delete_wins')
    return refusedEdit(document, ops);

  // A new document begins with nothing; one that is edited back to life with its last value.
  const fresh = !document || (document.deleted && baseVersion === 0);
  const before = fresh ? undefined : document?.value;
  const fields: Fields = fresh ? {} : (document?.fields ?? {});
  const owned: Owned = new WeakSet();
  let value: Json | undefined = before;
  const taken: Op[] = [];
  // One per field, however often a mutation writes it.
  const clashing = new Map<string, Clash>();
  let partsLeft = maxParts;
  const waiting = [...ops].reverse();
  for (let op = waiting.pop(); op; op = waiting.pop()) {
    const leaf = leafAfter(value, op);
    if ('fault' in leaf) return rejected(leaf.fault);
    const server = valueAt(before, op.path);
    const unseen = fresh ? undefined : unseenAt(fields, op.path, baseVersion, writer);
    const joins = policy.strategy === 'merge' && commutes(op);
    if (unseen && !joins && !jsonEqual(server, leaf.value)) {
      const parts = policy.strategy === 'merge' ? partsOf(op, server, partsLeft) : undefined;
      if (parts) {
        partsLeft -= parts.length;
        for (const part of parts.reverse()) waiting.push(part);
        continue;
      }
      const field = fieldKey(op.path);
      const resolver = resolverOf(policy, field);
      const winner = resolve(resolver, server, leaf.value, compareHlc(hlc, unseen.hlc) > 0);
      if (typeof winner !== 'string') {
        op = { op: 'set', path: op.path, value: winner.joined };
        leaf.value = winner.joined;
      } else {
        const open = resolver === 'manual';
        clashing.set(field, { field, winner, resolver, serverValue: server, clientValue: leaf.value, open });
        if (winner === 'server') continue;
      }
    }
    if (!jsonEqual(valueAt(value, op.path), leaf.value)) value = putAt(value, op.path, leaf.value, owned);
    taken.push(op);
  }
  const clashes = [...clashing.values()];
  const lost = clashes.some(({ winner, open }) => winner === 'server' || open);
  const outcome =
    clashes.some(({ open }) => open) || (lost && taken.length === 0)
      ? 'conflict'
      : !fresh && document && baseVersion < document.version
        ? 'merged'
        : 'applied';
  if (value === undefined || (!fresh && !document?.deleted && jsonEqual(value, document?.value)))
    return { outcome, document, ops: [], clashes };
  const version = (document?.version ?? 0) + 1;
  return {
    outcome,
    document: {
      version,
      value,
      fields: stampFields(fields, taken, { version, hlc, by: writer }),
      deleted: false,
    },
    ops: taken,
    clashes,
  };
};
