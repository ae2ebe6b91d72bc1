import { platformConfig } from '@skein/platform';
import { type ConfigOf, integer, live, milliseconds, text } from '@skein/service-kit';
import { checkPolicies } from './adapters/collection-policies.ts';

const archiveDays = integer(
  'Events older than this go to the archive, from where they are read like all others; 0: never',
  { min: 0, max: 36_500, kind: 'days', fallback: 90 },
);

/** Relays publish the events of seven days again when they are told to, and read no archive. */
const checkArchiveDays = (text: string): number => {
  const days = archiveDays.parse(text);
  if (days > 0 && days < 8) throw new TypeError('must be 0, or 8 and more: younger events may leave again');
  return days;
};

/** Settings of session-sync. */
export const config = {
  ...platformConfig,
  TURN_TIMEOUT_MS: live(
    milliseconds('A turn without an end is failed after this long', {
      min: 1_000,
      fallback: 600_000,
    }),
  ),
  SWEEP_MS: milliseconds('Pause between two looks for turns without an end', { min: 100, fallback: 30_000 }),
  ARCHIVE_AFTER_DAYS: { ...archiveDays, parse: checkArchiveDays },
  COLLECTION_POLICIES: live({
    ...text('Rules of collections over the shipped ones, as one JSON object', { fallback: '{}' }),
    ...{ kind: 'JSON', parse: checkPolicies },
  }),
};

/** Their values. */
export type Config = ConfigOf<typeof config>;
