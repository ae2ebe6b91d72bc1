import { AppError } from '@skein/contracts';
import type { Database } from '@skein/postgres';
import type { Logger } from '@skein/telemetry';
import { readEntries, readSaga } from './claims.ts';
import { type Entry, endStates, type Failure, type Progress } from './state.ts';

/** How a saga ended. */
export type Settled<Results = Readonly<Record<string, unknown>>> =
  /** The outputs by step; where an operator forced the end, those of later steps are missing. */
  | { readonly state: 'done'; readonly results: Partial<Results> }
  | { readonly state: 'compensated' | 'killed'; readonly failure: Failure };

/** Most who wait for an end in one process; the next one is `overloaded`. */
const maxWaiting = 10_000;
/** How often the database is asked for the ends of sagas that others work on. */
const pollMs = 250;

interface Waiter {
  readonly resolve: (settled: Settled) => void;
  readonly reject: (error: Error) => void;
}

const unknownFailure: Failure = { code: 'internal', detail: 'No reason was written down' };

const settledOf = ({ state, results, failure }: Progress): Settled =>
  state === 'done'
    ? { state, results }
    : { state: state === 'killed' ? 'killed' : 'compensated', failure: failure ?? unknownFailure };

/** What a journal says about the end, also without the definition. */
const settledFrom = (
  state: Progress['state'],
  failure: string | null,
  entries: readonly Entry[],
): Settled => {
  if (state !== 'done')
    return {
      state: state === 'killed' ? 'killed' : 'compensated',
      failure: failure === null ? unknownFailure : JSON.parse(failure),
    };
  const given = entries.filter(({ kind }) => kind === 'done' || kind === 'skipped');
  return {
    state,
    results: Object.fromEntries(
      given.map(({ step, data }) => [step, data === undefined ? undefined : JSON.parse(data)]),
    ),
  };
};

/** Tells who waits for the end of a saga. */
export interface Settling {
  wait(id: string, signal: AbortSignal): Promise<Settled>;
  /** It ended here. */
  tell(id: string, progress: Progress): void;
  /** Rejects everybody who still waits. */
  stop(): void;
}

/** Ends of sagas of this process are told at once; for those of others the database is asked while somebody waits. */
export const settling = ({
  database,
  isHere,
  log,
}: {
  readonly database: Database;
  readonly isHere: (id: string) => boolean;
  readonly log: Logger;
}): Settling => {
  const waiting = new Map<string, Set<Waiter>>();
  let count = 0;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const drop = (id: string, waiter: Waiter): void => {
    const some = waiting.get(id);
    if (!some?.delete(waiter)) return;
    count -= 1;
    if (some.size === 0) waiting.delete(id);
  };

  const settle = (id: string, settled: Settled): void => {
    for (const waiter of waiting.get(id) ?? []) waiter.resolve(settled);
  };

  /** Undefined while it has not ended. */
  const look = async (id: string): Promise<Settled | undefined> => {
    const row = await readSaga(database, id);
    if (!row) throw new AppError('not_found', 'There is no such saga');
    if (!endStates.has(row.state)) return undefined;
    const entries = (await readEntries(database, [id])).get(id) ?? [];
    return settledFrom(row.state as Progress['state'], row.failure, entries);
  };

  const ask = async (): Promise<void> => {
    const elsewhere = [...waiting.keys()].filter((id) => !isHere(id));
    if (elsewhere.length === 0) return;
    const rows = await database.query<{ id: string }>(
      {
        name: 'skein_saga_ended',
        text: `select id from saga where id = any($1) and state in ('done', 'compensated', 'killed')`,
      },
      [elsewhere],
    );
    for (const { id } of rows) {
      const settled = await look(id);
      if (settled) settle(id, settled);
    }
  };

  const schedule = (): void => {
    if (timer || stopped || waiting.size === 0) return;
    timer = setTimeout(() => {
      ask()
        .catch((error: unknown) => log.warn({ err: error }, 'could not ask how sagas ended'))
        .finally(() => {
          timer = undefined;
          schedule();
        });
    }, pollMs);
  };

  return {
    wait: (id, signal) =>
      new Promise((resolve, reject) => {
        if (count >= maxWaiting) {
          reject(new AppError('overloaded', 'Too many wait for the end of a saga'));
          return;
        }
        const aborted = () => waiter.reject(signal.reason as Error);
        const over = () => {
          signal.removeEventListener('abort', aborted);
          drop(id, waiter);
        };
        const waiter: Waiter = {
          resolve: (settled) => {
            over();
            resolve(settled);
          },
          reject: (error) => {
            over();
            reject(error);
          },
        };
        const some = waiting.get(id) ?? new Set();
        waiting.set(id, some.add(waiter));
        count += 1;
        signal.addEventListener('abort', aborted, { once: true });
        if (signal.aborted) aborted();
        else if (stopped) waiter.reject(new AppError('unavailable', 'The service is stopping'));
        else if (!isHere(id)) {
          // It may have ended before anybody waited.
          look(id).then(
            (settled) => settled && waiter.resolve(settled),
            (error: Error) => waiter.reject(error),
          );
        }
        schedule();
      }),
    tell: (id, progress) => settle(id, settledOf(progress)),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      for (const some of [...waiting.values()])
        for (const waiter of [...some]) waiter.reject(new AppError('unavailable', 'The service is stopping'));
    },
  };
};
