import type { Service } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import type { HeldTurn } from '../domain/turn.ts';
import type { CancelSignals, TurnStore } from './ports.ts';

/** What the worker needs. */
export interface TurnWorkerDeps {
  readonly store: TurnStore;
  readonly cancels: CancelSignals;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** Answers made at once by this process. */
  readonly maxTurns: () => number;
  readonly run: (held: HeldTurn, stop: AbortSignal, cancelled: AbortSignal) => Promise<void>;
}

/** The worker as a part. */
export interface TurnWorker extends Service {
  /** There may be a turn: look now. */
  wake(): void;
}

/** A look without being woken: finds turns whose owner was lost. */
const idleMs = 1_000;
const retryMs = 1_000;

/**
 * Claims turns and runs them, at most `maxTurns()` at once; more wait in the table. A stop gives back what is
 * unfinished, so that a successor takes it at once.
 */
export const turnWorker = (deps: TurnWorkerDeps): TurnWorker => {
  const { store, log, maxTurns } = deps;
  const abort = new AbortController();
  const running = new Map<string, { cancel: AbortController; done: Promise<void> }>();
  const finished = deps.metrics.counter('skein_agent_turns_total', 'Turns this process let go of, by how');
  deps.metrics.gauge('skein_agent_turns_running', 'Turns being answered now', () => running.size);
  let loop: Promise<void> = Promise.resolve();
  let unlisten = () => {};
  let wake = () => {};

  const wait = (timeoutMs: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const begin = (held: HeldTurn) => {
    const cancel = new AbortController();
    const done = deps
      .run(held, abort.signal, cancel.signal)
      .then(() => finished.add(1, { how: 'settled' }))
      .catch((error: unknown) => {
        finished.add(1, { how: 'dropped' });
        if (!abort.signal.aborted)
          log.error({ turn: held.id, err: error }, 'the turn was dropped; another owner takes it');
      })
      .finally(() => {
        running.delete(held.id);
        wake();
      });
    running.set(held.id, { cancel, done });
  };

  const forever = async () => {
    while (!abort.signal.aborted) {
      try {
        const free = maxTurns() - running.size;
        const claimed = free > 0 ? await store.claim(free, [...running.keys()]) : [];
        for (const held of claimed) begin(held);
        await wait(claimed.length > 0 && claimed.length === free ? 0 : idleMs);
      } catch (error) {
        log.warn({ err: error }, 'no turns can be claimed');
        await wait(retryMs);
      }
    }
  };

  return {
    id: 'turn-worker',
    wake: () => wake(),
    run: async () => {
      await store.releaseOwn();
      unlisten = deps.cancels.listen((turnId) => running.get(turnId)?.cancel.abort());
      loop = forever();
    },
    stop: async () => {
      abort.abort();
      unlisten();
      wake();
      await loop;
      await Promise.allSettled([...running.values()].map((one) => one.done));
      await store
        .releaseOwn()
        .catch((error: unknown) => log.debug({ err: error }, 'the leases run out by themselves'));
    },
  };
};
