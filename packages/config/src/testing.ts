import { integer, list, live, liveConfig, oneOf, readConfig, type Service } from '@skein/service-kit';
import { createLogger, createMetrics } from '@skein/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ConfigStore } from './config-store.ts';
import { configWatch } from './config-watch.ts';

/** A store to test, and what can happen to it. */
export interface StoreUnderTest {
  readonly store: ConfigStore;
  /** The same store as another process sees it. */
  readonly other: ConfigStore;
  /** Puts something in that is no document. */
  spoil(): Promise<void>;
  /** Cannot be asked any more, and can again. */
  away(): Promise<void>;
  back(): Promise<void>;
  /** Loses everything, as a store in memory does when it is started anew. */
  lose(): Promise<void>;
  stop(): Promise<void>;
}

const schema = {
  RATE: live(integer('A rate', { min: 1, max: 100, fallback: 10 })),
  MODE: live(oneOf('A mode', { values: ['fast', 'safe'], fallback: 'safe' })),
  ORIGINS: live(list('Some origins', { fallback: [] })),
  PORT: integer('A port', { min: 0, max: 65_535, fallback: 8002 }),
};

const patience = { timeout: 10_000 };
/** Long enough to be told from an answer that comes at once. */
const never = 60_000;

/** What every store promises, alone and below a running service. `make` opens an empty one. */
export const testConfigStore = (name: string, make: () => Promise<StoreUnderTest>): void => {
  describe(`ConfigStore: ${name}`, () => {
    let under: StoreUnderTest;
    const running: Service[] = [];
    beforeEach(async () => {
      under = await make();
    });
    afterEach(async () => {
      for (const part of running.splice(0)) await part.stop();
      await under.stop();
    });

    const seen = async (scope: string) => (await under.other.read()).documents[scope]?.revision ?? '';
    const put = async (scope: string, settings: Record<string, unknown>) =>
      expect(await under.other.write([{ scope, settings, seen: await seen(scope) }])).toBe(true);

    /** A service that follows the store. */
    const start = async (env: Record<string, string> = {}) => {
      const lines: string[] = [];
      const log = createLogger({
        service: 'gateway',
        instance: 'test',
        level: 'info',
        destination: { write: (line) => void lines.push(line) },
      });
      const metrics = createMetrics();
      const config = readConfig(schema, env);
      const part = configWatch({
        ...{ store: under.store, service: 'gateway', config: liveConfig(config), log, metrics },
        waitMs: 2_000,
      });
      running.push(part);
      await part.run();
      return { config, live: liveConfig(config), lines, metrics };
    };

    it('has nothing at first, then what was written, with its types', async () => {
      expect((await under.store.read()).documents).toEqual({});
      const settings = { RATE: 5, ON: true, ORIGINS: ['a', 'b'], RULES: { task: { strategy: 'merge' } } };
      await put('gateway', settings);
      await put('all', {});
      const { documents } = await under.store.read();
      expect(documents['gateway']?.settings).toEqual(settings);
      expect(documents['all']?.settings).toEqual({});
    });

    it('answers a wait as soon as somebody else has changed something, and not before', async () => {
      await put('gateway', { RATE: 5 });
      const { revision } = await under.store.read();
      let answered = false;
      const waiting = under.store
        .read({ after: revision, waitMs: never, signal: new AbortController().signal })
        .finally(() => {
          answered = true;
        });
      expect((await under.store.read()).revision).toBe(revision);
      expect(answered).toBe(false);
      await put('gateway', { RATE: 6 });
      const next = await waiting;
      expect(next.documents['gateway']?.settings).toEqual({ RATE: 6 });
      expect(next.revision).not.toBe(revision);
    });

    it('answers a wait with what there is when the time is up, and ends it with its signal', async () => {
      await put('gateway', { RATE: 5 });
      const { revision } = await under.store.read();
      const same = await under.store.read({
        after: revision,
        waitMs: 50,
        signal: new AbortController().signal,
      });
      expect(same.revision).toBe(revision);
      const ending = new AbortController();
      const waiting = under.store.read({ after: revision, waitMs: never, signal: ending.signal });
      ending.abort(new Error('enough'));
      await expect(waiting).rejects.toThrow();
    });

    it('writes all or nothing, and nothing over what the writer has not seen', async () => {
      await put('gateway', { RATE: 5 });
      const old = await seen('gateway');
      await put('gateway', { RATE: 6 });
      const changes = [
        { scope: 'auth', settings: { MODE: 'fast' }, seen: '' },
        { scope: 'gateway', settings: { RATE: 7 }, seen: old },
      ];
      expect(await under.store.write(changes)).toBe(false);
      const { documents } = await under.store.read();
      expect(documents['gateway']?.settings).toEqual({ RATE: 6 });
      expect(documents['auth']).toBeUndefined();
    });

    it('lets one of two win who write at once', async () => {
      await put('gateway', { RATE: 5 });
      const at = await seen('gateway');
      const won = await Promise.all(
        [under.store, under.other].map((store, n) =>
          store.write([{ scope: 'gateway', settings: { RATE: 20 + n }, seen: at }]),
        ),
      );
      expect(won.filter(Boolean)).toHaveLength(1);
      expect((await under.store.read()).documents['gateway']?.settings).toEqual({
        RATE: won[0] ? 20 : 21,
      });
    });

    it('says what of it cannot be read', async () => {
      await under.spoil();
      const { documents } = await under.store.read();
      expect(Object.values(documents).map(({ fault }) => fault)).toEqual([expect.stringContaining('YAML')]);
    });

    it('changes a running service, the service over all of them and its environment over both', async () => {
      await put('all', { MODE: 'fast', RATE: 20 });
      const { config, live: state } = await start({ ORIGINS: 'https://a' });
      expect(config).toMatchObject({ MODE: 'fast', RATE: 20 });
      const told: number[] = [];
      state.onChange('RATE', (rate) => told.push(rate));
      await put('gateway', { RATE: 30, ORIGINS: ['https://b'] });
      await expect.poll(() => config.RATE, patience).toBe(30);
      expect(told).toEqual([30]);
      expect(config.ORIGINS, 'the environment wins').toEqual(['https://a']);
      expect(state.states()).toContainEqual({
        ...{ name: 'ORIGINS', value: 'https://a', source: 'environment', overridden: 'gateway', live: true },
      });
      await put('gateway', {});
      await expect.poll(() => config.RATE, patience).toBe(20);
    });

    it('keeps the last valid value of a setting, and says what was refused', async () => {
      await put('gateway', { RATE: 30 });
      const { config, live: state, lines, metrics } = await start();
      await put('gateway', { RATE: 3_000, MODE: 'fast', PORT: 1, OTHER: 'hunter2' });
      await expect.poll(() => config.MODE, patience).toBe('fast');
      expect(config).toMatchObject({ RATE: 30, PORT: 8002 });
      expect(state.faults).toEqual([
        'gateway: RATE must be a whole number from 1 to 100, not "3000"',
        'gateway: PORT is read when the process starts: set it in the environment and restart',
        'gateway: "OTHER" is not one of its settings',
      ]);
      expect(metrics.print()).toContain('skein_config_refused 3');
      expect(lines.join('')).toContain('RATE must be a whole number');
      expect(lines.join('')).not.toContain('hunter2');
      await put('gateway', { RATE: 40 });
      await expect.poll(() => config.RATE, patience).toBe(40);
      expect(state.faults).toEqual([]);
    });

    it('keeps everything when the documents become unreadable', async () => {
      await put('gateway', { RATE: 30 });
      const { config, live: state } = await start();
      await under.spoil();
      await expect.poll(() => state.faults, patience).toEqual([expect.stringContaining('YAML')]);
      expect(config.RATE).toBe(30);
    });

    // Five waits, one after the other.
    it('keeps everything while the store is away or has lost its documents, and then goes on', async () => {
      await put('gateway', { RATE: 30 });
      const { config, metrics } = await start();
      const up = () => /^skein_config_up (\d)/m.exec(metrics.print())?.[1];
      await under.away();
      await expect.poll(up, patience).toBe('0');
      expect(config.RATE).toBe(30);
      await under.back();
      await expect.poll(up, patience).toBe('1');
      await under.lose();
      await expect.poll(up, patience).toBe('0');
      expect(config.RATE).toBe(30);
      await put('gateway', { RATE: 40 });
      await expect.poll(() => config.RATE, patience).toBe(40);
    }, 60_000);
  });
};
