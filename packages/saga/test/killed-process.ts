/** A process with a saga in hand, for a test to kill: it stops for ever after the effect of its second step. */

import { createMetrics } from '@skein/telemetry';
import { sagas } from '../src/index.ts';
import { orderSaga } from './order-saga.ts';
import { logInto, openOn } from './tables.ts';

const database = await openOn(process.argv[2] ?? '');
const order = orderSaga(database, {
  after: async (step, _attempt, sagaId) => {
    if (step !== 'hold') return;
    process.send?.(sagaId);
    await new Promise(() => {});
  },
});
const part = sagas({
  database,
  definitions: [order],
  instance: 'killed',
  log: logInto(),
  metrics: createMetrics(),
  leaseMs: 1_000,
});
await part.run();
await part.startNow(order, { user: 'u1' });
