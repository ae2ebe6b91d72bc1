import { platformConfig } from '@skein/platform';
import { type ConfigOf, milliseconds } from '@skein/service-kit';

/** Settings of session-sync. */
export const config = {
  ...platformConfig,
  TURN_TIMEOUT_MS: milliseconds('A turn without an end is failed after this long', {
    min: 1_000,
    fallback: 600_000,
  }),
  SWEEP_MS: milliseconds('Pause between two looks for turns without an end', { min: 100, fallback: 30_000 }),
};

/** Their values. */
export type Config = ConfigOf<typeof config>;
