import { type ApplyFault, applyOp, valueAt } from './apply.ts';
import { jsonEqual } from './canonical.ts';
import { type Fields, fieldKey, stampAt, stampFields } from './fields.ts';
import { clampHlc, compareHlc } from './hlc.ts';
import type { Json } from './json.ts';
import type { Mutation, Op } from './mutation.ts';
import type { Policy, Resolver } from './policy.ts';

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
  | { readonly outcome: 'rejected'; readonly code: ApplyFault | 'deleted' | 'edited' | 'too_large' };

const commutes = (op: Op): boolean => op.op === 'add' || op.op === 'remove' || op.op === 'increment';

const resolve = (
  resolver: Resolver,
  server: Json | undefined,
  client: Json | undefined,
  clientIsNewer: boolean,
): 'server' | 'client' => {
  switch (resolver) {
    case 'server':
    case 'client':
      return resolver;
    case 'newest':
      return clientIsNewer ? 'client' : 'server';
    case 'larger':
    case 'smaller':
      if (typeof server !== 'number' || typeof client !== 'number')
        return clientIsNewer ? 'client' : 'server';
      return client > server === (resolver === 'larger') ? 'client' : 'server';
  }
};

const resolverOf = (policy: Policy, field: string): { resolver: Resolver; open: boolean } => {
  switch (policy.strategy) {
    case 'server_wins':
      return { resolver: 'server', open: false };
    case 'client_wins':
      return { resolver: 'client', open: false };
    case 'newest_wins':
      return { resolver: 'newest', open: false };
    case 'manual':
      // Both are kept; until somebody chooses, the newer stamp stands, on every replica the same.
      return { resolver: 'newest', open: true };
    case 'merge': {
      const own =
        policy.resolvers && Object.hasOwn(policy.resolvers, field) ? policy.resolvers[field] : undefined;
      return { resolver: own ?? policy.otherwise ?? 'newest', open: false };
    }
  }
};

const unchanged = (document: DocumentState | undefined) =>
  ({ outcome: 'applied', document, ops: [], clashes: [] }) as const;

const settleDelete = (document: DocumentState, mutation: Mutation, policy: Policy): Settlement => {
  if (document.deleted) return unchanged(document);
  if (document.version > mutation.baseVersion && policy.deletes === 'edit_wins')
    return { outcome: 'rejected', code: 'edited' };
  return {
    outcome: document.version > mutation.baseVersion ? 'merged' : 'applied',
    // The stamps stay: an edit that brings the document back conflicts with edits, not with the delete.
    document: { ...document, version: document.version + 1, deleted: true },
    ops: mutation.ops,
    clashes: [],
  };
};

/**
 * Settles one mutation against the document as it is. A field conflicts exactly when it was written after the version
 * the device saw; only then the policy decides, field by field. Pure and deterministic: the same inputs give the same
 * answer on every replica and every attempt.
 */
export const settle = (
  document: DocumentState | undefined,
  mutation: Mutation,
  policy: Policy,
  nowMs: number,
): Settlement => {
  const { baseVersion, ops } = mutation;
  const hlc = clampHlc(mutation.hlc, nowMs);
  const deleting = ops[0]?.op === 'delete';
  if (!document) {
    // Nothing is made out of a version nobody has: it was deleted long ago.
    if (baseVersion > 0) return deleting ? unchanged(undefined) : { outcome: 'rejected', code: 'deleted' };
    if (deleting) return unchanged(undefined);
  } else if (baseVersion > document.version) return { outcome: 'stale' };
  else if (deleting) return settleDelete(document, mutation, policy);
  else if (document.deleted && baseVersion > 0 && policy.deletes === 'delete_wins')
    return { outcome: 'rejected', code: 'deleted' };

  // A new document begins with nothing; one that is edited back to life with its last value.
  const fresh = !document || (document.deleted && baseVersion === 0);
  const before = fresh ? undefined : document?.value;
  const fields: Fields = fresh ? {} : (document?.fields ?? {});
  let value: Json | undefined = before;
  const taken: Op[] = [];
  const clashes: Clash[] = [];
  for (const op of ops) {
    const stamp = fresh ? undefined : stampAt(fields, op.path);
    const after = applyOp(value, op);
    if ('fault' in after) return { outcome: 'rejected', code: after.fault };
    const server = valueAt(before, op.path);
    const client = valueAt(after.value, op.path);
    const conflicts =
      stamp !== undefined &&
      stamp.version > baseVersion &&
      !(policy.strategy === 'merge' && commutes(op)) &&
      !jsonEqual(server, client);
    if (conflicts) {
      const field = fieldKey(op.path);
      const { resolver, open } = resolverOf(policy, field);
      const winner = resolve(resolver, server, client, compareHlc(hlc, stamp.hlc) > 0);
      clashes.push({ field, winner, serverValue: server, clientValue: client, open });
      if (winner === 'server') continue;
    }
    value = after.value;
    taken.push(op);
  }
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
  const stamp = { version, hlc };
  return {
    outcome,
    document: { version, value, fields: stampFields(fields, taken, stamp), deleted: false },
    ops: taken,
    clashes,
  };
};
