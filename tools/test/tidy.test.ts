import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../run.ts';

/** A rule about lines that no linter has. `example` is a line that breaks it, so that the rule itself is tested. */
interface LineRule {
  readonly rule: string;
  readonly files: RegExp;
  readonly forbidden: RegExp;
  readonly example: string;
  /** A file with this in it keeps the rule in another way. */
  readonly unless?: RegExp;
}

const source = /\.(ts|mjs|vue)$/;
const pure = /^(services\/[^/]+\/src\/(domain|app)|packages\/sync-core\/src)\/.*\.ts$/;

const lineRules: readonly LineRule[] = [
  {
    rule: 'a test waits for a condition or moves a fake clock; it does not sleep',
    files: /\.test\.ts$/,
    forbidden: /\bsetTimeout\s*\(|timers\/promises|\b(sleep|delay)\s*\(/,
    example: 'await new Promise((resolve) => setTimeout(resolve, 100));',
    unless: /\bvi\.useFakeTimers\(/,
  },
  {
    rule: 'a test uses real modules or a fake behind a port; it does not replace modules',
    files: /\.test\.ts$/,
    forbidden: /\bvi\.(mock|doMock|hoisted)\s*\(/,
    example: "vi.mock('../src/clock.ts');",
  },
  {
    rule: 'domain and use cases are given the time, randomness, ids and configuration',
    files: pure,
    forbidden:
      /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bprocess\.\w|\bMath\.random\b|\brandom(UUID|Bytes|Int)\b|\bv[1467]\b.* from 'uuid'/,
    example: 'const id = randomUUID();',
  },
  {
    rule: 'a package says what it offers name by name',
    files: /^(packages|services)\/[^/]+\/src\/.*\.ts$/,
    forbidden: /^export \* from /,
    example: "export * from './bus.ts';",
  },
  {
    rule: 'the compiler is not told to look away',
    files: source,
    forbidden: /@ts-(ignore|nocheck)/,
    example: '// @ts-ignore',
  },
  {
    rule: 'nothing depends on where somebody has the work tree or a home directory',
    files: /\.(ts|mjs|vue|json|jsonc|yaml|md|proto|sh)$|^\.ci\//,
    forbidden: /(^|[\s'"`(=:])\/(root|work|Users|home)\/\w/,
    example: "const cache = '/home/ada/.cache';",
  },
];

/** Files over this many lines do two things (house style: ask at 400). */
const maxLines = 400;
/** What joins the parts of a service is read in one go. */
const maxComposeLines = 120;

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .toString()
  .split('\n')
  // Deleted but not yet committed files are still listed.
  .filter((file) => file !== '' && existsSync(join(root, file)));
const written = files.filter((file) => !file.includes('/src/gen/') && file !== 'tools/test/tidy.test.ts');
const linesOf = (file: string): string[] => readFileSync(join(root, file), 'utf8').split('\n');

describe('house rules', () => {
  it.each(lineRules)('$rule', ({ files: which, forbidden, unless }) => {
    const offences = written
      .filter((file) => which.test(file) && !unless?.test(linesOf(file).join('\n')))
      .flatMap((file) =>
        linesOf(file).flatMap((line, i) => (forbidden.test(line) ? [`${file}:${i + 1} ${line.trim()}`] : [])),
      );
    expect(offences).toEqual([]);
  });

  it.each(lineRules)('it would be noticed if not: $rule', ({ forbidden, example }) => {
    expect(example).toMatch(forbidden);
  });

  it(`no source file has more than ${maxLines} lines`, () => {
    const long = written.filter((file) => source.test(file) && linesOf(file).length - 1 > maxLines);
    expect(long).toEqual([]);
  });

  it(`no compose.ts has more than ${maxComposeLines} lines`, () => {
    const composing = written.filter((file) => file.endsWith('/src/compose.ts'));
    expect(composing.length).toBeGreaterThan(1);
    expect(composing.filter((file) => linesOf(file).length - 1 > maxComposeLines)).toEqual([]);
  });

  it('files are named by what is in them, in kebab case', () => {
    // A Vue component has the name of its element, in whichever language it is written.
    const named = written
      .filter((file) => /\.(ts|mjs)$/.test(file) && !/^packages\/console\/src\/.*\/[A-Z]\w+\.ts$/.test(file))
      .map((file) => file.split('/').at(-1) ?? '');
    expect(named.filter((name) => !/^\.?[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9-]+)+$/.test(name))).toEqual([]);
    const vague = /^(utils?|helpers?|common|misc|shared|base-.*|.*-manager)\.(ts|mjs)$/;
    expect(named.filter((name) => vague.test(name))).toEqual([]);
  });

  it('every test is where the test runner looks', () => {
    const tests = written.filter((file) => /\.(test|spec)\.[cm]?[jt]sx?$/.test(file));
    const looked = /^((packages|services)\/[^/]+\/test|test|tools\/test)\/.*\.test\.ts$/;
    expect(tests.length).toBeGreaterThan(0);
    expect(tests.filter((file) => !looked.test(file))).toEqual([]);
  });

  it('a dependency of several packages has its version in the catalogue', () => {
    const uses = new Map<string, string[]>();
    for (const file of written.filter((name) => name.endsWith('package.json'))) {
      const manifest: Record<string, Record<string, string> | undefined> = JSON.parse(
        readFileSync(join(root, file), 'utf8'),
      );
      const all = { ...manifest['dependencies'], ...manifest['devDependencies'] };
      for (const [name, version] of Object.entries(all)) {
        if (!version.startsWith('workspace:')) uses.set(name, [...(uses.get(name) ?? []), version]);
      }
    }
    // The console has the TypeScript that its own compiler needs; see packageExtensions for the same reason.
    uses.delete('typescript');
    const several = [...uses].filter(
      ([, versions]) => versions.length > 1 && versions.some((v) => v !== 'catalog:'),
    );
    expect(several).toEqual([]);
  });
});
