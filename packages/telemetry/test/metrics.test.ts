import { describe, expect, it } from 'vitest';
import { createMetrics } from '../src/index.ts';

describe('metrics', () => {
  it('print counters and gauges in the Prometheus text format', () => {
    const metrics = createMetrics();
    metrics.counter('skein_calls_total', 'Calls').add(2, { method: 'Get' });
    metrics.counter('skein_calls_total', 'Calls').add(1, { method: 'Get' });
    metrics.gauge('skein_open', 'Open', () => 7);
    metrics.counter('skein_read_total', 'Read', () => 3);
    expect(metrics.print()).toBe(
      [
        '# HELP skein_calls_total Calls',
        '# TYPE skein_calls_total counter',
        'skein_calls_total{method="Get"} 3',
        '# HELP skein_open Open',
        '# TYPE skein_open gauge',
        'skein_open 7',
        '# HELP skein_read_total Read',
        '# TYPE skein_read_total counter',
        'skein_read_total 3',
        '',
      ].join('\n'),
    );
  });

  it('sort observations into cumulative buckets', () => {
    const metrics = createMetrics();
    const seconds = metrics.histogram('skein_seconds', 'Time', [0.1, 1]);
    for (const value of [0.05, 0.1, 0.5, 3]) seconds.observe(value);
    expect(metrics.print().split('\n').slice(2, -1)).toEqual([
      'skein_seconds_bucket{le="0.1"} 2',
      'skein_seconds_bucket{le="1"} 3',
      'skein_seconds_bucket{le="+Inf"} 4',
      'skein_seconds_sum 3.65',
      'skein_seconds_count 4',
    ]);
  });

  it('escape what would break the format', () => {
    const metrics = createMetrics();
    metrics.counter('skein_odd_total', 'Odd').add(1, { why: 'a "quote"\nand \\ more' });
    expect(metrics.print()).toContain('skein_odd_total{why="a \\"quote\\"\\nand \\\\ more"} 1');
  });

  it('have a bound on series: a label that is not a closed set costs no memory', () => {
    const metrics = createMetrics();
    const counter = metrics.counter('skein_users_total', 'A mistake');
    for (let user = 0; user < 5_000; user += 1) counter.add(1, { user: String(user) });
    expect(metrics.print().split('\n').length).toBeLessThan(1_010);
  });
});
