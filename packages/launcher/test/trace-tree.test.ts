import { expect, it } from 'vitest';
import { type SinkSpan, traceTree } from '../src/trace-tree.ts';

const span = (
  spanId: string,
  parentSpanId: string,
  startMs: number,
  over: Partial<SinkSpan> = {},
): SinkSpan => ({
  traceId: 't',
  spanId,
  parentSpanId,
  service: 'auth',
  name: spanId,
  startNs: BigInt(startMs) * 1_000_000n,
  endNs: BigInt(startMs + 2) * 1_000_000n,
  failed: false,
  ...over,
});

it('shows children under their parents in the order they started, whatever order they came in', () => {
  const spans = [
    span('late', 'root', 8, { failed: true }),
    span('leaf', 'early', 6, { service: 'user' }),
    span('early', 'root', 5),
    span('root', '', 4, { service: 'gateway', endNs: 12_500_000n }),
  ];
  expect(traceTree(spans)).toBe(
    [
      'gateway  root  +0.0 ms  8.5 ms',
      '  auth  early  +1.0 ms  2.0 ms',
      '    user  leaf  +2.0 ms  2.0 ms',
      '  auth  late  +4.0 ms  2.0 ms  failed',
    ].join('\n'),
  );
});

it('takes a span whose parent is elsewhere for a root, and shows a repeated one once', () => {
  const one = span('a', 'in another process', 1);
  expect(traceTree([one, one, span('b', 'a', 2)])).toBe(
    'auth  a  +0.0 ms  2.0 ms\n  auth  b  +1.0 ms  2.0 ms',
  );
});

it('ends for spans that are each other’s parents, and for ones that are nested without end', () => {
  expect(traceTree([span('a', 'b', 1), span('b', 'a', 2)])).toBe('');
  const chain = Array.from({ length: 5_000 }, (_, at) => span(`s${at}`, at === 0 ? '' : `s${at - 1}`, at));
  expect(traceTree(chain).split('\n')).toHaveLength(64);
});
