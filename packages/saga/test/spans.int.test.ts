import { NodeSDK } from '@opentelemetry/sdk-node';
import { currentTraceparent, withSpan } from '@skein/telemetry';
import { afterAll, expect, it } from 'vitest';
import { freshDatabase, runSagas, soon } from './fixture.ts';
import { orderSaga } from './order-saga.ts';

type Processor = NonNullable<NonNullable<ConstructorParameters<typeof NodeSDK>[0]>['spanProcessors']>[number];
type Ended = Parameters<Processor['onEnd']>[0];

const ended: Ended[] = [];
const sdk = new NodeSDK({
  serviceName: 'test',
  instrumentations: [],
  spanProcessors: [
    {
      onStart: () => {},
      onEnd: (span) => void ended.push(span),
      forceFlush: async () => {},
      shutdown: async () => {},
    },
  ],
});
sdk.start();
afterAll(() => sdk.shutdown());

const attemptsOf = (id: string) => ended.filter(({ attributes }) => attributes['skein.saga.id'] === id);

it('has a span for each attempt in the trace of what started it, and soon after one of its own with a link', async () => {
  const { database } = await freshDatabase();
  const order = orderSaga(database, {
    before: async (step, attempt) => {
      if (step === 'hold' && attempt === 1) throw new Error('not yet');
    },
  });
  const sagas = await runSagas({ database, definitions: [order] });
  const started = await withSpan('request', {}, async () => ({
    traceId: currentTraceparent()?.split('-')[1],
    saga: await sagas.startNow(order, { user: 'u1' }),
  }));
  await started.saga.settled(soon());
  const spans = attemptsOf(started.saga.id);
  expect(spans.map(({ name, attributes }) => `${name} ${attributes['skein.saga.attempt']}`)).toEqual([
    'saga order.reserve 1',
    'saga order.hold 1',
    'saga order.hold 2',
    'saga order.charge 1',
    'saga order.ship 1',
  ]);
  expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([started.traceId]));

  await sagas.drain?.();
  const late = await withSpan('request', {}, async () => ({
    traceId: currentTraceparent()?.split('-')[1],
    saga: await database.transaction((tx) => sagas.start(tx, order, { user: 'u2' })),
  }));
  await database.query(`update saga set created_at = now() - interval '2 days' where id = $1`, [
    late.saga.id,
  ]);
  const other = await runSagas({ database, definitions: [order], instance: 'other' });
  await other.settled(late.saga.id, soon());
  for (const span of attemptsOf(late.saga.id)) {
    expect(span.spanContext().traceId).not.toBe(late.traceId);
    expect(span.links.map(({ context }) => context.traceId)).toEqual([late.traceId]);
  }
  expect(attemptsOf(late.saga.id)).toHaveLength(5);
});
