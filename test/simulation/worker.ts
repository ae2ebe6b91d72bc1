import { createLogger } from '@skein/telemetry';
import { openStore } from './store.ts';
import { runSeed } from './world.ts';

/** A process that runs the seeds its parent sends, one after the other, on a database of its own. */
const log = createLogger({ service: 'simulation', instance: 'simulation', level: 'error' });
const cluster = process.env['SIMULATION_CLUSTER'];
if (!cluster) throw new Error('Started by simulate.ts: npm run simulate -- --seeds 100');
const store = await openStore(log, cluster);

process.on('message', ({ seed }: { readonly seed: number }) => {
  runSeed(seed, store).then(
    (outcome) => process.send?.({ outcome }),
    (error: unknown) => {
      process.stderr.write(`seed ${seed} could not be run: ${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => void store.close());
process.send?.({});
