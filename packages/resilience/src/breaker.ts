import { EventEmitter } from 'node:events';
import { AppError, toAppError } from '@skein/contracts';
import CircuitBreaker from 'opossum';

/** Whether calls get through: all, none, or one that finds out. */
export type BreakerState = 'closed' | 'open' | 'half_open';

/** What a call says of the other side: it works, it is ill, or nothing (the caller went away). */
export type Outcome = 'success' | 'failure' | 'neutral';

/** The bounds of the breakers of one process. */
export interface BreakerOptions {
  /** Calls in the window before the circuit may open. Default 20. */
  readonly volumeThreshold?: number;
  /** Percentage of failures that opens it. Default 50. */
  readonly errorThresholdPercentage?: number;
  /** The window. Default 10 s. */
  readonly windowMs?: number;
  /** Mean time until a probe may go through; each opening gets up to 20 % more or less. Default 2 s. */
  readonly resetMs?: number;
  /** A probe that has not settled by then no longer keeps others from probing. Default 30 s. */
  readonly probeTimeoutMs?: number;
  /** 0 ≤ n < 1; default `Math.random`. */
  readonly random?: () => number;
  /** Steady milliseconds; default `performance.now`. */
  readonly now?: () => number;
  /** Told of every change of state. */
  readonly onState?: (name: string, state: BreakerState) => void;
}

/** How one call is bounded. */
export interface BreakerCall {
  /** The caller's own signal. */
  readonly signal?: AbortSignal | undefined;
  /** Always there: a call that may hang for ever would keep a half-open circuit half open for ever. */
  readonly timeoutMs: number;
}

/** A place in the circuit, from `enter` to `leave`. */
export type Pass = 'call' | 'probe';

/** A circuit breaker around one kind of call to one other side. */
export interface Breaker {
  readonly name: string;
  readonly state: BreakerState;
  /** Lets a call through, or throws `unavailable` with the time until the next probe. */
  enter(): Pass;
  /** Reports how it ended; exactly once for every `enter`. */
  leave(pass: Pass, outcome: Outcome): void;
  /**
   * Both at once, with a signal of the call's own that aborts with the caller's or after `timeoutMs`. Rejects at
   * once when it aborts, even if `work` does not listen.
   */
  run<T>(work: (signal: AbortSignal) => Promise<T>, call: BreakerCall): Promise<T>;
}

/** The breakers of a process: they share one timer. */
export interface Breakers {
  /** The breaker of this name, made at the first asking. Names come from a closed set: never from users. */
  breaker(name: string): Breaker;
  stop(): void;
}

/** The faults that say that the other side is ill; every other fault is an answer, and answering is health. */
const illness = new Set(['unavailable', 'deadline_exceeded', 'internal']);
/** Faults that say nothing: the caller left, or the other side protects itself. */
const silence = new Set(['cancelled', 'overloaded', 'rate_limited', 'too_many_connections']);

/** What a thrown thing says of the other side. */
export const outcomeOf = (thrown: unknown): Outcome => {
  const { code } = toAppError(thrown);
  return illness.has(code) ? 'failure' : silence.has(code) ? 'neutral' : 'success';
};

const buckets = 10;

const settled = (failure: unknown): Promise<void> => (failure ? Promise.reject(failure) : Promise.resolve());
const failed = new Error('the call failed');

/**
 * Circuit breakers on opossum, which keeps the window and the state; everything that bites in its `fire` (permits
 * freed at a timeout, filtered errors that close a circuit, an abort controller shared by all calls, probes that
 * hang) is kept out of its reach: it is told of outcomes only, after the fact. See the README.
 */
export const breakers = (options: BreakerOptions = {}): Breakers => {
  const {
    volumeThreshold = 20,
    errorThresholdPercentage = 50,
    windowMs = 10_000,
    resetMs = 2_000,
    probeTimeoutMs = 30_000,
    random = Math.random,
    now = () => performance.now(),
    onState = () => {},
  } = options;
  const rotation = new EventEmitter();
  rotation.setMaxListeners(0);
  const timer = setInterval(() => rotation.emit('rotate'), windowMs / buckets).unref();
  const all = new Map<string, Breaker & { readonly circuit: CircuitBreaker }>();

  const make = (name: string) => {
    const nextReset = () => resetMs * (0.8 + 0.4 * random());
    const settings: CircuitBreaker.Options & { resetTimeout: number } = {
      name,
      volumeThreshold,
      errorThresholdPercentage,
      rollingCountTimeout: windowMs,
      rollingCountBuckets: buckets,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: rotation,
      resetTimeout: nextReset(),
      // What it is given has settled already.
      timeout: false,
    };
    const circuit = new CircuitBreaker(settled, settings);
    let opensUntil = 0;
    let probingSince: number | undefined;
    circuit.on('open', () => {
      opensUntil = now() + settings.resetTimeout;
      // Its own listener, which came first, has read this one; the next opening gets another.
      settings.resetTimeout = nextReset();
      onState(name, 'open');
    });
    circuit.on('halfOpen', () => onState(name, 'half_open'));
    circuit.on('close', () => onState(name, 'closed'));

    const refuse = (): never => {
      throw new AppError('unavailable', undefined, {
        retryAfterMs: Math.max(0, Math.ceil(opensUntil - now())),
        cause: new CircuitOpen(name),
      });
    };
    const enter = (): Pass => {
      if (circuit.closed) return 'call';
      if (circuit.opened) return refuse();
      if (probingSince !== undefined && now() - probingSince < probeTimeoutMs) return refuse();
      probingSince = now();
      return 'probe';
    };
    const leave = (pass: Pass, outcome: Outcome): void => {
      if (pass === 'probe') probingSince = undefined;
      // A call from before the circuit opened says nothing about now.
      else if (!circuit.closed) return;
      if (outcome === 'neutral') return;
      // It rejects with what it was given: everybody concerned knows already.
      circuit.fire(outcome === 'failure' ? failed : undefined).catch(() => {});
    };
    return {
      circuit,
      name,
      get state(): BreakerState {
        return circuit.closed ? 'closed' : circuit.opened ? 'open' : 'half_open';
      },
      enter,
      leave,
      run: <T>(work: (signal: AbortSignal) => Promise<T>, call: BreakerCall) =>
        bounded({ enter, leave }, work, call),
    };
  };

  return {
    breaker: (name) => {
      let one = all.get(name);
      if (!one) {
        one = make(name);
        all.set(name, one);
      }
      return one;
    },
    stop: () => {
      clearInterval(timer);
      for (const { circuit } of all.values()) circuit.shutdown();
    },
  };
};

/** Why a call was not made at all; the `cause` of the `unavailable` that `enter` throws. */
export class CircuitOpen extends Error {
  override readonly name = 'CircuitOpen';
  constructor(breaker: string) {
    super(`the circuit of ${breaker} is open`);
  }
}

const bounded = async <T>(
  { enter, leave }: Pick<Breaker, 'enter' | 'leave'>,
  work: (signal: AbortSignal) => Promise<T>,
  { signal, timeoutMs }: BreakerCall,
): Promise<T> => {
  if (signal?.aborted) throw signal.reason;
  const pass = enter();
  const own = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (reason: unknown) => {
    own.abort(reason);
    reject(reason);
  };
  const cancel = () => end(signal?.reason);
  const timer = setTimeout(() => end(new AppError('deadline_exceeded')), timeoutMs);
  signal?.addEventListener('abort', cancel, { once: true });
  let outcome: Outcome = 'success';
  try {
    return await Promise.race([work(own.signal), ended]);
  } catch (error) {
    outcome = signal?.aborted ? 'neutral' : outcomeOf(error);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
    leave(pass, outcome);
  }
};
