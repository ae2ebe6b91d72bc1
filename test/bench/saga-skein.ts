import { openDatabase } from '@skein/postgres';
import { defineSaga, sagas, sagaTablesSql } from '@skein/saga';
import { createLogger, createMetrics } from '@skein/telemetry';
import { z } from 'zod';
import type { Engine } from './saga-shared.ts';

const nothing = async () => {};
const head = { version: 1, input: z.object({}) };
const one = defineSaga({ ...head, name: 'one' }).retriable('only', { action: nothing });
const five = defineSaga({ ...head, name: 'five' })
  .compensatable('reserve', { action: nothing, compensate: nothing })
  .compensatable('hold', { action: nothing, compensate: nothing })
  .pivot('charge', { action: nothing })
  .retriable('ship', { action: nothing })
  .retriable('tell', { action: nothing });

/** Ours: the orchestrator as a service has it, one process. */
export const engine = async (url: string): Promise<Engine> => {
  const log = createLogger({ service: 'bench', instance: 'bench', level: 'warn' });
  const database = openDatabase(
    {
      url,
      schema: 'bench',
      applicationName: 'bench',
      poolSize: 20,
      migrations: [{ version: 1, name: 'sagas', sql: sagaTablesSql }],
    },
    { log },
  );
  await database.run();
  const definitions = [one, five];
  const orchestrator = sagas({ database, definitions, instance: 'bench', log, metrics: createMetrics() });
  await orchestrator.run();
  const { signal } = new AbortController();
  return {
    run: async (steps) => {
      const started = await (steps === 1 ? orchestrator.startNow(one, {}) : orchestrator.startNow(five, {}));
      const { state } = await started.settled({ signal });
      if (state !== 'done') throw new Error(`a saga ended ${state}`);
    },
    servers: [],
    stop: async () => {
      await orchestrator.stop();
      await database.stop();
    },
  };
};
