import { chmodSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadSecrets } from '../src/secrets.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('the secrets of a data directory', () => {
  it('are made once, different for each directory, for the eyes of their owner alone', () => {
    using one = temporaryDirectory();
    using other = temporaryDirectory();
    const secrets = loadSecrets(one.path);
    expect(Buffer.from(secrets.internalSecret, 'base64url')).toHaveLength(32);
    expect(Buffer.from(secrets.authMasterKey, 'base64url')).toHaveLength(32);
    expect(loadSecrets(one.path)).toEqual(secrets);
    expect(new Set([...Object.values(secrets), ...Object.values(loadSecrets(other.path))]).size).toBe(7);
    expect(readdirSync(one.path)).toEqual(['secrets.json']);
    expect(modeOf(join(one.path, 'secrets.json'))).toBe(0o600);
  });

  it('are closed again when somebody has opened the file to others', () => {
    using dir = temporaryDirectory();
    loadSecrets(dir.path);
    chmodSync(join(dir.path, 'secrets.json'), 0o644);
    loadSecrets(dir.path);
    expect(modeOf(join(dir.path, 'secrets.json'))).toBe(0o600);
  });

  it.each(['', '{"internalSecret":"a"}', 'null'])('are never made anew over a damaged file (%j)', (text) => {
    using dir = temporaryDirectory();
    const path = join(dir.path, 'secrets.json');
    writeFileSync(path, text);
    expect(() => loadSecrets(dir.path)).toThrow(`${path} does not hold the secrets of this data directory`);
    expect(statSync(path).size).toBe(text.length);
  });
});
