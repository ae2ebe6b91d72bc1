import { createLogger } from '@skein/telemetry';
import { bugs, hunt } from './bugs.ts';
import { openStore } from './store.ts';
import { type Outcome, runSeed } from './world.ts';

/** What a process of the simulation is asked to do. */
export type Task =
  | { readonly seed: number }
  /** Find a seed that shows the bug of this name. */
  | { readonly bug: string; readonly from: number; readonly count: number };

/** What it answers; an empty answer says that it is ready. */
export interface Done {
  readonly outcome?: Outcome | undefined;
  readonly bug?: string;
}

/** A process that does what its parent sends, one thing after the other, on a database of its own. */
const log = createLogger({ service: 'simulation', instance: 'simulation', level: 'error' });
const cluster = process.env['SIMULATION_CLUSTER'];
if (!cluster) throw new Error('Started by simulate.ts: npm run simulate -- --seeds 100');
const store = await openStore(log, cluster);

const work = async (task: Task): Promise<Done> => {
  if ('seed' in task) return { outcome: await runSeed(task.seed, store) };
  const bug = bugs.find(({ name }) => name === task.bug);
  if (!bug) throw new Error(`There is no bug "${task.bug}"`);
  return { bug: task.bug, outcome: await hunt(bug, store, task) };
};

process.on('message', (task: Task) => {
  work(task).then(
    (done) => process.send?.(done),
    (error: unknown) => {
      process.stderr.write(`${JSON.stringify(task)} could not be done: ${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => void store.close());
process.send?.({} satisfies Done);
