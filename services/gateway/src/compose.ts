import { openPlatform } from '@skein/platform';
import { type Clock, type Composed, type Service, systemClock } from '@skein/service-kit';
import { v7 } from 'uuid';
import {
  openClients,
  openConfigAdmins,
  openEventAdmins,
  openHealthRecords,
  openIdentities,
  openSagas,
} from './adapters/clients.ts';
import { authSide } from './auth/auth-side.ts';
import type { GatewayConfig } from './config.ts';
import { httpSide } from './http/http-side.ts';
import { localLimits } from './limits/limits.ts';
import { liveSide } from './live/index.ts';

/** What a test may bring instead. */
export interface Overrides {
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Ids of sockets have to sort by age. */
  readonly newId?: () => string;
}

/** A gateway and the public port it listens on, once it runs. */
export interface Gateway extends Composed {
  readonly port: number;
  /** The port of its own health checks and metrics, once it runs. */
  readonly managementPort: number;
}

/**
 * The gateway from its configuration; nothing connects before `service.run()`. Last started, first drained: leave
 * discovery, then finish the requests in hand, take no new ones, and send the sockets elsewhere.
 */
export const compose = async (config: GatewayConfig, over: Overrides = {}): Promise<Gateway> => {
  const { clock = systemClock, random = Math.random, newId = v7 } = over;
  const platform = await openPlatform('gateway', config);
  const { log, metrics, instance } = platform;
  const clients = openClients(platform);
  const eventAdmins = openEventAdmins(platform);
  const sagas = openSagas(platform);
  const configAdmins = openConfigAdmins(platform);
  const healthRecords = openHealthRecords(platform);
  const identities = openIdentities(platform);
  const limits = localLimits(config, clock);
  const auth = authSide({ auth: clients.auth, issuer: config.AUTH_ISSUER, clock, random, log });
  const live = liveSide({
    clients,
    verifier: auth.verifier,
    limits,
    config,
    clock,
    log,
    metrics,
    random,
    newId,
  });
  const startedMs = clock.now();
  const facts = () => ({ instance, uptimeMs: clock.now() - startedMs, keysAgeMs: auth.keys.ageMs() });
  const http = httpSide({
    ...{
      config,
      clients,
      instance,
      eventAdmins,
      configAdmins,
      sagas,
      healthRecords,
      identities,
      auth,
      limits,
      live,
      clock,
      newId,
      log,
      metrics,
      facts,
    },
  });
  // As the public /readyz says it: without keys no token can be checked.
  const server = platform.server([], { ready: () => auth.keys.ageMs() !== undefined });
  const front: Service = {
    id: 'front',
    run: () => http.run(),
    // Requests and sockets go at the same time: neither has to hurry for the other.
    drain: async () => {
      await Promise.all([http.drain?.(), live.service.drain?.()]);
    },
    stop: () => http.stop(),
  };
  return {
    service: platform.lifecycle([...auth.parts, live.service, front, server]),
    log,
    get port() {
      return http.port;
    },
    get managementPort() {
      return server.managementPort;
    },
  };
};
