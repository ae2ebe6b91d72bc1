import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { componentPath } from '../../packages/components/src/index.ts';
import { root } from '../run.ts';

interface WorkflowStep {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly 'timeout-minutes'?: number;
  readonly uses?: string;
  readonly needs?: string | readonly string[];
  readonly steps?: readonly WorkflowStep[];
}
interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const folder = join(root, '.github/workflows');
const names = readdirSync(folder);
const textOf = (name: string): string => readFileSync(join(folder, name), 'utf8');
const workflow = (name: string): Workflow => parse(textOf(name));
const jobsOf = (name: string): Job[] => Object.values(workflow(name).jobs);
const stepsOf = (name: string): WorkflowStep[] => jobsOf(name).flatMap(({ steps = [] }) => steps);

const scratch = mkdtempSync(join(tmpdir(), 'skein-workflows-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What actionlint says about files; empty when there is nothing to say. */
const lint = async (...files: readonly string[]): Promise<string> => {
  const run = promisify(execFile)(
    await componentPath('actionlint'),
    // Of the programs it may call, none is part of what it says here.
    ['-no-color', '-oneline', '-shellcheck=', '-pyflakes=', ...files],
    { cwd: root, timeout: 60_000 },
  );
  return run.then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
  );
};

const scripts: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
).scripts;

/** Whether a step runs something of this repository, and nothing else: an npm script or a file under .ci. */
const runsOurs = (run: string): boolean => {
  const [first = '', ...rest] = run.trim().split(/\s+/);
  if (/[;&|\n]/.test(run.trim())) return false;
  if (first.startsWith('.ci/')) return existsSync(join(root, first)) && runsOurs(rest.join(' '));
  const script = rest[0] === 'run' ? rest[1] : rest[0] === 'test' ? 'test' : undefined;
  return first === 'npm' && script !== undefined && Object.hasOwn(scripts, script);
};

describe('the workflows', () => {
  it('are right by actionlint', { timeout: 60_000 }, async () => {
    expect(await lint(...names.map((name) => join(folder, name)))).toBe('');
  });

  it('would be found out if not', { timeout: 60_000 }, async () => {
    const file = join(scratch, 'wrong.yml');
    const wrong = textOf('check.yml')
      .replace('runs-on:', 'run-on:')
      .replace('github.ref }}', 'github.reff }}');
    writeFileSync(file, wrong);
    const said = await lint(file);
    expect(said).toContain('unexpected key "run-on"');
    expect(said).toContain('property "reff" is not defined');
  });

  it.each(names)('%s runs only what runs here too', (name) => {
    const own = stepsOf(name).flatMap(({ run }) => (run === undefined ? [] : [run]));
    expect(own.filter((run) => !runsOurs(run))).toEqual([]);
  });

  it.each([
    ['npm run release -- --tag v1', true],
    ['.ci/cluster npm run cluster', true],
    ['npm run nothing-here', false],
    ['.ci/nothing-here', false],
    ['npm test && curl https://example.org', false],
    ['docker push skein/auth', false],
  ])('that would be noticed: %s is ours: %s', (run, ours) => {
    expect(runsOurs(run)).toBe(ours);
  });

  it.each(names)('%s takes actions of others by commit, with the version beside it', (name) => {
    const lines = textOf(name)
      .split('\n')
      .filter((line) => /\buses: (?!\.\/)/.test(line));
    const byCommit = /uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/;
    // The one exception: GitHub's own attestation, by its exact version.
    const attestation = /uses: actions\/attest-build-provenance@v\d+\.\d+\.\d+$/;
    expect(lines.filter((line) => !byCommit.test(line) && !attestation.test(line))).toEqual([]);
  });

  it.each(names)(
    '%s may read and nothing more, unless a job says what for; checkouts keep no token',
    (name) => {
      expect(workflow(name).permissions).toEqual({ contents: 'read' });
      const checkouts = stepsOf(name).filter(({ uses }) => uses?.startsWith('actions/checkout@'));
      for (const step of checkouts) expect(step.with).toMatchObject({ 'persist-credentials': false });
      for (const job of jobsOf(name)) if (!job.uses) expect(job['timeout-minutes']).toBeLessThanOrEqual(60);
    },
  );

  it('let a release wait for every other one', () => {
    const { jobs } = workflow('release.yml');
    const called = Object.entries(jobs).filter(([, { uses }]) => uses);
    expect(called.map(([, { uses }]) => uses)).toEqual(
      names
        .filter((name) => name !== 'release.yml')
        .map((name) => `./.github/workflows/${name}`)
        .sort(),
    );
    expect(jobs['release']?.needs).toEqual(called.map(([name]) => name));
  });

  it('let only a release write, and only what a release is', () => {
    const writing = names.flatMap((name) =>
      jobsOf(name).flatMap(({ permissions }) => (permissions ? [permissions] : [])),
    );
    expect(writing).toEqual([
      { contents: 'write', packages: 'write', 'id-token': 'write', attestations: 'write' },
    ]);
  });
});
