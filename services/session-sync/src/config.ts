import { platformConfig } from '@skein/platform';
import { type ConfigOf, milliseconds, text } from '@skein/service-kit';
import { checkPolicies } from './adapters/collection-policies.ts';

/** Settings of session-sync. */
export const config = {
  ...platformConfig,
  TURN_TIMEOUT_MS: milliseconds('A turn without an end is failed after this long', {
    min: 1_000,
    fallback: 600_000,
  }),
  SWEEP_MS: milliseconds('Pause between two looks for turns without an end', { min: 100, fallback: 30_000 }),
  COLLECTION_POLICIES: {
    ...text('Rules of collections over the shipped ones, as one JSON object', { fallback: '{}' }),
    ...{ kind: 'JSON', parse: checkPolicies },
  },
};

/** Their values. */
export type Config = ConfigOf<typeof config>;
