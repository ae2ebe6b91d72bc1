import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

it('settings that are there stay', () => {
  const dataDir = directory();
  writeFileSync(join(dataDir, 'config.yaml'), 'all: {}\n');
  placeSettings(dataDir, 'warn');
  expect(readFileSync(join(dataDir, 'config.yaml'), 'utf8')).toBe('all: {}\n');
});
