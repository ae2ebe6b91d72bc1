import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { componentPath } from '@skein/components';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { root } from './support/paths.ts';
import { ruleFiles, rules, rulesFolder } from './support/rules.ts';

const tests = join(root, 'test', 'mesh', 'rules');
let folder = '';

beforeAll(async () => {
  // promtool looks for the rules beside the tests.
  folder = await mkdtemp(join(tmpdir(), 'skein-rules-'));
  await cp(rulesFolder, folder, { recursive: true });
  await cp(tests, join(folder, 'tests'), { recursive: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const promtool = async (...args: readonly string[]): Promise<string> => {
  try {
    const { stdout } = await promisify(execFile)(await componentPath('promtool'), [...args], {
      timeout: 60_000,
    });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(stdout + stderr, { cause: error });
  }
};

describe('the rules of the chart, by promtool', () => {
  it('are rules', async () => {
    expect(await promtool('check', 'rules', '--lint=all', ...(await ruleFiles()))).toContain('SUCCESS');
  });

  it.each(['objectives.yaml', 'alerts.yaml'])(
    '%s does what its tests say',
    { timeout: 90_000 },
    async (name) => {
      expect(await promtool('test', 'rules', join(folder, 'tests', name))).toContain('SUCCESS');
    },
  );

  it('are all tested: each alert fires in one test and is silent in another', async () => {
    const texts = await Promise.all(
      (await readdir(tests)).map((name) => readFile(join(tests, name), 'utf8')),
    );
    const cases = texts.flatMap((text) =>
      (
        parse(text) as { tests: { alert_rule_test?: { alertname: string; exp_alerts: unknown[] }[] }[] }
      ).tests.flatMap((one) => one.alert_rule_test ?? []),
    );
    const names = (await rules()).flatMap(({ alert }) => alert ?? []);
    const fired = new Set(cases.flatMap((one) => (one.exp_alerts.length > 0 ? [one.alertname] : [])));
    const silent = new Set(cases.flatMap((one) => (one.exp_alerts.length === 0 ? [one.alertname] : [])));
    expect(names.filter((name) => !fired.has(name))).toEqual([]);
    expect(names.filter((name) => !silent.has(name))).toEqual([]);
  });
});
