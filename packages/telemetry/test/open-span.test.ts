import { trace } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createMetrics, currentTraceparent, openSpan, SpanKind } from '../src/index.ts';

interface Ended {
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code: number; readonly message?: string };
  readonly parentSpanContext?: { readonly spanId: string };
}

const ended: Ended[] = [];
let sdk: NodeSDK;
beforeAll(() => {
  sdk = new NodeSDK({
    instrumentations: [],
    spanProcessors: [
      {
        onStart: () => {},
        onEnd: (span) => {
          ended.push(span);
        },
        forceFlush: async () => {},
        shutdown: async () => {},
      },
    ],
  });
  sdk.start();
});
afterAll(async () => {
  await sdk.shutdown();
  trace.disable();
});

test('a span opened by hand continues the given trace, is active within its work and ends once', async () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const span = openSpan('outer', {
    kind: SpanKind.SERVER,
    traceparent: `00-${traceId}-b7ad6b7169203331-01`,
  });
  const inside = await span.within(async () => {
    await Promise.resolve();
    return currentTraceparent();
  });
  expect(inside).toBe(span.traceparent);
  expect(inside?.slice(3, 35)).toBe(traceId);
  expect(currentTraceparent()).toBeUndefined();
  span.end();
  expect(ended.at(-1)).toMatchObject({
    name: 'outer',
    kind: SpanKind.SERVER,
    status: { code: 0 },
    parentSpanContext: { spanId: 'b7ad6b7169203331' },
  });
});

test('an error marks the span as failed', () => {
  openSpan('failing', {}).end(new Error('no'));
  expect(ended.at(-1)).toMatchObject({ name: 'failing', status: { code: 2, message: 'no' } });
});

test('a series of a histogram that was looked up once counts like one that is named each time', () => {
  const metrics = createMetrics();
  const duration = metrics.histogram('d_seconds', 'Duration.', [1, 2]);
  const series = duration.with({ code: 'ok' });
  series.observe(0.5);
  duration.observe(1.5, { code: 'ok' });
  series.observe(3);
  expect(metrics.print()).toContain(
    [
      'd_seconds_bucket{code="ok",le="1"} 1',
      'd_seconds_bucket{code="ok",le="2"} 2',
      'd_seconds_bucket{code="ok",le="+Inf"} 3',
      'd_seconds_sum{code="ok"} 5',
      'd_seconds_count{code="ok"} 3',
    ].join('\n'),
  );
});
