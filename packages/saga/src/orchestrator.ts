import { AppError } from '@skein/contracts';
import type { Database, Tx } from '@skein/postgres';
import { must, periodic, type Service } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import { alarm } from './alarm.ts';
import {
  type Claimed,
  claimSagas,
  type DefinitionId,
  readEntries,
  releaseLeases,
  renewLeases,
  type SagaRow,
} from './claims.ts';
import type { SagaDefinition } from './definition.ts';
import { type Inspected, inspectSaga, listSagas, type SagaFilter, sagaWatching } from './inspect.ts';
import { insertSagas, journal } from './journal.ts';
import { joinLines } from './locks.ts';
import { sagaMetrics } from './metrics.ts';
import { prepareSaga, type StartOptions, sagaWithKey } from './new-saga.ts';
import { operate } from './operate.ts';
import { type Held, letGoFault, sagaRunner } from './runner.ts';
import { type Settled, settling } from './settling.ts';
import { endStates, initialProgress, replay, type SagaState } from './state.ts';
import { surveySagas } from './survey.ts';
import type { Operator, Verb } from './verbs.ts';

/** What the orchestrator of a process is made of. */
export interface SagasOptions {
  readonly database: Database;
  /** Every version of every saga that may still be running, not only the newest. */
  readonly definitions: readonly SagaDefinition[];
  /** Names this process among its replicas. */
  readonly instance: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** How long a process that is gone keeps its sagas, unless it comes back under its name. Default 30 s. */
  readonly leaseMs?: number;
  /** Most sagas in hand; further ones wait in the database. Default 1,000. */
  readonly maxInHand?: number;
  /** How often the database is asked for sagas that are due. Default 500 ms. */
  readonly pollMs?: number;
  readonly random?: () => number;
}

/** A saga that was started, or was there already. */
export interface Started<Results> {
  readonly id: string;
  /**
   * Resolves when it has come to its end, here or in another process; rejects when the signal aborts, which does not
   * stop the saga. Also for one that was started in a transaction, once that has committed.
   */
  settled(options: { readonly signal: AbortSignal }): Promise<Settled<Results>>;
}

/** The orchestrator of a process: a part of its service. */
export interface Sagas extends Service {
  /**
   * Starts a saga if and only if the transaction commits; call `wake` after that, else it is found at the next poll.
   * `invalid_request` for an input that does not fit, `conflict` and `overloaded` for locks that are taken,
   * `idempotency_mismatch` for a key that was used with another input.
   */
  start<Input, Results>(
    tx: Tx,
    definition: SagaDefinition<Input, Results>,
    input: Input,
    options?: StartOptions,
  ): Promise<Started<Results>>;
  /** Starts a saga in a transaction of its own, shared with others that start now. Durable when it resolves. */
  startNow<Input, Results>(
    definition: SagaDefinition<Input, Results>,
    input: Input,
    options?: StartOptions,
  ): Promise<Started<Results>>;
  /** The end of any saga of this database; `not_found` for an unknown id. */
  settled(id: string, options: { readonly signal: AbortSignal }): Promise<Settled>;
  /** Looks for sagas that are due now. */
  wake(): void;
  /**
   * Does what a person decided about a saga, and gives the state it has then. `not_found`, `invalid_request`, and
   * `saga_state` with the reason when that is not possible now.
   */
  operate(id: string, verb: Verb, by: Operator): Promise<SagaState>;
  list(filter: SagaFilter): Promise<SagaRow[]>;
  /** A saga with its journal; `not_found`. */
  inspect(id: string): Promise<Inspected>;
  /**
   * A saga with its journal now and after each change, until its end or the signal aborts. `overloaded` beyond 200 of
   * them, and beyond 5 for the same `person`.
   */
  watch(
    id: string,
    options: { readonly signal: AbortSignal; readonly person?: string },
  ): AsyncIterable<Inspected>;
}

/** Renewed three times before it ends: two may be missed. */
const renewalsPerLease = 3;
/** Sagas that wait here for the journal at once; more are `overloaded`. */
const maxQueued = 10_000;
/** Between two looks for due sagas at least. */
const minPollMs = 20;

const idOf = ({ name, version }: DefinitionId): string => `${name}@${version}`;

/** Checks the definitions as a set: each name and version once, each with steps. */
const byId = (definitions: readonly SagaDefinition[]): ReadonlyMap<string, SagaDefinition> => {
  const known = new Map(definitions.map((definition) => [idOf(definition), definition]));
  if (known.size < definitions.length) throw new Error('two definitions of sagas have one name and version');
  for (const { name, steps } of definitions)
    if (steps.length === 0) throw new Error(`saga "${name}" has no steps`);
  return known;
};

/** Starts sagas and works on those of this process and of processes that are gone. */
export const sagas = (options: SagasOptions): Sagas => {
  const { database, instance, log, leaseMs = 30_000, maxInHand = 1_000, pollMs = 500 } = options;
  const { random = Math.random } = options;
  const known = byId(options.definitions);
  const names = [...known.values()].map(({ name, version }) => ({ name, version }));
  const metrics = sagaMetrics(options.metrics);
  const writer = journal({ database, owner: instance, leaseMs, maxQueued });
  const held = new Map<string, Held>();
  const running = new Set<Promise<void>>();
  const ends = settling({ database, isHere: (id) => held.has(id), log });
  const watching = sagaWatching(database);
  const survey = surveySagas({ database, known: names, metrics, log });
  let stopping = false;
  let loop: Promise<void> = Promise.resolve();
  const due = alarm(minPollMs);
  const stopped = new AbortController();

  const runOne = sagaRunner({
    database,
    journal: writer,
    log,
    metrics,
    random,
    now: () => Date.now(),
    stopped: stopped.signal,
  });

  const take = (one: Held): void => {
    held.set(one.id, one);
    if (stopping) one.letGo = 'stopping';
    const work = runOne(one).then((ran) => {
      // After a verb the saga may be in hand anew before the attempt it cut short has ended.
      if (held.get(one.id) === one) held.delete(one.id);
      metrics.inHand.set(held.size);
      if (ran.kind === 'lost') metrics.lost.add(1, { saga: one.definition.name });
      if (ran.kind === 'deferred') due.dueIn(ran.afterMs);
      if (ran.kind === 'settled') {
        const { state } = one.progress;
        metrics.ended.add(1, { saga: one.definition.name, state });
        if (state === 'parked')
          log.error({ saga: one.id, name: one.definition.name }, 'a saga waits for an operator');
        else ends.tell(one.id, one.progress);
        // Somebody may be next in line.
        if (one.locked) due.wake();
      }
      running.delete(work);
    });
    running.add(work);
    metrics.inHand.set(held.size);
  };

  const heldOf = (row: Claimed, entries: Parameters<typeof replay>[1]): Held => {
    const definition = must(known.get(idOf(row)), `claimed ${idOf(row)}`);
    const input: unknown = JSON.parse(row.input);
    return {
      id: row.id,
      definition,
      input,
      correlationId: row.correlationId,
      traceparent: row.traceparent ?? undefined,
      createdAtMs: row.createdAt.getTime(),
      locked: definition.locks(input as never).length > 0,
      fence: row.fence,
      progress: replay(definition.steps, entries),
      // Its owner may have attempted the step when it went away.
      attempts: row.attempts + (row.previousOwner === null ? 0 : 1),
      attempt: undefined,
      letGo: undefined,
    };
  };

  /** Claims what is due; true when there may be more. */
  const claim = async (): Promise<boolean> => {
    const limit = Math.min(200, maxInHand - held.size);
    if (limit <= 0 || names.length === 0) return false;
    const rows = await claimSagas(database, {
      owner: instance,
      leaseMs,
      limit,
      known: names,
      held: [...held.keys()],
    });
    if (rows.length === 0) return false;
    const journals = await readEntries(
      database,
      rows.map(({ id }) => id),
    );
    for (const row of rows) {
      if (row.previousOwner !== null) {
        metrics.takenOver.add(1, { saga: row.name });
        log.warn({ saga: row.id, name: row.name, from: row.previousOwner }, 'taking over a saga');
      }
      try {
        take(heldOf(row, journals.get(row.id) ?? []));
      } catch (error) {
        log.error({ saga: row.id, name: row.name, err: error }, 'the journal of a saga does not fit');
      }
    }
    return rows.length === limit;
  };

  const forever = async (): Promise<void> => {
    while (!stopping) {
      const more = await claim().catch((error: unknown) => {
        if (!stopping) log.warn({ err: error }, 'could not look for sagas that are due');
        return false;
      });
      if (!stopping) await due.wait(more ? 0 : pollMs);
    }
  };

  const letGo = (one: Held, why: 'stopping' | 'lost'): void => {
    one.letGo = why;
    one.attempt?.abort(letGoFault());
  };

  const renew = async (): Promise<void> => {
    const mine = [...held.values()].map(({ id, fence }) => ({ id, fence }));
    if (mine.length === 0) return;
    const gone = await renewLeases(database, mine, leaseMs);
    for (const id of gone) {
      const one = held.get(id);
      if (one && mine.some((was) => was.id === id && was.fence === one.fence)) letGo(one, 'lost');
    }
  };

  const leases = periodic('saga-leases', {
    everyMs: leaseMs / renewalsPerLease,
    work: renew,
    failed: (error) => log.warn({ err: error }, 'could not renew the leases of sagas'),
  });

  const prepared = <Input>(definition: SagaDefinition<Input>, input: Input, options: StartOptions) => {
    if (known.get(idOf(definition))?.steps !== definition.steps)
      throw new Error(`bug: saga ${idOf(definition)} is not among the definitions of this process`);
    return prepareSaga(definition, input, options);
  };

  const handle = <Results>(id: string): Started<Results> => ({
    id,
    settled: ({ signal }) => ends.wait(id, signal) as Promise<Settled<Results>>,
  });

  const counted = (name: string): void => metrics.started.add(1, { saga: name });

  return {
    id: 'sagas',
    run: async () => {
      // Before this life has any of its own.
      await releaseLeases(database, instance).catch((error: unknown) =>
        log.debug({ err: error }, 'the leases of an earlier life run out by themselves'),
      );
      loop = forever();
      survey.start();
      await leases.run();
    },
    wake: () => due.wake(),
    settled: (id, { signal }) => ends.wait(id, signal),
    operate: async (id, verb, by) => {
      const { name, state } = await operate(database, (row) => known.get(idOf(row)), id, verb, by);
      const here = held.get(id);
      if (here) letGo(here, 'lost');
      metrics.verbs.add(1, { verb: verb.kind });
      if (endStates.has(state)) metrics.ended.add(1, { saga: name, state });
      log.warn({ saga: id, name, verb: verb.kind, actor: by.actor }, 'somebody acted on a saga');
      due.wake();
      return state;
    },
    list: (filter) => listSagas(database, filter),
    inspect: (id) => inspectSaga(database, id),
    watch: (id, { signal, person }) => watching(id, signal, person),
    start: async <Input, Results>(
      tx: Tx,
      definition: SagaDefinition<Input, Results>,
      input: Input,
      startOptions: StartOptions = {},
    ) => {
      const { saga, locks } = prepared(definition, input, startOptions);
      const there = await sagaWithKey(tx, saga);
      if (there !== undefined) return handle<Results>(there);
      const first = await joinLines(tx, saga.id, locks, definition.onLocked);
      const written = await insertSagas(tx, [saga], {
        state: first ? 'running' : 'waiting',
        owner: null,
        dueMs: first ? 0 : null,
      });
      // Somebody started it with the same key meanwhile.
      if (!written.has(saga.id)) throw new AppError('conflict');
      counted(definition.name);
      return handle<Results>(saga.id);
    },
    async startNow<Input, Results>(
      definition: SagaDefinition<Input, Results>,
      input: Input,
      startOptions: StartOptions = {},
    ) {
      const { saga, input: parsed, locks } = prepared(definition, input, startOptions);
      if (locks.length > 0 || stopping || held.size >= maxInHand) {
        const started = await database
          .transaction((tx) => this.start(tx, definition, input, startOptions))
          .catch(async (error: unknown) => {
            // Somebody else may have started it with this key at the same moment.
            const there = await sagaWithKey(database, saga);
            if (there === undefined) throw error;
            return handle<Results>(there);
          });
        due.wake();
        return started;
      }
      if (!(await writer.start(saga)))
        return handle<Results>(must(await sagaWithKey(database, saga), 'a saga without a key has a rival'));
      counted(definition.name);
      take({
        id: saga.id,
        definition: definition as SagaDefinition,
        input: parsed,
        correlationId: saga.correlationId,
        traceparent: saga.traceparent,
        createdAtMs: Date.now(),
        locked: false,
        fence: 1,
        progress: initialProgress,
        attempts: 0,
        attempt: undefined,
        letGo: undefined,
      });
      return handle<Results>(saga.id);
    },
    drain: async () => {
      stopping = true;
      due.wake();
      for (const one of held.values()) one.letGo = 'stopping';
      await Promise.all([loop, ...running]);
    },
    stop: async () => {
      stopping = true;
      due.wake();
      survey.stop();
      ends.stop();
      for (const one of held.values()) letGo(one, 'stopping');
      stopped.abort();
      await Promise.all([loop, leases.stop(), ...running]);
      await writer.stop();
    },
  };
};
