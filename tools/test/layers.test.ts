import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { cruise, type IForbiddenRuleType } from 'dependency-cruiser';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import configuration from '../../.dependency-cruiser.mjs';

describe('layers', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'skein-layers-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const write = async (file: string, content: string) => {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), content);
  };

  /** The rules that are broken when `from` imports `to`, in a tree that has nothing else. */
  const broken = async (from: string, to: string): Promise<string[]> => {
    const path = relative(dirname(from), to);
    await write(from, `export { x } from '${path.startsWith('.') ? path : `./${path}`}';\n`);
    await write(to, 'export const x = 1;\n');
    const { tsConfig: _, ...options } = configuration.options ?? {};
    const result = await cruise(['.'], {
      ...options,
      // npm packages are written as files here, so they must be looked at where they lie.
      ruleSet: { forbidden: configuration.forbidden ?? [] },
      validate: true,
      baseDir: folder,
    });
    if (typeof result.output === 'string') throw new Error(result.output);
    return result.output.summary.violations.map(({ rule }) => rule.name);
  };

  it.each([
    ['domain-is-pure', 'services/auth/src/domain/login.ts', 'services/auth/src/app/ports.ts'],
    ['domain-is-pure', 'services/auth/src/domain/login.ts', 'packages/postgres/src/index.ts'],
    ['app-knows-ports-only', 'services/auth/src/app/login.ts', 'services/auth/src/adapters/users.ts'],
    ['app-knows-ports-only', 'services/auth/src/app/login.ts', 'packages/postgres/src/index.ts'],
    ['app-knows-ports-only', 'services/auth/src/app/login.ts', 'packages/saga/src/index.ts'],
    [
      'edges-do-not-import-each-other',
      'services/auth/src/grpc/auth.ts',
      'services/auth/src/adapters/users.ts',
    ],
    ['only-compose-joins', 'services/auth/src/grpc/auth.ts', 'services/auth/src/compose.ts'],
    ['only-compose-joins', 'services/auth/src/app/login.ts', 'services/auth/src/compose/sagas.ts'],
    ['services-do-not-import-services', 'services/auth/src/app/login.ts', 'services/user/src/domain/user.ts'],
    ['packages-do-not-import-services', 'packages/rpc/src/client.ts', 'services/user/src/index.ts'],
    ['no-relative-import-across-packages', 'packages/rpc/src/client.ts', 'packages/contracts/src/errors.ts'],
    ['layers-contracts', 'packages/contracts/src/errors.ts', 'packages/rpc/src/index.ts'],
    ['layers-sync-core', 'packages/sync-core/src/clock.ts', 'packages/contracts/src/index.ts'],
    ['layers-events', 'packages/events/src/bus.ts', 'packages/events-nats/src/index.ts'],
    ['no-test-code-in-the-product', 'packages/rpc/src/client.ts', 'packages/rpc/test/fixture.ts'],
    ['no-test-code-in-the-product', 'packages/rpc/src/client.ts', 'packages/events/src/testing.ts'],
    ['only-owner-imports-pg', 'services/auth/src/adapters/users.ts', 'node_modules/pg/index.ts'],
    ['cli-knows-schemas-only', 'packages/cli/src/config/schemas.ts', 'services/auth/src/compose.ts'],
    ['tools-stand-alone', 'tools/check.ts', 'packages/components/src/index.ts'],
  ])('%s: %s may not import %s', async (rule, from, to) => {
    expect(await broken(from, to)).toContain(rule);
  });

  it.each([
    ['services/auth/src/compose.ts', 'services/auth/src/adapters/users.ts'],
    ['services/auth/src/compose.ts', 'services/auth/src/compose/sagas.ts'],
    ['services/auth/src/compose/sagas.ts', 'services/auth/src/adapters/users.ts'],
    ['services/auth/src/adapters/users.ts', 'services/auth/src/app/ports.ts'],
    ['services/auth/src/app/login.ts', 'services/auth/src/domain/login.ts'],
    ['services/auth/test/component.test.ts', 'services/auth/src/compose.ts'],
  ])('%s may import %s', async (from, to) => {
    expect(await broken(from, to)).toEqual([]);
  });

  it('notices two modules that import each other', async () => {
    await write('packages/rpc/src/a.ts', "export { b } from './b.ts';\nexport const a = 1;\n");
    expect(await broken('packages/rpc/src/b.ts', 'packages/rpc/src/c.ts')).toEqual([]);
    await write('packages/rpc/src/c.ts', "export { a } from './a.ts';\n");
    const again = await broken('packages/rpc/src/d.ts', 'packages/rpc/src/e.ts');
    expect(again).toContain('no-cycles');
  });

  it('gives a reason for every rule', () => {
    const rules: readonly IForbiddenRuleType[] = configuration.forbidden ?? [];
    expect(rules.filter(({ comment }) => !comment).map(({ name }) => name)).toEqual([]);
  });
});
