import { AppError } from '@skein/contracts';

/** A long-lived part of a process. */
export interface Service {
  /** Names the part in logs. */
  readonly id: string;
  /** Resolves when the part is ready to serve; rejects when it cannot be. Called once. */
  run(): Promise<void>;
  /** Takes no new work and finishes what is in hand. Called before any `stop`. */
  drain?(): Promise<void>;
  /** Frees everything. Called once, also after a `run` that rejected; never rejects for being called late. */
  stop(): Promise<void>;
  /**
   * Instead of `run`: looks whether what the part needs is there and fits, for `waitMs` at most, and changes nothing.
   * Resolves with a sentence about what was found; rejects with one that names the way out.
   */
  check?(waitMs: number): Promise<string>;
}

/** What `lifecycle` may be told. */
export interface LifecycleOptions {
  /** How long all drains together may take before the stops begin. */
  readonly drainTimeoutMs?: number;
  /** How long each stop may take before it is left behind. */
  readonly stopTimeoutMs?: number;
  /** Told of a part that failed to drain or stop, or took too long; the others go on. */
  readonly onError?: (part: string, error: unknown) => void;
}

/** What a person is told of an error. */
const sentenceOf = (error: unknown): string =>
  error instanceof AppError ? error.detail : error instanceof Error ? error.message : String(error);

/** An attempt that has begun may end. */
const checkGraceMs = 15_000;

const bounded = async <T>(work: Promise<T>, timeoutMs: number, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};

/**
 * Parts as one service: started in order, each after the one before is ready; drained and stopped in reverse,
 * so that what faces users lets go first. A part that fails to start stops those already started; a stop in the
 * middle of a start lets no further part begin, and `run` rejects.
 */
export const lifecycle = (
  id: string,
  parts: readonly Service[],
  { drainTimeoutMs = 10_000, stopTimeoutMs = 5_000, onError = () => {} }: LifecycleOptions = {},
): Service => {
  const started: Service[] = [];
  let stopping: Promise<void> | undefined;
  const stopAll = async () => {
    for (const part of started.splice(0).reverse()) {
      await bounded(part.stop(), stopTimeoutMs, `stopping ${part.id}`).catch((error: unknown) =>
        onError(part.id, error),
      );
    }
  };
  return {
    id,
    /** All parts at once, a line each; rejects with all lines when one has something to say against a start. */
    async check(waitMs) {
      const sentences = await Promise.allSettled(
        parts.flatMap((part) => {
          const checking = part.check?.(waitMs);
          return checking ? [bounded(checking, waitMs + checkGraceMs, `checking ${part.id}`)] : [];
        }),
      );
      const lines = sentences.map((one) => (one.status === 'fulfilled' ? one.value : sentenceOf(one.reason)));
      if (sentences.some(({ status }) => status === 'rejected')) throw new Error(lines.join('\n'));
      return lines.join('\n');
    },
    async run() {
      for (const part of parts) {
        // Registered before it is ready: a part that failed half way still has things to free.
        started.push(part);
        try {
          await part.run();
          // Asked to stop meanwhile: what would be started now nobody would stop.
          if (stopping !== undefined) throw new Error(`${id} was stopped while it started`);
        } catch (error) {
          await stopAll();
          throw error;
        }
      }
    },
    async drain() {
      const deadline = performance.now() + drainTimeoutMs;
      for (const part of [...started].reverse()) {
        if (!part.drain) continue;
        const left = Math.max(1, deadline - performance.now());
        await bounded(part.drain(), left, `draining ${part.id}`).catch((error: unknown) =>
          onError(part.id, error),
        );
      }
    },
    stop() {
      stopping ??= stopAll();
      return stopping;
    },
  };
};
