import { trace } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import { contextFrom, currentTraceparent, withSpan } from '../src/index.ts';

const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

describe('trace context', () => {
  it('is read from a traceparent and written as the same', () => {
    expect(currentTraceparent(contextFrom(traceparent))).toBe(traceparent);
  });

  it('is left as it is by anything malformed', () => {
    for (const bad of ['', 'nonsense', `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`, `${traceparent}-more`]) {
      expect(trace.getSpanContext(contextFrom(bad))).toBeUndefined();
    }
  });

  it('does not get in the way of results and errors', async () => {
    expect(await withSpan('work', {}, () => 42)).toBe(42);
    await expect(
      withSpan('work', { traceparent }, () => {
        throw new Error('failed');
      }),
    ).rejects.toThrow('failed');
  });
});
