/** The bounds of a backoff. */
export interface BackoffOptions {
  /** Upper bound of the first wait. */
  readonly baseMs: number;
  /** Upper bound of every wait. */
  readonly capMs: number;
  /** Growth of the upper bound from one wait to the next. Default 2. */
  readonly factor?: number;
}

/**
 * Exponential backoff with full jitter: a wait anywhere between 0 and `min(cap, base × factor^(attempt − 1))`, so
 * that clients which failed together do not come back together (M. Brooker, "Exponential Backoff And Jitter", AWS
 * Architecture Blog, 2015). `attempt` counts from 1; `random` is in [0, 1).
 */
export const fullJitter = (
  { baseMs, capMs, factor = 2 }: BackoffOptions,
  attempt: number,
  random: number,
): number => Math.min(capMs, baseMs * factor ** (attempt - 1)) * random;
