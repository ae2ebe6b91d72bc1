/** How long a client that lost the answer may ask again with the same idempotency key. */
export const repeatWindowMs = 60_000;

/** A login lives this long without being used, and this long at most. */
export const refreshLifetime = { idleMs: 7 * 86_400_000, absoluteMs: 30 * 86_400_000 } as const;

/** Why a login ended before its time. */
export type EndReason = 'logout' | 'device_revoked' | 'refresh_reused' | 'too_many_logins' | 'account_closed';

/** All refresh tokens that descend from one login: they live and die together. */
export interface Family {
  readonly ended: EndReason | undefined;
  readonly idleExpiresAtMs: number;
  readonly expiresAtMs: number;
}

/** Whether nothing of a family works any more. */
export const hasEnded = (family: Family, nowMs: number): boolean =>
  family.ended !== undefined || nowMs >= family.expiresAtMs || nowMs >= family.idleExpiresAtMs;

/** What is remembered of a refresh token that somebody presents. */
export interface Presented {
  /** When it was exchanged; undefined for the leaf. */
  readonly usedAtMs: number | undefined;
  /** Fingerprint of the idempotency key it was exchanged with; undefined when there was none. */
  readonly usedKey: string | undefined;
}

/** What happens to it. */
export type RefreshDecision =
  /** The leaf: a child takes its place. */
  | 'rotate'
  /** The answer was lost on the way: the same pair again. */
  | 'repeat'
  /** Two hold the same token, and which one is the thief nobody can tell: the family ends. */
  | 'reuse'
  /** The family ended because of a reuse. */
  | 'ended_by_reuse'
  /** The family was ended by its person. */
  | 'ended'
  /** Not used for too long, or too old. */
  | 'expired';

/**
 * Decides on a presented token, with the family locked. There is no grace without an idempotency key: a parent
 * that comes a second time ends the family however soon it comes. `key` is the key's fingerprint.
 */
export const decideRefresh = (
  family: Family,
  token: Presented,
  key: string | undefined,
  nowMs: number,
): RefreshDecision => {
  if (family.ended !== undefined) return family.ended === 'refresh_reused' ? 'ended_by_reuse' : 'ended';
  if (hasEnded(family, nowMs)) return 'expired';
  if (token.usedAtMs === undefined) return 'rotate';
  const sameRequest = key !== undefined && key === token.usedKey;
  return sameRequest && nowMs - token.usedAtMs < repeatWindowMs ? 'repeat' : 'reuse';
};

/** When a login used now runs out if it is not used again: never after its absolute end. */
export const idleExpiry = (nowMs: number, expiresAtMs: number): number =>
  Math.min(nowMs + refreshLifetime.idleMs, expiresAtMs);
