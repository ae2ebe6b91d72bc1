import type { Database } from '@skein/postgres';
import type { Logger } from '@skein/telemetry';
import type { DefinitionId } from './claims.ts';
import { pruneSagas } from './inspect.ts';
import { notFirstInLine } from './locks.ts';
import type { SagaMetrics } from './metrics.ts';
import { stuckAfter } from './runner.ts';
import { sagaStates } from './state.ts';

/** How often the gauges are brought up to date. */
const everyMs = 15_000;
/** Due for longer than this and nobody looked: nobody will. */
const overdueMs = 60_000;

interface Count {
  readonly name: string;
  readonly version: number;
  readonly state: string;
  readonly count: number;
  readonly overdue: number;
  readonly stuck: number;
  readonly oldest: number;
}

/** What has not ended, by definition and state; from the small index of live sagas. */
const countLive = (database: Database): Promise<Count[]> =>
  database.query<Count>(
    {
      name: 'skein_saga_survey',
      text: `select name, version, state, count(*)::int as count,
               (count(*) filter (where due_at < now() - make_interval(secs => $1 / 1000.0)
                 and (state <> 'waiting' or not ${notFirstInLine('saga')})))::int as overdue,
               (count(*) filter (where state = 'compensating' and attempts >= $2))::int as stuck,
               extract(epoch from now() - min(created_at))::float8 as oldest
             from saga where ended_at is null group by name, version, state`,
    },
    [overdueMs, stuckAfter],
  );

/**
 * Forgets sagas that ended long ago, keeps the gauges of sagas that have not ended, and says which of them no definition of this process fits: they
 * wait for a release that has it, and that is an alert, not a reason to refuse the start.
 */
export const surveySagas = (options: {
  readonly database: Database;
  readonly known: readonly DefinitionId[];
  readonly metrics: SagaMetrics;
  readonly log: Logger;
}) => {
  const { database, metrics, log } = options;
  const known = new Set(options.known.map(({ name, version }) => `${name}@${version}`));
  let timer: NodeJS.Timeout | undefined;
  let reported = '';

  const look = async (): Promise<void> => {
    const counts = await countLive(database);
    const sum = (of: (count: Count) => number, some = counts) => some.reduce((all, one) => all + of(one), 0);
    for (const state of sagaStates.slice(0, 4))
      metrics.live.set(
        sum(
          ({ count }) => count,
          counts.filter((one) => one.state === state),
        ),
        { state },
      );
    metrics.overdue.set(sum(({ overdue }) => overdue));
    metrics.stuck.set(sum(({ stuck }) => stuck));
    metrics.oldest.set(Math.max(0, ...counts.map(({ oldest }) => oldest)));
    const missing = counts.map(({ name, version }) => `${name}@${version}`).filter((id) => !known.has(id));
    metrics.missing.set(
      sum(
        ({ count }) => count,
        counts.filter(({ name, version }) => missing.includes(`${name}@${version}`)),
      ),
    );
    const text = [...new Set(missing)].sort().join(', ');
    if (text !== reported && text !== '')
      log.error(
        { definitions: text },
        'sagas are running that this release has no definition of: run one that has it beside this one until they have ended',
      );
    reported = text;
  };

  const later = (ms: number): void => {
    timer = setTimeout(() => {
      look()
        .then(() => pruneSagas(database))
        .catch((error: unknown) => log.warn({ err: error }, 'could not count and prune the sagas'))
        .finally(() => {
          if (timer !== undefined) later(everyMs);
        });
    }, ms);
  };

  return {
    start: () => later(0),
    stop: () => {
      clearTimeout(timer);
      timer = undefined;
    },
  };
};
