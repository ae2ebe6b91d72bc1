import type { MetricRegistry } from '@skein/telemetry';
import type { MakeBatcher } from '../app/batcher.ts';

/** A batcher whose flushes are measured: how long they take, and how many commands share one. */
export const measuredBatcher = (inner: MakeBatcher, metrics: MetricRegistry): MakeBatcher => {
  const duration = metrics
    .histogram('session_sync_flush_seconds', 'How long a flush took: reading, deciding and committing.')
    .with({});
  const units = metrics
    .histogram('session_sync_flush_commands', 'Commands in one flush.', [1, 2, 4, 8, 16, 32, 64, 128, 256])
    .with({});
  return (options) =>
    inner({
      ...options,
      flush: async (batch) => {
        const startedMs = performance.now();
        units.observe(batch.length);
        try {
          return await options.flush(batch);
        } finally {
          duration.observe((performance.now() - startedMs) / 1_000);
        }
      },
    });
};
