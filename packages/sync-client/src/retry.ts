/** What to do after a socket has closed. */
export type AfterClose =
  | { readonly kind: 'retry'; readonly afterMs: number }
  /** Get a fresh access token first; sign in when there is none to be had. */
  | { readonly kind: 'renew' }
  | { readonly kind: 'stop'; readonly why: StopReason };

/** Why the connection stays closed until a person does something. */
export type StopReason = 'sign_in' | 'replaced' | 'not_allowed' | 'protocol';

/** First wait's ceiling; doubles with every attempt. */
export const retryBaseMs = 500;
/** Longest wait at first: a restart takes seconds, and the page is back within five of the server. */
export const quickCapMs = 5_000;
/** So many attempts are quick; with the waits above they last more than half a minute. */
export const quickAttempts = 16;
/** Longest wait after that: the outage is a long one, and everybody's attempts together are what a server meets. */
export const retryCapMs = 30_000;

/**
 * Full jitter: anywhere between nothing and the ceiling of this attempt, so that clients cut at once do not
 * come back at once (AWS Architecture Blog, "Exponential Backoff And Jitter"). `random` is in [0, 1).
 */
export function jitteredMs(attempt: number, random: number): number {
  const cap = attempt < quickAttempts ? quickCapMs : retryCapMs;
  return Math.floor(random * Math.min(cap, retryBaseMs * 2 ** Math.min(attempt, 16)));
}

/** The close codes of the contract. `attempt` counts failures in a row; `reason` may name a window to wait in. */
export function afterClose(code: number, reason: string, attempt: number, random: number): AfterClose {
  switch (code) {
    case 4000:
      return { kind: 'stop', why: 'protocol' };
    case 4001:
      return { kind: 'renew' };
    case 4003:
      return { kind: 'stop', why: 'not_allowed' };
    case 4010:
      return { kind: 'stop', why: 'replaced' };
    case 4029:
      // Refused ten times in ten seconds: coming back sooner than that only repeats it.
      return { kind: 'retry', afterMs: within(reason, random) ?? 10_000 + jitteredMs(attempt + 4, random) };
    default:
      return { kind: 'retry', afterMs: within(reason, random) ?? jitteredMs(attempt, random) };
  }
}

/** A moment within the window the server names as `{"retryAfterMs": [min, max]}`; `undefined` without one. */
function within(reason: string, random: number): number | undefined {
  let window: unknown;
  try {
    window = (JSON.parse(reason) as { retryAfterMs?: unknown } | null)?.retryAfterMs;
  } catch {
    return undefined; // Proxies put their own words here.
  }
  if (!Array.isArray(window)) return undefined;
  const [min, max]: unknown[] = window;
  if (typeof min !== 'number' || typeof max !== 'number' || !(max >= min) || min < 0) return undefined;
  return Math.min(Math.floor(min + random * (max - min)), 300_000);
}
