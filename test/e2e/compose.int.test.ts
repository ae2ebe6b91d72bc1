import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { componentPath } from '@skein/components';
import { afterAll, describe, expect, it } from 'vitest';
import { composeFile } from '../../tools/test/compose-file.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'skein-compose-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const written = (name: string): string => {
  const path = join(folder, name);
  writeFileSync(path, composeFile().configs[name]?.content ?? '');
  return path;
};

describe('the configurations in compose.yaml', () => {
  it('are accepted by the collector', async () => {
    const collector = await componentPath('otelcol');
    await expect(run(collector, ['validate', '--config', written('collector')])).resolves.toBeDefined();
  });

  it('are accepted by NATS', async () => {
    const nats = await componentPath('nats-server');
    const { stderr } = await run(nats, ['--config', written('nats'), '-t']);
    expect(stderr).toContain('is valid');
  });
});
