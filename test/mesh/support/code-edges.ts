import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { configAdminService, eventAdminService } from '@skein/platform';
import type { Implementation } from '@skein/rpc';
import { sagaService } from '@skein/saga';
import { ConfigError, type ConfigSchema, readConfig } from '@skein/service-kit';
import { compose as agent } from '../../../services/agent/src/compose.ts';
import { config as agentConfig } from '../../../services/agent/src/config.ts';
import { erasureService as agentErasure } from '../../../services/agent/src/grpc/erasure.ts';
import { agentHandlers } from '../../../services/agent/src/grpc/handlers.ts';
import { compose as auth } from '../../../services/auth/src/compose.ts';
import { authConfig } from '../../../services/auth/src/config.ts';
import { erasureService as authErasure } from '../../../services/auth/src/grpc/erasure.ts';
import { authService } from '../../../services/auth/src/grpc/handlers.ts';
import { compose as gateway } from '../../../services/gateway/src/compose.ts';
import { config as gatewayConfig } from '../../../services/gateway/src/config.ts';
import { compose as sessionSync } from '../../../services/session-sync/src/compose.ts';
import { config as sessionSyncConfig } from '../../../services/session-sync/src/config.ts';
import { erasureService as syncErasure } from '../../../services/session-sync/src/grpc/erasure.ts';
import { syncImplementation } from '../../../services/session-sync/src/grpc/handlers.ts';
import { healthRecordService } from '../../../services/session-sync/src/grpc/health-records.ts';
import { projectWorkService } from '../../../services/session-sync/src/grpc/project-work.ts';
import { compose as user } from '../../../services/user/src/compose.ts';
import { userConfig } from '../../../services/user/src/config.ts';
import { userService } from '../../../services/user/src/grpc/handlers.ts';
import { identityService } from '../../../services/user/src/grpc/identities.ts';
import { root } from './paths.ts';

/** What one service needs of the others, found in its code. */
export interface ServiceEdges {
  readonly database: boolean;
  readonly events: boolean;
  /** Service that calls → full paths of the gRPC methods it may call. */
  readonly callers: Readonly<Record<string, readonly string[]>>;
}

/** A service as this derivation knows it. */
interface Known {
  readonly schema: ConfigSchema;
  readonly compose: (env: Readonly<Record<string, string>>) => Promise<unknown>;
  readonly implementations: readonly Implementation[];
}

const known = <S extends ConfigSchema>(
  schema: S,
  compose: (config: ReturnType<typeof readConfig<S>>) => Promise<unknown>,
  implementations: readonly Implementation[],
): Known => ({ schema, compose: (env) => compose(readConfig(schema, env)), implementations });

// Handlers are only joined with their definition here, and never called: no application is needed.
const noApp = {} as never;
const events = eventAdminService({ database: noApp, consumers: [] });
const sagas = sagaService(noApp);
const settings = configAdminService('', noApp);

/** The five services. */
export const services: Readonly<Record<string, Known>> = {
  agent: known(agentConfig, agent, [
    agentHandlers(noApp, noApp, noApp),
    agentErasure(noApp),
    sagas,
    events,
    settings,
  ]),
  auth: known(authConfig, auth, [authService(noApp), sagas, authErasure(noApp), events, settings]),
  gateway: known(gatewayConfig, gateway, []),
  'session-sync': known(sessionSyncConfig, sessionSync, [
    ...[
      syncImplementation(noApp),
      healthRecordService(noApp),
      projectWorkService(noApp),
      syncErasure(noApp),
      sagas,
    ],
    events,
    settings,
  ]),
  user: known(userConfig, user, [userService(noApp), identityService(noApp), sagas, events, settings]),
};

const secret = 'x'.repeat(32);

/**
 * The services that one composes clients of. Composing connects to nothing, but a client of a service that the static
 * list lacks is a fault: so the list grows by what is missing until there is no fault.
 */
const calledBy = async ({ compose }: Known): Promise<readonly string[]> => {
  const listed: string[] = [];
  for (;;) {
    const list = listed.map((name) => `${name}=127.0.0.1:1`).join(',');
    try {
      await compose({
        DISCOVERY_URL: `static:${list}`,
        DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
        INTERNAL_SECRET: secret,
        AUTH_MASTER_KEY: secret,
        LOG_LEVEL: 'silent',
      });
      return listed;
    } catch (error) {
      const [, missing] =
        (error instanceof ConfigError && /names no address of (\S+)/.exec(error.message)) || [];
      if (missing === undefined || listed.includes(missing)) throw error;
      listed.push(missing);
    }
  }
};

/** The paths that `caller` may call, by the table of the service. */
const allowed = ({ definition, policy: { allow } }: Implementation, caller: string): string[] =>
  Object.entries(definition)
    .filter(([name]) => {
      const callers = allow === 'any' ? allow : allow[name];
      return callers === 'any' || callers?.includes(caller);
    })
    .map(([, { path }]) => path);

/** Who calls what, and who has a database and events: from the code of the services. */
export const codeEdges = async (): Promise<Readonly<Record<string, ServiceEdges>>> => {
  const calls = new Map<string, readonly string[]>();
  for (const [name, service] of Object.entries(services)) calls.set(name, await calledBy(service));
  const found: Record<string, ServiceEdges> = {};
  for (const [name, { implementations }] of Object.entries(services)) {
    const source = await readFile(join(root, 'services', name, 'src', 'compose.ts'), 'utf8');
    const callers = [...calls].filter(([, called]) => called.includes(name)).map(([caller]) => caller);
    found[name] = {
      database: source.includes('platform.database('),
      events: source.includes('platform.events('),
      callers: Object.fromEntries(
        callers
          .sort()
          .map((caller) => [caller, implementations.flatMap((one) => allowed(one, caller)).sort()]),
      ),
    };
  }
  return found;
};
