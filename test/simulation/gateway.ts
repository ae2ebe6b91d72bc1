import { AppError, syncV1 } from '@skein/contracts';
import type { Logger } from '@skein/telemetry';
import { createMetrics } from '@skein/telemetry';
import { liveSide } from '../../services/gateway/src/live/index.ts';
import type { Clients, Limits, Principal, TokenVerifier } from '../../services/gateway/src/ports.ts';
import type { Calls } from './calls.ts';
import type { Ground } from './disk.ts';
import { type Door, upgradeServer } from './lines.ts';
import type { Machine } from './machine.ts';

const scopes = ['session', 'messages:write', 'documents:read', 'documents:write'];

/** Believes everybody: a token is the person's id, with two dots behind it where it has to look like one. */
const verifier: TokenVerifier = {
  verify: async (token): Promise<Principal> => ({
    ...{ userId: token.replace('..', ''), sessionId: `sid-${token}`, scopes, kind: 'login', issuedAtMs: 0 },
    expiresAtMs: Number.MAX_SAFE_INTEGER,
  }),
  isRevoked: () => false,
  onRevoked: () => () => {},
};

const pass = () => ({ ok: true }) as const;
/** Rates are not what is looked at here. */
const limits: Limits = {
  ...{ message: pass, request: pass, anonymous: pass, login: pass, register: pass },
  unauthenticated: { admit: pass, settle: () => {} },
};

const away = new Proxy(
  {},
  {
    get: () => async () => {
      throw new AppError('unavailable', 'Not part of the simulation');
    },
  },
) as never;

/** Starts the live side of a gateway behind a door. */
export const startGateway = async (
  ground: Ground,
  machine: Machine,
  { calls, agent }: { readonly calls: Calls; readonly agent: Clients['agent'] },
  log: Logger,
): Promise<Door> => {
  const { schedule, random } = ground;
  let ids = 0;
  const clients: Clients = {
    ...{ auth: away, user: away, agent },
    sync: calls.client(machine, syncV1.SyncServiceService),
  };
  const live = liveSide({
    clients,
    verifier,
    limits,
    config: {
      ...{
        SOCKETS_PER_PERSON: 100,
        PING_MS: 5_000,
        CALL_TIMEOUT_MS: 5_000,
        TRUST_PROXY: 0,
        CORS_ORIGINS: [],
      },
    },
    clock: { now: () => schedule.now() + machine.skewMs },
    log,
    metrics: createMetrics(),
    random,
    newId: () => {
      ids += 1;
      return `${schedule.now().toString(16)}-${machine.name}-${ids}`;
    },
    // Small rings and often a check: what is rare in a day is common in a minute.
    tuning: { ringCount: 16, feedLingerMs: 3_000, checkMs: 4_000 },
  });
  const server = upgradeServer();
  live.attach(server);
  await live.service.run();
  return { machine, server, stream: live.stream, poll: live.poll };
};
