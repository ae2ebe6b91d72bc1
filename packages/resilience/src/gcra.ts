/** The rate of a limiter. */
export interface GcraOptions {
  /** Calls allowed per `periodMs` in the long run. */
  readonly limit: number;
  readonly periodMs: number;
  /** Calls allowed at once by somebody who was quiet. Default `limit`. */
  readonly burst?: number;
  /** Keys remembered; the ones not seen for longest are forgotten first. Default 100,000 (about 10 MB). */
  readonly maxKeys?: number;
}

/** What the limiter says of one call. */
export interface Verdict {
  readonly allowed: boolean;
  /** 0 when allowed; else when a call of this cost would be. `Infinity` when it never would be. */
  readonly retryAfterMs: number;
  /** Calls of cost 1 that would be allowed right after this one. */
  readonly remaining: number;
}

/** A rate limiter by key. */
export interface RateLimiter {
  /** Asks for one call by `key` at `nowMs` (any steady clock); a refused call costs nothing. `cost` defaults to 1. */
  take(key: string, nowMs: number, cost?: number): Verdict;
  /** Keys remembered now. */
  readonly size: number;
}

/**
 * The generic cell rate algorithm (ITU-T I.371, virtual scheduling): per key one number, the theoretical arrival
 * time of the next call. No timers, no clean-up: a key whose time has passed is as good as a new one. Options that may
 * change are a function: it is asked at every call, and nobody gets a fresh burst by a change.
 */
export const gcra = (options: GcraOptions | (() => GcraOptions)): RateLimiter => {
  const optionsNow = typeof options === 'function' ? options : () => options;
  // Insertion order is the order of last use: a key is taken out and put back at every call it makes.
  const arrivals = new Map<string, number>();

  // At most two a call, oldest first: the map shrinks when its old keys have run out, and no call pays for a sweep.
  const evict = (nowMs: number, maxKeys: number): void => {
    let evicted = 0;
    for (const [key, arrival] of arrivals) {
      if (evicted === 2 || (arrivals.size <= maxKeys && arrival > nowMs)) return;
      arrivals.delete(key);
      evicted += 1;
    }
  };

  return {
    take: (key, nowMs, cost = 1) => {
      const { limit, periodMs, burst = limit, maxKeys = 100_000 } = optionsNow();
      const intervalMs = periodMs / limit;
      const toleranceMs = intervalMs * burst;
      const known = arrivals.get(key);
      const start = known === undefined || known < nowMs ? nowMs : known;
      const next = start + intervalMs * cost;
      const waitMs = next - toleranceMs - nowMs;
      const allowed = waitMs <= 1e-6;
      const stored = allowed ? next : start;
      if (known !== undefined) arrivals.delete(key);
      // A refused stranger is not remembered: it used nothing up.
      if (allowed || known !== undefined) arrivals.set(key, stored);
      evict(nowMs, maxKeys);
      return {
        allowed,
        retryAfterMs: allowed ? 0 : cost > burst ? Number.POSITIVE_INFINITY : waitMs,
        remaining: Math.max(0, Math.floor((toleranceMs - (stored - nowMs)) / intervalMs + 1e-6)),
      };
    },
    get size() {
      return arrivals.size;
    },
  };
};
