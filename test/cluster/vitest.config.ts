import { defineConfig } from 'vitest/config';

/** What runs on a real cluster, one file after the other: they share its two or more installations. */
export default defineConfig({
  test: {
    include: ['test/cluster/**/*.e2e.test.ts'],
    globalSetup: ['test/cluster/support/cluster-setup.ts'],
    // A machine that stands still for a second is no reason to throw a change away; what needed it is told at the end.
    retry: process.env['CI'] ? 1 : 0,
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 600_000,
    teardownTimeout: 20_000,
  },
});
