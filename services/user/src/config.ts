import { platformConfig } from '@skein/platform';
import type { ConfigOf } from '@skein/service-kit';

/** The settings of user: those of every service. */
export const userConfig = { ...platformConfig };

/** The values of `userConfig`. */
export type UserConfig = ConfigOf<typeof userConfig>;
