import { createMetrics } from '@skein/telemetry';
import { describe, expect, it } from 'vitest';
import { turnMetrics } from '../src/adapters/turn-metrics.ts';
import type { Turn } from '../src/domain/turn.ts';

/** Made at 1,700,000,000,000 ms. */
const id = '018bcfe5-6800-7000-8000-000000000000';

describe('metrics of answers', () => {
  it('count from the question, as the id of the turn tells its time', () => {
    const metrics = createMetrics();
    const clock = { ms: 1_700_000_000_200, now: () => clock.ms };
    const noticed = turnMetrics(metrics, clock);
    noticed({ id } as Turn, 'text');
    clock.ms += 3_800;
    noticed({ id } as Turn, 'failed');
    const page = metrics.print();
    expect(page).toContain('skein_agent_first_text_seconds_sum 0.2\n');
    expect(page).toContain('skein_agent_answer_seconds_sum{outcome="failed"} 4\n');
  });

  it('leave out a turn whose id tells no time', () => {
    const metrics = createMetrics();
    turnMetrics(metrics, { now: () => 1 })({ id: 't1' } as Turn, 'completed');
    expect(metrics.print()).not.toContain('skein_agent_answer_seconds_count');
  });
});
