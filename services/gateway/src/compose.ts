import { randomUUID } from 'node:crypto';
import { openPlatform } from '@skein/platform';
import { type Clock, type Composed, systemClock } from '@skein/service-kit';
import { openClients, openEventAdmins, openHealthRecords, openSagas } from './adapters/clients.ts';
import { authSide } from './auth/auth-side.ts';
import type { GatewayConfig } from './config.ts';
import { httpSide } from './http/http-side.ts';
import { localLimits } from './limits/limits.ts';
import { liveSide } from './live/index.ts';

/** What a test may bring instead. */
export interface Overrides {
  readonly clock?: Clock;
  readonly random?: () => number;
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
 * discovery, take no new requests and finish those in hand, then send the sockets elsewhere.
 */
export const compose = async (config: GatewayConfig, over: Overrides = {}): Promise<Gateway> => {
  const { clock = systemClock, random = Math.random, newId = randomUUID } = over;
  const platform = await openPlatform('gateway', config);
  const { log, metrics, instance } = platform;
  const clients = openClients(platform);
  const eventAdmins = openEventAdmins(platform);
  const sagas = openSagas(platform);
  const healthRecords = openHealthRecords(platform);
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
      eventAdmins,
      sagas,
      healthRecords,
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
  return {
    service: platform.lifecycle([...auth.parts, live.service, http, server]),
    log,
    get port() {
      return http.port;
    },
    get managementPort() {
      return server.managementPort;
    },
  };
};
