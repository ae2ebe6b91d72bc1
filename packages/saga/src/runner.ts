import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import { fullJitter } from '@skein/resilience';
import { type Logger, type SpanOptions, withSpan } from '@skein/telemetry';
import { Attempt } from './attempt.ts';
import { readEntries, readSaga } from './claims.ts';
import { type Attempted, decide } from './decide.ts';
import type { SagaDefinition, Step } from './definition.ts';
import { appendEntries, isEnd, type Journal } from './journal.ts';
import { holdLinesOf, leaveLines } from './locks.ts';
import type { SagaMetrics } from './metrics.ts';
import { pauseUntil } from './pause.ts';
import { sagaKeepDays, sagaKeepMs } from './schema.ts';
import { type Entry, evolve, type Failure, type Progress, replay } from './state.ts';

/** A saga in hand: this process is its owner. */
export interface Held {
  readonly id: string;
  readonly definition: SagaDefinition;
  readonly input: unknown;
  readonly correlationId: string;
  readonly traceparent: string | undefined;
  readonly createdAtMs: number;
  readonly locked: boolean;
  readonly fence: number;
  progress: Progress;
  /** At the step that is next, and one for each owner who may have made some without a trace. */
  attempts: number;
  /** The one under way. */
  attempt: Attempt | undefined;
  /** Set when it is to be let go: the process stops, or somebody else has it. */
  letGo: 'stopping' | 'lost' | undefined;
}

/** What running takes. */
export interface RunnerOptions {
  readonly database: Database;
  readonly journal: Journal;
  readonly log: Logger;
  readonly metrics: SagaMetrics;
  readonly random: () => number;
  readonly now: () => number;
  /** Aborts when the process stops: nothing is waited for any more. */
  readonly stopped: AbortSignal;
}

/** Attempts after which a compensation that still fails is reported as an error, and counted as stuck. */
export const stuckAfter = 10;

/** While the trace of the request is still being put together its sagas belong into it; later there is a link. */
const joinTraceMs = 60_000;

/** After so long participants have forgotten the steps, so nothing is repeated any more without an operator. */
const tooOld: Failure = { code: 'saga_state', detail: `It is older than ${sagaKeepDays} days` };

/** Waits while the database is away. */
const recovery = { baseMs: 100, capMs: 2_000 };

const spanOf = (held: Held, step: Step, attempt: number, now: number): SpanOptions => {
  const { definition, progress, traceparent } = held;
  const young = now - held.createdAtMs < joinTraceMs;
  return {
    ...(young ? { traceparent } : { link: traceparent }),
    attributes: {
      'skein.saga.id': held.id,
      'skein.saga.name': definition.name,
      'skein.saga.version': definition.version,
      'skein.saga.step': step.name,
      'skein.saga.direction': progress.direction,
      'skein.saga.attempt': attempt,
    },
  };
};

/** Works on one saga until it has ended, waits for something, or is somebody else's. Never rejects. */
export const sagaRunner = (options: RunnerOptions) => {
  const { database, journal, log, metrics, random, now, stopped } = options;

  const attemptOnce = (held: Held, step: Step): Promise<Attempted> => {
    const { progress, attempts } = held;
    const direction = progress.direction === 'forward' ? 'do' : 'undo';
    const attempt = new Attempt({
      sagaId: held.id,
      correlationId: held.correlationId,
      input: held.input,
      results: progress.results,
      step,
      direction,
      attempt: attempts,
    });
    held.attempt = attempt;
    const name = `saga ${held.definition.name}.${step.name}${direction === 'undo' ? ' undo' : ''}`;
    return withSpan(name, spanOf(held, step, attempts, now()), async (span) => {
      const attempted = await attempt.run((error) => {
        const fields = { saga: held.id, name: held.definition.name, step: step.name, direction, attempts };
        const stuck = direction === 'undo' && attempts % stuckAfter === 0;
        log[stuck ? 'error' : 'warn']({ ...fields, err: error }, 'an attempt at a step of a saga failed');
      });
      held.attempt = undefined;
      span.setAttribute('skein.saga.outcome', attempted.kind);
      metrics.attempts.add(1, {
        saga: held.definition.name,
        step: step.name,
        direction,
        outcome: attempted.kind,
      });
      return attempted;
    });
  };

  /** Reads what the journal says, for as long as the database is away; false when the saga is somebody else's. */
  const reload = async (held: Held): Promise<boolean> => {
    for (let tries = 1; held.letGo === undefined && !stopped.aborted; tries += 1) {
      try {
        const row = await readSaga(database, held.id);
        if (row?.fence !== held.fence) return false;
        const entries = (await readEntries(database, [held.id])).get(held.id) ?? [];
        held.progress = replay(held.definition.steps, entries);
        // What was attempted meanwhile has left no trace.
        held.attempts = row.attempts + 1;
        return true;
      } catch (error) {
        log.warn({ saga: held.id, err: error }, 'a saga waits for the database');
        await pauseUntil(fullJitter(recovery, tries, random()), stopped);
      }
    }
    return false;
  };

  const append = (held: Held, entry: Entry, after: Progress): Promise<boolean> => {
    const { id, fence, progress } = held;
    const state = after.state === progress.state ? undefined : after.state;
    const one = { id, fence, pos: progress.pos, entry, state };
    if (!(held.locked && isEnd(after.state))) return journal.append(one);
    return database.transaction(async (tx) => {
      const keys = await holdLinesOf(tx, id);
      const written = (await appendEntries(tx, [one])).has(id);
      if (written) await leaveLines(tx, id, keys);
      return written;
    });
  };

  /** Writes an entry and moves on; false when the saga is somebody else's. */
  const write = async (held: Held, entry: Entry): Promise<boolean> => {
    const after = evolve(held.definition.steps, held.progress, entry);
    try {
      if (await append(held, entry, after)) {
        held.progress = after;
        held.attempts = 0;
        return true;
      }
    } catch (error) {
      log.warn({ saga: held.id, err: error }, 'it is not known whether the journal has an entry');
    }
    return reload(held);
  };

  const deferred = (held: Held, afterMs: number, failure: string | undefined): Promise<boolean> =>
    journal
      .defer({ id: held.id, fence: held.fence, afterMs, attempts: held.attempts, failure })
      .catch((error: unknown) => {
        log.warn({ saga: held.id, err: error }, 'a saga is let go by the end of its lease');
        return true;
      });

  /** Why the work on the saga ended, and when it is due again. */
  type Ran = { readonly kind: 'settled' | 'lost' } | { readonly kind: 'deferred'; readonly afterMs: number };

  const lost: Ran = { kind: 'lost' };
  const release = async (held: Held, afterMs: number, failure?: string): Promise<Ran> =>
    (await deferred(held, afterMs, failure)) ? { kind: 'deferred', afterMs } : lost;

  const work = async (held: Held): Promise<Ran> => {
    const { steps } = held.definition;
    for (;;) {
      const { progress } = held;
      const step = steps[progress.next];
      if (isEnd(progress.state) || progress.state === 'parked' || !step) return { kind: 'settled' };
      if (held.letGo) return held.letGo === 'lost' ? lost : release(held, 0);
      if (now() - held.createdAtMs > sagaKeepMs) {
        const entry = { kind: 'parked', step: step.name, data: JSON.stringify(tooOld) } as const;
        if (!(await write(held, entry))) return lost;
        continue;
      }
      held.attempts += 1;
      const began = now();
      const attempted = await attemptOnce(held, step);
      if (held.letGo && attempted.kind === 'unknown') continue;
      const decision = decide(attempted, {
        step,
        direction: progress.direction === 'forward' ? 'do' : 'undo',
        attempts: held.attempts,
        tookMs: Math.max(0, Math.round(now() - began)),
        random: random(),
      });
      if (decision.kind === 'write' && !(await write(held, decision.entry))) return lost;
      if (decision.kind === 'defer' && attempted.kind !== 'ok')
        return release(held, decision.afterMs, JSON.stringify(attempted.failure));
    }
  };

  return async (held: Held): Promise<Ran> => {
    try {
      return await work(held);
    } catch (error) {
      // A journal that does not fit the definition, or a bug: neither may take the process with it.
      log.error({ saga: held.id, name: held.definition.name, err: error }, 'a saga cannot go on');
      held.attempts += 1;
      const failure = { code: 'internal', detail: 'The orchestrator failed; its log says why' };
      return release(held, 60_000, JSON.stringify(failure));
    }
  };
};

/** The fault of an attempt that ends because its process does, or because somebody else has the saga. */
export const letGoFault = (): AppError => new AppError('cancelled', 'The saga was let go');
