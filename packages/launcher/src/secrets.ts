import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
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

const ownerOnly = 0o600;

const make = (): Secrets => ({
  internalSecret: randomBytes(32).toString('base64url'),
  authMasterKey: randomBytes(32).toString('base64url'),
  demoEmail: 'demo@skein.localhost',
  demoPassword: randomBytes(12).toString('base64url'),
});

const parse = (text: string, path: string): Secrets => {
  const unusable = (cause?: unknown) =>
    new Error(
      `${path} does not hold the secrets of this data directory: restore it from a copy, or start with a new --data-dir (its signing keys cannot be read without it).`,
      { cause },
    );
  let found: Partial<Secrets>;
  try {
    found = Object(JSON.parse(text)) as Partial<Secrets>;
  } catch (error) {
    throw unusable(error);
  }
  const { internalSecret, authMasterKey, demoEmail, demoPassword } = found;
  if (!internalSecret || !authMasterKey || !demoEmail || !demoPassword) throw unusable();
  return { internalSecret, authMasterKey, demoEmail, demoPassword };
};

/** On disk before it is in its place: a start that is cut off leaves all or nothing. */
const write = (path: string, text: string): void => {
  const half = `${path}.new`;
  const file = openSync(half, 'w', ownerOnly);
  writeSync(file, text);
  fsyncSync(file);
  closeSync(file);
  renameSync(half, path);
};

/** The file that holds the secrets of a data directory. */
export const secretsPath = (dataDir: string): string => join(dataDir, 'secrets.json');

/**
 * Reads the secrets of a data directory, or makes them; readable by their owner alone (mode 0600). The caller
 * holds the data directory.
 */
export const loadSecrets = (dataDir: string): Secrets => {
  const path = secretsPath(dataDir);
  try {
    const secrets = parse(readFileSync(path, 'utf8'), path);
    chmodSync(path, ownerOnly);
    return secrets;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const secrets = make();
  write(path, `${JSON.stringify(secrets, null, 2)}\n`);
  return secrets;
};
