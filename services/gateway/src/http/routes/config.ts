import { toAppError } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { liveConfig } from '@skein/service-kit';
import type { z } from 'zod';
import type { GatewayConfig } from '../../config.ts';
import type { ConfigAdmins } from '../../ports.ts';
import { type Route, route } from '../route.ts';
import { clientConfig, fixedClientConfig, serviceConfigs } from '../schemas/config.ts';

/** Whose settings are told. */
export interface ConfigRouteDeps {
  readonly config: GatewayConfig;
  readonly instance: string;
  readonly others: ConfigAdmins;
}

type ServiceConfig = z.infer<typeof serviceConfigs>['items'][number];

/** What clients and operators see of the settings. */
export const configRoutes = ({ config, instance, others }: ConfigRouteDeps): Route[] => {
  const own = (): ServiceConfig => {
    const live = liveConfig(config);
    return { service: 'gateway', instance, settings: [...live.states()], refused: [...live.faults] };
  };
  /** A service that is away does not hide the others. */
  const otherOf = async (service: string, ctx: CallContext): Promise<ServiceConfig> => {
    try {
      const answer = await others[service]?.getConfig({}, ctx);
      const settings = (answer?.settings ?? []).map(({ overridden, ...setting }) => ({
        ...setting,
        ...(overridden === '' ? {} : { overridden }),
      }));
      return { service, instance: answer?.instance, settings, refused: answer?.refused ?? [] };
    } catch (error) {
      return { service, settings: [], refused: [], error: toAppError(error).detail };
    }
  };

  return [
    route({
      method: 'get',
      path: '/v1/config/client',
      tag: 'service',
      summary: 'What a client needs to know before it connects; `If-None-Match` asks whether it has changed',
      access: 'public',
      status: 200,
      response: clientConfig,
      cacheControl: 'no-cache',
      tagged: true,
      handle: async () => ({
        ...fixedClientConfig,
        pingMs: config.PING_MS,
        registrationOpen: config.REGISTRATION_OPEN,
        features: [...config.CLIENT_FEATURES],
        limits: {
          messagesPerSecond: config.MESSAGES_PER_SECOND,
          messagesBurst: config.MESSAGES_BURST,
          socketsPerPerson: config.SOCKETS_PER_PERSON,
        },
      }),
    }),
    route({
      method: 'get',
      path: '/v1/admin/config',
      tag: 'admin',
      summary: 'The settings of one process of each service, and where each came from',
      access: 'operator',
      status: 200,
      response: serviceConfigs,
      handle: async ({ ctx }) => ({
        items: [
          own(),
          ...(await Promise.all(
            Object.keys(others)
              .sort()
              .map((name) => otherOf(name, ctx)),
          )),
        ],
      }),
    }),
  ];
};
