import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a data directory keeps to itself, made at its first start. */
export interface Secrets {
  /** Services prove themselves to each other with it. */
  readonly internalSecret: string;
  /** Seals the signing keys. */
  readonly authMasterKey: string;
  /** The login printed at start. */
  readonly demoEmail: string;
  readonly demoPassword: string;
}

/** Reads the secrets of a data directory, or makes them (mode 0600). */
export const loadSecrets = (dataDir: string): Secrets => {
  const path = join(dataDir, 'secrets.json');
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Secrets;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const secrets: Secrets = {
    internalSecret: randomBytes(32).toString('base64url'),
    authMasterKey: randomBytes(32).toString('base64url'),
    demoEmail: 'demo@skein.localhost',
    demoPassword: randomBytes(12).toString('base64url'),
  };
  writeFileSync(path, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  return secrets;
};
