import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What is commented out holds as soon as "# " is taken away: the names above it are mappings that are still empty. */
const example = (
  logLevel: string,
  url: string,
): string => `# Settings of this copy of Skein that hold at once, without a restart. Change them here, or with
#   CONFIG_URL='${url}' npm run skein -- config set gateway MESSAGES_PER_SECOND=40
# What may be here is marked live in docs/reference/configuration.md; what the environment says wins over it.
all:
  LOG_LEVEL: ${logLevel}
gateway:
  # MESSAGES_PER_SECOND: 40
  # CLIENT_FEATURES: [voice]
session-sync:
  # COLLECTION_POLICIES:
  #   project: { strategy: merge, deletes: edit_wins }
`;

/** The file with the settings of a data directory. */
const settingsPath = (dataDir: string): string => join(dataDir, 'config.yaml');

/** It as `CONFIG_URL` says it. */
export const settingsUrl = (dataDir: string): string => pathToFileURL(settingsPath(dataDir)).href;

/** Puts an example there for a data directory that has no settings yet. */
export const placeSettings = (dataDir: string, logLevel: string): void => {
  try {
    writeFileSync(settingsPath(dataDir), example(logLevel, settingsUrl(dataDir)), {
      flag: 'wx',
      mode: 0o600,
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
};
