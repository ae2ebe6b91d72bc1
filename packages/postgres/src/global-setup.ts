import { testCluster, testPostgresVariable } from './testing.ts';

/**
 * For `globalSetup` of vitest: one real server for the run, found by `testDatabase()` through the environment,
 * which workers inherit. A server named there from outside is used as it is.
 */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env[testPostgresVariable]) return undefined;
  const cluster = await testCluster();
  process.env[testPostgresVariable] = cluster.url;
  return async () => {
    delete process.env[testPostgresVariable];
    await cluster.stop();
  };
}
