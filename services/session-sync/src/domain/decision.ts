import type { NewEvent } from './event.ts';
import type { Role, SpaceState, Writes } from './state.ts';

/** Why a command is refused; the codes are those of the error table. */
export interface Refusal {
  readonly code:
    | 'not_found'
    | 'forbidden'
    | 'invalid_request'
    | 'too_large'
    | 'expected_seq'
    | 'seq_reused'
    | 'position_lost'
    | 'superseded'
    | 'step_undone'
    | 'idempotency_mismatch'
    | 'rate_limited';
  readonly detail: string;
  readonly meta?: Readonly<Record<string, string>>;
  readonly retryAfterMs?: number;
}

/** What one command does to a space: the answer, the events in order and the rows that go with them. */
export interface Accepted<R> {
  readonly result: R;
  readonly events: readonly NewEvent[];
  readonly writes: Writes;
  /** The entry of the integrity ledger that is taken back by it. */
  readonly reverses?: number | undefined;
}

/** The outcome of a decision. Deciding has no effect; a decision may be made again on a newer state. */
export type Decision<R> = Accepted<R> | { readonly refused: Refusal };

/** A refusal as a decision. */
export const refuse = (
  code: Refusal['code'],
  detail: string,
  meta?: Refusal['meta'],
): { refused: Refusal } => ({
  refused: meta ? { code, detail, meta } : { code, detail },
});

/** A decision that changes nothing. */
export const unchanged = <R>(result: R): Accepted<R> => ({ result, events: [], writes: {} });

const rank: Record<Role, number> = { viewer: 1, editor: 2, owner: 3 };

/**
 * Refuses whoever may not act in this space with at least `role`. A space one is not in looks like one that is
 * not there.
 */
export const requireRole = (
  state: SpaceState,
  userId: string,
  role: Role,
): { readonly refused: Refusal } | undefined => {
  const has = state.roles.get(userId);
  if (!has) return refuse('not_found', 'There is no such space');
  if (rank[has] < rank[role]) return refuse('forbidden', `This needs the role ${role}`);
  return undefined;
};
