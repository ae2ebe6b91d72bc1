import { AppError } from '@skein/contracts';
import type { Database, Queryable, Tx } from '@skein/postgres';
import { must, type Service } from '@skein/service-kit';
import { currentTraceparent, type Logger, type MetricRegistry } from '@skein/telemetry';
import { v7 as uuidv7 } from 'uuid';
import { toData } from './attempt.ts';
import { type Claimed, claimSagas, type DefinitionId, readEntries, renewLeases } from './claims.ts';
import type { SagaDefinition } from './definition.ts';
import { insertSagas, journal, type NewSaga } from './journal.ts';
import { checkLocks, joinLines } from './locks.ts';
import { sagaMetrics } from './metrics.ts';
import { type Held, letGoFault, sagaRunner } from './runner.ts';
import { type Settled, settling } from './settling.ts';
import { initialProgress, replay } from './state.ts';
import { watchSagas } from './survey.ts';

/** What the orchestrator of a process is made of. */
export interface SagasOptions {
  readonly database: Database;
  /** Every version of every saga that may still be running, not only the newest. */
  readonly definitions: readonly SagaDefinition[];
  /** Names this process among its replicas. */
  readonly instance: string;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** How long a process that is gone keeps its sagas. Default 30 s. */
  readonly leaseMs?: number;
  /** Most sagas in hand; further ones wait in the database. Default 1,000. */
  readonly maxInHand?: number;
  /** How often the database is asked for sagas that are due. Default 500 ms. */
  readonly pollMs?: number;
  readonly random?: () => number;
}

/** How a saga is started. */
export interface StartOptions {
  /** The same saga started with the same key again is the one that is there. At most 255 characters. */
  readonly key?: string | undefined;
  /** Whom it is about, such as a person's id; to find and to authorise. */
  readonly subject?: string | undefined;
  /** Goes down every call. Default: a new one. */
  readonly correlationId?: string | undefined;
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
  const survey = watchSagas({ database, known: names, metrics, log });
  let stopping = false;
  let loop: Promise<void> = Promise.resolve();
  let renewal: NodeJS.Timeout | undefined;
  const alarm = { wake: () => {}, at: Number.POSITIVE_INFINITY };
  const stopped = new AbortController();

  /** Waits, until `wake` or until something is due. */
  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const from = performance.now();
      let timer: NodeJS.Timeout;
      const arm = () => {
        clearTimeout(timer);
        const left = Math.min(from + ms, alarm.at) - performance.now();
        timer = setTimeout(done, Math.max(minPollMs, left));
      };
      const done = () => {
        clearTimeout(timer);
        alarm.wake = () => {};
        alarm.at = Number.POSITIVE_INFINITY;
        resolve();
      };
      rearm = arm;
      alarm.wake = done;
      arm();
    });
  let rearm = () => {};

  const dueIn = (ms: number): void => {
    const at = performance.now() + ms;
    if (at >= alarm.at) return;
    alarm.at = at;
    rearm();
  };

  /** A wait in the middle of work, which ends with the process. */
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        stopped.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      stopped.signal.addEventListener('abort', done, { once: true });
    });

  const runOne = sagaRunner(
    { database, journal: writer, log, metrics, random, now: () => Date.now() },
    pause,
  );

  const take = (one: Held): void => {
    held.set(one.id, one);
    if (stopping) one.letGo = 'stopping';
    const work = runOne(one).then((ran) => {
      held.delete(one.id);
      metrics.inHand.set(held.size);
      if (ran.kind === 'lost') metrics.lost.add(1, { saga: one.definition.name });
      if (ran.kind === 'deferred') dueIn(ran.afterMs);
      if (ran.kind === 'settled') {
        const { state } = one.progress;
        metrics.ended.add(1, { saga: one.definition.name, state });
        if (state === 'parked')
          log.error({ saga: one.id, name: one.definition.name }, 'a saga waits for an operator');
        else ends.tell(one.id, one.progress);
        // Somebody may be next in line.
        if (one.locked) alarm.wake();
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
    const rows = await claimSagas(database, { owner: instance, leaseMs, limit, known: names });
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
      if (!stopping) await sleep(more ? 0 : pollMs);
    }
  };

  const letGo = (one: Held, why: 'stopping' | 'lost'): void => {
    one.letGo = why;
    one.attempt?.abort(letGoFault());
  };

  const renew = async (): Promise<void> => {
    const mine = [...held.values()].map(({ id, fence }) => ({ id, fence }));
    if (mine.length === 0) return;
    const gone = await renewLeases(database, mine, leaseMs).catch((error: unknown) => {
      log.warn({ err: error }, 'could not renew the leases of sagas');
      return [];
    });
    for (const id of gone) {
      const one = held.get(id);
      if (one && mine.some((was) => was.id === id && was.fence === one.fence)) letGo(one, 'lost');
    }
  };

  const newSaga = <Input>(
    definition: SagaDefinition<Input>,
    input: Input,
    { key, subject, correlationId }: StartOptions,
  ): { readonly saga: NewSaga; readonly parsed: Input; readonly locks: readonly string[] } => {
    const { name, version } = definition;
    if (known.get(idOf(definition))?.steps !== definition.steps)
      throw new Error(`bug: saga ${idOf(definition)} is not among the definitions of this process`);
    const result = definition.input.safeParse(input);
    if (!result.success)
      throw new AppError('invalid_request', `The input of saga ${name} does not fit`, {
        errors: result.error.issues
          .slice(0, 20)
          .map(({ path, message }) => ({ path: path.join('.'), message })),
      });
    if (key !== undefined && (key === '' || key.length > 255))
      throw new AppError('invalid_request', 'The key of a saga has 1 to 255 characters');
    const id = uuidv7();
    const saga = {
      id,
      name,
      version,
      key,
      subject,
      input: toData(result.data, `The input of saga ${name}`),
      correlationId: correlationId ?? id,
      traceparent: currentTraceparent(),
    };
    const parsed = result.data as Input;
    return { saga, parsed, locks: checkLocks(name, definition.locks(parsed)) };
  };

  const handle = <Results>(id: string): Started<Results> => ({
    id,
    settled: ({ signal }) => ends.wait(id, signal) as Promise<Settled<Results>>,
  });

  /** The saga that has this key already, if any. */
  const existing = async (db: Queryable, saga: NewSaga): Promise<string | undefined> => {
    if (saga.key === undefined) return undefined;
    const [row] = await db.query<{ id: string; input: string }>(
      {
        name: 'skein_saga_by_key',
        text: 'select id, input from saga where name = $1 and key = $2',
      },
      [saga.name, saga.key],
    );
    if (row && row.input !== saga.input) throw new AppError('idempotency_mismatch');
    return row?.id;
  };

  const counted = (name: string): void => metrics.started.add(1, { saga: name });

  return {
    id: 'sagas',
    run: async () => {
      loop = forever();
      survey.start();
      const again = () => {
        renewal = setTimeout(() => void renew().then(again), leaseMs / renewalsPerLease);
      };
      again();
    },
    wake: () => alarm.wake(),
    settled: (id, { signal }) => ends.wait(id, signal),
    start: async <Input, Results>(
      tx: Tx,
      definition: SagaDefinition<Input, Results>,
      input: Input,
      startOptions: StartOptions = {},
    ) => {
      const { saga, locks } = newSaga(definition, input, startOptions);
      const there = await existing(tx, saga);
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
      const { saga, parsed, locks } = newSaga(definition, input, startOptions);
      if (locks.length > 0 || stopping || held.size >= maxInHand) {
        const started = await database.transaction((tx) => this.start(tx, definition, input, startOptions));
        alarm.wake();
        return started;
      }
      if (!(await writer.start(saga)))
        return handle<Results>(must(await existing(database, saga), 'a saga without a key has a rival'));
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
      alarm.wake();
      for (const one of held.values()) one.letGo = 'stopping';
      await Promise.all([loop, ...running]);
    },
    stop: async () => {
      stopping = true;
      alarm.wake();
      clearTimeout(renewal);
      survey.stop();
      ends.stop();
      for (const one of held.values()) letGo(one, 'stopping');
      stopped.abort();
      await Promise.all([loop, ...running]);
      await writer.stop();
    },
  };
};
