import { fullJitter } from '@skein/resilience';
import type { Service } from '@skein/service-kit';
import type { Logger } from '@skein/telemetry';
import type { ConsulApi, ServiceRegistration } from './consul-api.ts';
import { pause } from './pause.ts';

/** What a registration is made of. */
export interface RegistrationOptions {
  readonly api: ConsulApi;
  readonly registration: ServiceRegistration;
  readonly log: Logger;
  /** 0 ≤ n < 1 */
  readonly random: () => number;
}

const retry = { baseMs: 250, capMs: 2_000 };

/**
 * Keeps an instance known to Consul: registered at once as passing, a beat every third of its time to live (more or
 * less, so that instances do not beat together), registered again whenever the agent does not know it. It never gives
 * up; a Consul that is away at the start delays nothing. `drain` ends the beats first and deregisters then.
 */
export const registrationPart = ({ api, registration, log, random }: RegistrationOptions): Service => {
  const { id, ttlMs } = registration;
  const ending = new AbortController();
  let beats: Promise<void> | undefined;
  let registered = false;
  let failures = 0;
  let gone: Promise<void> | undefined;

  const step = async (): Promise<void> => {
    try {
      if (!registered || !(await api.beat(id))) {
        if (registered) log.warn({ registered: id }, 'Consul has forgotten this instance: registering again');
        registered = false;
        await api.register(registration);
        registered = true;
      }
      if (failures > 0) log.info({ registered: id }, 'known to Consul again');
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === 1) log.warn({ registered: id, err: error }, 'Consul is away: trying on');
    }
  };

  const pauseMs = (): number =>
    failures > 0
      ? fullJitter(retry, Math.min(failures, 10), 0.5 + random() / 2)
      : (ttlMs / 3) * (0.8 + 0.4 * random());

  const keepAlive = async (): Promise<void> => {
    const { signal } = ending;
    while (!signal.aborted) {
      await pause(pauseMs(), signal);
      if (!signal.aborted) await step();
    }
  };

  const leave = async (): Promise<void> => {
    ending.abort();
    // A step in hand is waited for, never cut: a registration that overtakes its deregistration would stay.
    await beats;
    if (!registered) return;
    registered = false;
    try {
      await api.deregister(id);
    } catch (error) {
      // Its time to live does the same, later.
      log.warn({ registered: id, err: error }, 'could not deregister from Consul');
    }
  };

  return {
    id: `registration of ${id}`,
    run: async () => {
      await step();
      beats = keepAlive();
    },
    drain: () => {
      gone ??= leave();
      return gone;
    },
    stop: () => {
      gone ??= leave();
      return gone;
    },
  };
};
