import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { maxSpans, type TraceSink, traceSink } from '../src/trace-sink.ts';

let sink: TraceSink;
beforeEach(async () => {
  sink = traceSink(0);
  await sink.run();
});
afterEach(() => sink.stop());

const traceId = 'ab'.repeat(16);

/** What an OTLP exporter posts, as JSON. */
const exported = (spans: readonly Record<string, unknown>[], service = 'skein-auth') => ({
  resourceSpans: [
    {
      resource: {
        attributes: [
          { key: 'telemetry.sdk.name', value: { stringValue: 'opentelemetry' } },
          { key: 'service.name', value: { stringValue: service } },
        ],
      },
      scopeSpans: [{ scope: { name: 'skein' }, spans }],
    },
  ],
});

const span = (spanId: string, over: Record<string, unknown> = {}) => ({
  traceId,
  spanId,
  name: `span ${spanId}`,
  kind: 1,
  startTimeUnixNano: '1700000000000000000',
  endTimeUnixNano: '1700000000002500000',
  ...over,
});

const post = (body: string | Buffer, headers: Record<string, string> = {}) =>
  fetch(`${sink.url}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });

const page = async (path: string) => (await fetch(`${sink.url}${path}`)).text();

describe('the trace endpoint', () => {
  it('keeps what exporters post, compressed or not, and shows it as a list and as a tree', async () => {
    const root = span('1'.repeat(16), { status: { code: 2 } });
    const child = span('2'.repeat(16), { parentSpanId: '1'.repeat(16), name: 'child' });
    expect((await post(JSON.stringify(exported([root], 'skein-gateway')))).status).toBe(200);
    const compressed = gzipSync(JSON.stringify(exported([child])));
    const answer = await post(compressed, { 'content-encoding': 'gzip' });
    expect(await answer.json()).toEqual({});
    expect(await page('/')).toBe(`/trace/${traceId}  2 spans, 2 services, span 1111111111111111\n`);
    expect(await page(`/trace/${traceId}`)).toBe(
      'skein-gateway  span 1111111111111111  +0.0 ms  2.5 ms  failed\n  skein-auth  child  +0.0 ms  2.5 ms\n',
    );
    expect(sink.trace(traceId).map((one) => one.service)).toEqual(['skein-gateway', 'skein-auth']);
  });

  it('names a trace by the span it began with, whichever part arrives first', async () => {
    const later = span('2'.repeat(16), { startTimeUnixNano: '1700000000001000000', name: 'later' });
    await post(JSON.stringify(exported([later])));
    await post(JSON.stringify(exported([span('1'.repeat(16), { name: 'beginning' })], 'skein-gateway')));
    expect(await page('/')).toBe(`/trace/${traceId}  2 spans, 2 services, beginning\n`);
  });

  it('keeps the newest spans only', async () => {
    for (let batch = 0; batch < 3; batch += 1) {
      const spans = Array.from({ length: 8_000 }, (_, at) => span(`${batch}-${at}`));
      await post(JSON.stringify(exported(spans)));
    }
    expect(sink.spans()).toHaveLength(maxSpans);
    expect(sink.spans().at(-1)?.spanId).toBe('2-7999');
    expect(sink.spans()[0]?.spanId).toBe('0-4000');
  });

  it.each([
    ['no JSON', '{'],
    ['spans without times', JSON.stringify(exported([{ traceId, spanId: 'a', name: 'x' }]))],
    ['more than it takes', 'x'.repeat(17 * 1024 * 1024)],
  ])('refuses %s and goes on', async (_what, body) => {
    const answered = post(body);
    // A refusal may come while the body is still being sent.
    const status = await answered.then(
      (answer) => answer.status,
      () => 400,
    );
    expect(status).toBe(400);
    expect(sink.spans()).toEqual([]);
    expect((await post(JSON.stringify(exported([span('a')])))).status).toBe(200);
  });

  it('says so when it does not know a trace', async () => {
    expect(await page(`/trace/${traceId}`)).toBe('No such trace.\n');
    expect(await page('/')).toBe('');
  });
});
