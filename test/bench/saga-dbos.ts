import { DBOS } from '@dbos-inc/dbos-sdk';
import pg from 'pg';
import type { Engine } from './saga-shared.ts';

const nothing = async () => {};

/** DBOS Transact as its documentation starts it, with its default pool size. */
export const engine = async (url: string): Promise<Engine> => {
  const pool = new pg.Pool({ connectionString: url, max: 20 });
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, systemDatabasePool: pool, logLevel: 'error' });
  const workflow = (steps: 1 | 5) =>
    DBOS.registerWorkflow(
      async () => {
        for (let step = 0; step < steps; step += 1) await DBOS.runStep(nothing, { name: `step${step}` });
      },
      { name: `of${steps}` },
    );
  const [one, five] = [workflow(1), workflow(5)];
  await DBOS.launch();
  return {
    run: (steps) => (steps === 1 ? one() : five()),
    servers: [],
    stop: async () => {
      await DBOS.shutdown();
      await pool.end();
    },
  };
};
