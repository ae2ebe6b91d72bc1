import { integer, live, liveConfig, readConfig } from '@skein/service-kit';
import { createLogger, createMetrics } from '@skein/telemetry';
import { expect, it } from 'vitest';
import { type ConfigStore, configWatch, type Snapshot } from '../src/index.ts';

const schema = { RATE: live(integer('A rate', { min: 1, max: 100, fallback: 10 })) };
const log = createLogger({ service: 'test', instance: 'test', level: 'silent' });

const watchOf = (read: ConfigStore['read'], firstMs = 3_000) => {
  const store: ConfigStore = { place: 'the centre', read, write: async () => false };
  const config = readConfig(schema, {});
  const watch = configWatch({
    ...{ store, service: 'gateway', config: liveConfig(config), log, metrics: createMetrics(), firstMs },
  });
  return { config, watch };
};
const snapshot = (settings: Record<string, unknown>): Snapshot => ({
  revision: JSON.stringify(settings),
  documents: { gateway: { revision: '1', settings } },
});

it('a start goes on without a centre that does not answer, and takes what it says later', async () => {
  const late = Promise.withResolvers<Snapshot>();
  const { config, watch } = watchOf((wait) => (wait ? new Promise(() => {}) : late.promise), 20);
  await watch.run();
  expect(config.RATE).toBe(10);
  late.resolve(snapshot({ RATE: 30 }));
  await expect.poll(() => config.RATE).toBe(30);
  await watch.stop();
});

it('a store that answers at once, again and again, is asked ten times a second at most', async () => {
  let asked = 0;
  const { watch } = watchOf(async () => {
    asked += 1;
    return snapshot({ RATE: 30 });
  });
  await watch.run();
  const startedAt = performance.now();
  await expect.poll(() => asked).toBeGreaterThan(4);
  expect(asked).toBeLessThan(3 + (performance.now() - startedAt) / 100);
  await watch.stop();
});

it('a check instead of a start says what this version refuses, or that nothing stands against it', async () => {
  const good = watchOf(async () => snapshot({ RATE: 30 }));
  expect(await good.watch.check?.(0)).toBe('the settings of the centre are read, and all are valid');
  const bad = watchOf(async () => snapshot({ RATE: 300 }));
  await expect(bad.watch.check?.(0)).rejects.toThrow(
    'the centre has settings this version does not take: gateway: RATE must be a whole number from 1 to 100, not "300": change them with "skein config"',
  );
  const away = watchOf(async () => {
    throw new Error('connect ECONNREFUSED');
  });
  await expect(away.watch.check?.(0)).rejects.toThrow(
    'the centre is NOT read (connect ECONNREFUSED): check CONFIG_URL',
  );
});
