export { type BackoffOptions, fullJitter } from './backoff.ts';
export {
  type Breaker,
  type BreakerCall,
  type BreakerOptions,
  type BreakerState,
  type Breakers,
  breakers,
  CircuitOpen,
  type Outcome,
  outcomeOf,
  type Pass,
} from './breaker.ts';
export { type Bulkhead, type BulkheadOptions, bulkhead } from './bulkhead.ts';
export { type GcraOptions, gcra, type RateLimiter, type Verdict } from './gcra.ts';
export { type RetryBudget, type RetryBudgetOptions, retryBudget } from './retry-budget.ts';
