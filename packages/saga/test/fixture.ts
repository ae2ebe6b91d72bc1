import type { Database } from '@skein/postgres';
import { testDatabase } from '@skein/postgres/testing';
import { createMetrics, type MetricRegistry } from '@skein/telemetry';
import { onTestFinished } from 'vitest';
import { type Sagas, type SagasOptions, sagas } from '../src/index.ts';
import { logInto, openOn } from './tables.ts';

/** A database of its own, gone after the test. */
export const freshDatabase = async (): Promise<{ readonly database: Database; readonly url: string }> => {
  const { url, drop } = await testDatabase();
  onTestFinished(drop);
  const database = await openOn(url);
  onTestFinished(() => database.stop());
  return { database, url };
};

/** An orchestrator that runs until the test ends. */
export const runSagas = async (
  options: Pick<SagasOptions, 'database' | 'definitions'> &
    Partial<SagasOptions> & { readonly lines?: string[] },
): Promise<Sagas & { readonly metrics: MetricRegistry }> => {
  const metrics = createMetrics();
  const part = sagas({
    instance: 'one',
    log: logInto(options.lines),
    metrics,
    pollMs: 50,
    ...options,
  });
  await part.run();
  onTestFinished(() => part.stop());
  return Object.assign(part, { metrics });
};

/** What the steps of a saga did, in order: `reserve do`, `reserve undo`. */
export const effectsOf = async (database: Database, sagaId: string): Promise<string[]> => {
  const rows = await database.query<{ step: string; what: string }>(
    'select step, what from effect where saga = $1 order by at',
    [sagaId],
  );
  return rows.map(({ step, what }) => `${step} ${what}`);
};

/** How long a test waits for an end. */
export const soon = (): { readonly signal: AbortSignal } => ({ signal: AbortSignal.timeout(10_000) });
