import { configV1 } from '@skein/contracts';
import { type Implementation, implement } from '@skein/rpc';
import { liveConfig } from '@skein/service-kit';
import type { PlatformConfig } from './config.ts';
import { operatorOf } from './operator.ts';

/** `skein.config.v1.ConfigAdminService` of one process; for operators only, who come through the gateway. */
export const configAdminService = (instance: string, config: PlatformConfig): Implementation => {
  const live = liveConfig(config);
  return implement(
    configV1.ConfigAdminServiceService,
    {
      getConfig: async (_request, { actor }) => {
        operatorOf(actor);
        const settings = live.states().map(({ overridden = '', ...state }) => ({ ...state, overridden }));
        return { instance, settings, refused: [...live.faults] };
      },
    },
    { allow: { getConfig: ['gateway'] } },
  );
};
