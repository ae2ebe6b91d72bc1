import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'services/*/test/**/*.test.ts',
      'test/**/*.test.ts',
      'tools/test/**/*.test.ts',
    ],
    // One real Postgres for the run; each file that needs it takes a database of its own.
    globalSetup: ['packages/postgres/src/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 15_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
});
