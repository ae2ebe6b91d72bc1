import { readConfig } from '@skein/service-kit';
import { expect, test } from 'vitest';
import { openPlatform, platformConfig } from '../src/index.ts';

const env = {
  DATABASE_URL: 'postgres://127.0.0.1:1/none',
  DISCOVERY_URL: 'static:auth=127.0.0.1:7001',
  INTERNAL_SECRET: 'a-secret-of-at-least-32-characters!',
  LOG_LEVEL: 'silent',
};

test('a service without a database starts, serves probes and stops', async () => {
  const platform = await openPlatform('auth', readConfig(platformConfig, env));
  const service = platform.lifecycle([platform.server([])]);
  await service.run();
  await service.drain?.();
  await service.stop();
  expect(platform.instance).toMatch(/^auth-[0-9a-f]{6}$/);
});
