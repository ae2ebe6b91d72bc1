import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'services/*/test/**/*.test.ts',
      'test/**/*.test.ts',
      'tools/test/**/*.test.ts',
    ],
    // They need a cluster: npm run cluster.
    exclude: [...configDefaults.exclude, 'test/cluster/**/*.e2e.test.ts'],
    // One real Postgres for the run; each file that needs it takes a database of its own.
    globalSetup: ['packages/postgres/src/global-setup.ts'],
    // A machine that stands still for a second is no reason to throw a change away; what needed it is told at the end.
    retry: process.env['CI'] ? 1 : 0,
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 15_000,
    // What comes within a second on a quiet machine may take several on a busy one.
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
});
