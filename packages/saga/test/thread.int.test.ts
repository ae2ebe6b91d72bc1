import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { effectsOf, freshDatabase, runSagas, soon } from './fixture.ts';
import { orderSaga } from './order-saga.ts';

it('does its steps in order and gives what they gave', async () => {
  const { database } = await freshDatabase();
  const order = orderSaga(database);
  const sagas = await runSagas({ database, definitions: [order] });
  const started = await sagas.startNow(order, { user: 'u1' });
  expect(await started.settled(soon())).toEqual({
    state: 'done',
    results: {
      reserve: { id: 'reserve-1' },
      hold: { id: 'hold-1' },
      charge: { id: 'charge-1' },
      ship: undefined,
    },
  });
  expect(await effectsOf(database, started.id)).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
});

it('goes on in another process when the first one is killed in the middle of a step', async () => {
  const { database, url } = await freshDatabase();
  const child = fork(fileURLToPath(new URL('./killed-process.ts', import.meta.url)), [url]);
  const [id] = (await once(child, 'message')) as [string];
  child.kill('SIGKILL');
  await once(child, 'exit');

  const order = orderSaga(database);
  const sagas = await runSagas({ database, definitions: [order], instance: 'successor' });
  expect(await sagas.settled(id, soon())).toMatchObject({ state: 'done' });
  // The step that had happened was asked for again, and did not happen again.
  expect(await effectsOf(database, id)).toEqual(['reserve do', 'hold do', 'charge do', 'ship do']);
  expect(sagas.metrics.print()).toContain('skein_saga_taken_over_total{saga="order"} 1');
});
