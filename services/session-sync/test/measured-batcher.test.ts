import { groupCommit } from '@skein/postgres';
import { createMetrics } from '@skein/telemetry';
import { expect, it } from 'vitest';
import { measuredBatcher } from '../src/adapters/measured-batcher.ts';

it('a measured batcher counts each flush with its commands, failed ones too', async () => {
  const metrics = createMetrics();
  const batcher = measuredBatcher(
    groupCommit,
    metrics,
  )<string, string>({
    ...{ maxUnits: 10, maxBytes: 1e6, sizeOf: () => 1, maxQueued: 10, concurrency: 1, keyOf: (unit) => unit },
    flush: async (units) => {
      if (units.includes('bad')) throw new Error('no');
      return units;
    },
  });
  await Promise.all([batcher.submit('a'), batcher.submit('b'), batcher.submit('c')]);
  await expect(batcher.submit('bad')).rejects.toThrow('no');
  const page = metrics.print();
  expect(page).toContain('session_sync_flush_commands_sum 4\n');
  expect(page).toContain('session_sync_flush_commands_bucket{le="2"} 1\n');
  expect(page).toContain('session_sync_flush_seconds_count 2\n');
});
