import { setTimeout as delay } from 'node:timers/promises';
import { fullJitter } from '@skein/resilience';
import { type ConfigLayer, type LiveConfig, type Service, tryFor } from '@skein/service-kit';
import type { Logger, MetricRegistry } from '@skein/telemetry';
import { allScope, type ConfigStore, type Snapshot } from './config-store.ts';

/** What a watch is made of. */
export interface ConfigWatchOptions {
  readonly store: ConfigStore;
  /** Whose settings, besides those of `all`. */
  readonly service: string;
  readonly config: Pick<LiveConfig<object>, 'take' | 'faults' | 'states'>;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** Longest wait for a change before the store is asked anew. Default 55 s. */
  readonly waitMs?: number;
  /** How long a start waits for the first answer; settings that come later are taken when they come. Default 3 s. */
  readonly firstMs?: number;
  /** 0 ≤ n < 1; default `Math.random`. */
  readonly random?: () => number;
}

const backoff = { baseMs: 200, capMs: 5_000 };
/** A store that answers at once, again and again, is asked this often at most. */
const leastMs = 100;

/** What a snapshot says to a service, the strongest first. */
const layersOf = ({ documents }: Snapshot, service: string): readonly ConfigLayer[] =>
  [service, allScope].flatMap((scope) => {
    const document = Object.hasOwn(documents, scope) ? documents[scope] : undefined;
    return document ? [{ scope, settings: document.settings, fault: document.fault }] : [];
  });

const isEmpty = ({ documents }: Snapshot): boolean => Object.keys(documents).length === 0;

/** Resolves with the time or the signal. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(Math.max(0, ms), undefined, { signal }).catch(() => {});

/**
 * Keeps a configuration as the config centre says, for as long as it runs. While the centre is away, and when it has
 * lost all its documents, everything stays as it was last; it is asked again with jittered backoff up to 5 s, for ever.
 * To take settings back, a document is emptied, not deleted with all the others.
 */
export const configWatch = (options: ConfigWatchOptions): Service => {
  const { store, service, config, log, metrics, waitMs = 55_000, firstMs = 3_000 } = options;
  const { random = Math.random } = options;
  const ending = new AbortController();
  const { signal } = ending;
  let known: Snapshot | undefined;
  let up = false;
  metrics.gauge('skein_config_up', '1 while the config centre answers well.', () => (up ? 1 : 0));
  metrics.gauge(
    'skein_config_refused',
    'Settings of the config centre that are not valid and so not in use.',
    () => config.faults.length,
  );
  const changes = metrics.counter(
    'skein_config_changes_total',
    'Settings that got another value while the process ran.',
  );

  const take = (snapshot: Snapshot): void => {
    const before = new Map(config.states().map((state) => [state.name, state.value]));
    const faultsBefore = config.faults.join('\n');
    const changed = config.take(layersOf(snapshot, service));
    known = snapshot;
    for (const { name, value, source } of config.states()) {
      if (!changed.includes(name)) continue;
      changes.add(1);
      log.info({ setting: name, from: before.get(name), to: value, source }, 'a setting was changed');
    }
    if (config.faults.length > 0 && config.faults.join('\n') !== faultsBefore)
      log.error(
        { faults: config.faults },
        'the config centre has settings that are not valid: what was valid last stays',
      );
  };

  const readOnce = async (failed: boolean): Promise<void> => {
    const wait = known && !failed ? { after: known.revision, waitMs, signal } : undefined;
    const snapshot = await store.read(wait);
    if (signal.aborted) return;
    if (known && !isEmpty(known) && isEmpty(snapshot))
      throw new Error(`${store.place} has lost its settings: import them again`);
    if (failed) log.info('the config centre is back');
    up = true;
    if (snapshot.revision !== known?.revision) take(snapshot);
  };

  const watch = async (first: () => void): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      const askedMs = performance.now();
      try {
        await readOnce(failures > 0);
        failures = 0;
        first();
        await pause(leastMs - (performance.now() - askedMs), signal);
      } catch (error) {
        if (signal.aborted) return;
        up = false;
        failures += 1;
        if (failures === 1)
          log.warn(
            { err: error, centre: store.place },
            'the config centre is away: going on with the settings known last',
          );
        await pause(fullJitter(backoff, Math.min(failures, 10), 0.5 + random() / 2), signal);
      }
    }
  };

  return {
    id: 'config centre',
    run: async () => {
      const first = new AbortController();
      // It ends by its signal only; everything else is caught in it.
      void watch(() => first.abort());
      await pause(firstMs, AbortSignal.any([first.signal, signal]));
    },
    stop: async () => ending.abort(),
    check: async (forMs) => {
      try {
        await tryFor({ waitMs: forMs, pauseMs: 1_000 }, async () => {
          config.take(layersOf(await store.read(), service));
        });
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`${store.place} is NOT read (${why}): check CONFIG_URL`, { cause: error });
      }
      if (config.faults.length === 0) return `the settings of ${store.place} are read, and all are valid`;
      throw new Error(
        `${store.place} has settings this version does not take: ${config.faults.join('; ')}: change them with "skein config"`,
      );
    },
  };
};
