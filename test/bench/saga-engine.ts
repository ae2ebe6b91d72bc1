/**
 * One engine in a process of its own: `saga-engine.ts <engine> <url of Postgres>`. Says when it is ready, then runs
 * closed loops of sagas as it is told, and tells what came of each.
 */
import { cpuMs } from './measure-process.ts';
import { percentile } from './measure-stats.ts';
import type { Delivered, Engine, Order } from './saga-shared.ts';

const engines: Readonly<Record<string, () => Promise<{ engine(url: string): Promise<Engine> }>>> = {
  skein: () => import('./saga-skein.ts'),
  dbos: () => import('./saga-dbos.ts'),
  restate: () => import('./saga-restate.ts'),
};

const loop = async (engine: Engine, { steps, atOnce, seconds }: Order): Promise<Delivered> => {
  const pids = [process.pid, ...engine.servers];
  const used = () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const [before, begun] = [used(), performance.now()];
  const until = begun + seconds * 1_000;
  const delays: number[] = [];
  const worker = async () => {
    while (performance.now() < until) {
      const from = performance.now();
      await engine.run(steps);
      delays.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return {
    sagas: delays.length,
    perSecond: delays.length / ((performance.now() - begun) / 1_000),
    p50: percentile(delays, 0.5),
    p99: percentile(delays, 0.99),
    cpuMs: used() - before,
  };
};

const [, , name = '', url = ''] = process.argv;
const load = engines[name];
if (!load) throw new Error(`there is no engine ${name}`);
const engine = await (await load()).engine(url);
process.on('message', (order: Order) => {
  loop(engine, order).then(
    (delivered) => process.send?.(delivered),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => {
  void engine.stop().finally(() => process.exit(0));
});
process.send?.('ready');
