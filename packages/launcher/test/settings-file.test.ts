import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { placeSettings, settingsUrl } from '../src/settings-file.ts';

const directory = (): string => {
  const dataDir = mkdtempSync(join(tmpdir(), 'skein settings-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  return dataDir;
};

it('a new data directory has an example with the log level of its first start', () => {
  const dataDir = directory();
  placeSettings(dataDir, 'warn');
  expect(readFileSync(fileURLToPath(settingsUrl(dataDir)), 'utf8')).toContain('all:\n  LOG_LEVEL: warn\n');
});

it('what is commented out in the example holds once its # is gone, and the command above it finds the file', async () => {
  const dataDir = directory();
  placeSettings(dataDir, 'warn');
  const path = join(dataDir, 'config.yaml');
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replaceAll(/^( +)# /gm, '$1'));
  const [, CONFIG_URL] = /CONFIG_URL='(.*)' npm run skein -- config/.exec(text) ?? [];
  const skein = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
  // Its exit code says whether all of it is valid.
  const { stdout } = await promisify(execFile)(process.execPath, [skein, 'config', 'get'], {
    env: { ...process.env, CONFIG_URL },
  });
  expect(stdout.trimEnd().split('\n')).toEqual([
    'all LOG_LEVEL warn',
    'gateway MESSAGES_PER_SECOND 40',
    'gateway CLIENT_FEATURES ["voice"]',
    'session-sync COLLECTION_POLICIES {"project":{"strategy":"merge","deletes":"edit_wins"}}',
  ]);
}, 60_000);

it('settings that are there stay', () => {
  const dataDir = directory();
  writeFileSync(join(dataDir, 'config.yaml'), 'all: {}\n');
  placeSettings(dataDir, 'warn');
  expect(readFileSync(join(dataDir, 'config.yaml'), 'utf8')).toBe('all: {}\n');
});
