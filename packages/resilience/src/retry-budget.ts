/** How many retries a client may add to its own load. */
export interface RetryBudget {
  /** A call got through. */
  succeeded(): void;
  /** A call failed in a way that asks for a retry; whether one may be made. */
  failed(): boolean;
}

/** The bucket of a budget. */
export interface RetryBudgetOptions {
  /** Size of the bucket; it starts full. Default 10. */
  readonly maxTokens?: number;
  /** What each success puts back: the share of retries in the long run. Default 0.1. */
  readonly tokenRatio?: number;
}

/**
 * Retry throttling as in gRPC proposal A6: a failure takes one token, a success returns `tokenRatio`, retries are
 * allowed while the bucket is more than half full. A backend that is down as a whole gets at most `maxTokens / 2`
 * retries on top of the calls themselves, however many those are.
 */
export const retryBudget = ({ maxTokens = 10, tokenRatio = 0.1 }: RetryBudgetOptions = {}): RetryBudget => {
  let tokens = maxTokens;
  return {
    succeeded: () => {
      if (tokens < maxTokens) tokens = Math.min(maxTokens, tokens + tokenRatio);
    },
    failed: () => {
      tokens = Math.max(0, tokens - 1);
      return tokens > maxTokens / 2;
    },
  };
};
